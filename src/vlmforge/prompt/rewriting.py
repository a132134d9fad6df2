"""Rewriting: what a template's syntax does in secret becomes filters, which can be counted."""

from __future__ import annotations

from typing import Any, cast

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

COUNTED, CONCATENATED, MADE = "(counted)", "(concatenated)", "(made)"
COMPARED, WRITTEN, CUT = "(compared)", "(written)", "(cut)"
"""Names of filters that no template can write."""


class Rewriting(NodeTransformer):
    """Puts filters around loops, ``~``, lists, comparisons, slices and a template's own text."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Count the iterations."""
        self.generic_visit(node)
        node.iter = _filtered(node.iter, COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Measure what ``~`` puts together."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), CONCATENATED)

    def visit_List(self, node: nodes.List) -> nodes.Node:
        """Measure a new list: one that holds another twice doubles with each step."""
        self.generic_visit(node)
        return _filtered(node, MADE)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        """Measure a new dictionary."""
        self.generic_visit(node)
        return _filtered(node, MADE)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        """Measure a new tuple, unless it only names the targets of an assignment."""
        self.generic_visit(node)
        return _filtered(node, MADE) if node.ctx == "load" else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """Measure what is compared."""
        self.generic_visit(node)
        node.expr = _filtered(node.expr, COMPARED)
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, COMPARED)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """Measure what a slice copies."""
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        return _filtered(node.node, CUT, [bound or nodes.Const(None) for bound in bounds])

    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        """Measure the template's own text, each time it is written."""
        self.generic_visit(node)
        size = sum(len(each.data) for each in node.nodes if isinstance(each, nodes.TemplateData))
        if size:
            node.nodes = [_filtered(nodes.Const(size), WRITTEN), *node.nodes]
        return node


def _filtered(node: nodes.Node, name: str, args: list[Any] | None = None) -> nodes.Filter:
    return nodes.Filter(
        cast("nodes.Expr", node), name, args or [], [], None, None, lineno=node.lineno
    )


def rewritten(template: nodes.Template) -> nodes.Template:
    """The syntax tree of a template with filters around all that grows."""
    return cast("nodes.Template", Rewriting().visit(template))
