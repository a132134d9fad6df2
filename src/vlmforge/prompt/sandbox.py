"""Sandbox: runs templates of any origin within a budget of time and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from jinja2 import nodes, pass_context, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro, markup_join, str_join
from jinja2.sandbox import (
    ImmutableSandboxedEnvironment,
    SandboxedEscapeFormatter,
    SandboxedFormatter,
)
from markupsafe import Markup

from vlmforge.prompt import rewriting
from vlmforge.prompt.budget import NODE, Budget, length
from vlmforge.prompt.costs import (
    REFUSED_FILTERS,
    pay_comparison,
    pay_filter,
    pay_method,
    pay_operator,
    require_narrow,
)

_budget: ContextVar[Budget] = ContextVar("budget")


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """Let what is rendered or compiled within, in this thread, be paid from a budget."""
    token = _budget.set(budget)
    try:
        yield
    finally:
        _budget.reset(token)


class GenerationBlock(Extension):
    """``{% generation %}``: marks for training what the assistant says; renders what it holds."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements up to ``{% endgeneration %}``, in a scope of their own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return [nodes.Scope(body, lineno=line)]


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of chat templates, with the settings of transformers.

    Everything that takes time or memory is paid for from the budget of :func:`spending`.
    """

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[GenerationBlock, loopcontrols],
            optimized=False,
            finalize=_shown,
        )
        del self.globals["lipsum"]
        for name in REFUSED_FILTERS:
            del self.filters[name]
        for name in list(self.filters):
            self.add_filter(name, self.filters[name])
        for name, test in list(self.tests.items()):
            self.tests[name] = _paid_test(cast("Callable[..., Any]", test))
        self.filters.update(_SYNTAX)

    def add_filter(self, name: str, function: Callable[..., Any]) -> None:
        """Let templates use a filter, which is paid for."""
        self.filters[name] = _paid_filter(name, function)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return rewriting.rewritten(super()._parse(source, name, filename))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Run an operator."""
        pay_operator(_budget.get(), operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method, a function or a macro."""
        budget = _budget.get()
        budget.spend(NODE + sum(map(length, (*args, *kwargs.values()))))
        if isinstance(obj, (Macro, LoopContext)):
            return super().call(context, obj, *args, **kwargs)
        budget.spend(budget.nodes(kwargs))
        args = tuple(pay_method(budget, obj, args))
        return _paid(budget, super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """The methods ``format`` and ``format_map`` of a text, bounded; None for another value."""
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        by_name = value.__name__ == "format_map"

        def formatted(*args: Any, **kwargs: Any) -> str:
            if by_name:
                (kwargs,), args = args, ()
            _budget.get().spend(len(text))
            return type(text)(_formatter(self, text).vformat(text, args, kwargs))

        return formatted


class _Bounded(SandboxedFormatter):
    """Pays for each value that is put into a format."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        require_narrow(format_spec)
        budget = _budget.get()
        budget.spend(budget.text(value))
        text = super().format_field(value, format_spec)
        budget.spend(len(text))
        return text

    def convert_field(self, value: Any, conversion: Any) -> Any:
        budget = _budget.get()
        budget.spend(budget.text(value))
        return super().convert_field(value, conversion)


class _BoundedEscaping(_Bounded, SandboxedEscapeFormatter):
    """The same for text that is markup."""


def _formatter(sandbox: Sandbox, text: str) -> SandboxedFormatter:
    if isinstance(text, Markup):
        return _BoundedEscaping(sandbox, escape=text.escape)
    return _Bounded(sandbox)


def _paid(budget: Budget, result: Any) -> Any:
    """A result that is paid for; one that comes piece by piece is paid so."""
    if isinstance(result, Iterator):
        return _counted(result)
    budget.spend(length(result))
    return result


def _paid_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    leading = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        budget = _budget.get()
        budget.spend(NODE)
        given = pay_filter(budget, name, args[leading:], kwargs)
        return _paid(budget, function(*args[:leading], *given, **kwargs))

    return run


def _paid_test(function: Callable[..., Any]) -> Callable[..., Any]:
    leading = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def run(*args: Any) -> Any:
        for value in args[leading:] if len(args) > leading + 1 else ():
            pay_comparison(_budget.get(), value)
        _budget.get().spend(NODE)
        return function(*args)

    return run


@pass_context
def _shown(context: Context, value: Any) -> Any:
    """A value about to be written; for Jinja this also means that nothing is written ahead."""
    budget = _budget.get()
    budget.spend(NODE + (len(value) if isinstance(value, str) else budget.text(value)))
    return value


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    budget = _budget.get()
    for value in values:
        budget.spend(NODE)
        yield value


@pass_eval_context
def _concatenated(context: EvalContext, values: list[Any]) -> str:
    budget = _budget.get()
    budget.spend(budget.text(values))
    return markup_join(values) if context.autoescape else str_join(values)


def _made(value: Any) -> Any:
    budget = _budget.get()
    budget.spend(budget.nodes(value))
    return value


def _compared(value: Any) -> Any:
    pay_comparison(_budget.get(), value)
    return value


def _written(size: int) -> str:
    _budget.get().spend(size)
    return ""


def _cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
    if not hasattr(value, "__getitem__"):
        raise SecurityError("only texts and lists can be cut")
    return _paid(_budget.get(), value[start:stop:step])


_SYNTAX: dict[str, Callable[..., Any]] = {
    rewriting.COUNTED: _counted,
    rewriting.CONCATENATED: _concatenated,
    rewriting.MADE: _made,
    rewriting.COMPARED: _compared,
    rewriting.WRITTEN: _written,
    rewriting.CUT: _cut,
}
