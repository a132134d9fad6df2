"""Graphs, programs and packages as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.graph.core import Graph
from vlmforge.hub.packages import open_found
from vlmforge.program.core import Instruction, Program
from vlmforge.program.instructions import PRODUCTS
from vlmforge.signing.package import signature_facts


def package_facts(path: Path | str, verify_key: Path | str | None = None) -> dict[str, Any]:
    """Facts about a package, by its directory or its name on the Hub."""
    package = open_found(path, verify_key=verify_key)
    programs = {"text": package.text} | ({"vision": package.vision} if package.vision else {})
    return {
        "kind": "package",
        "files": {p.name: p.stat().st_size for p in sorted(package.dir.iterdir()) if p.is_file()},
        "embedding": list(package.embeddings.shape),
        "signature": signature_facts(package.dir, verified=verify_key is not None),
        "programs": {name: program_facts(program) for name, program in programs.items()},
    }


def graph_facts(graph: Graph) -> dict[str, Any]:
    nodes = [
        {"name": node.name, "op": node.op, "inputs": node.inputs, "shape": node.shape}
        for node in graph.nodes.values()
    ]
    return {
        "kind": "mblt",
        "component": graph.component,
        "meta": graph.meta,
        "inputs": {name: value.shape for name, value in graph.inputs.items()},
        "outputs": graph.outputs,
        "weights": len(graph.weights),
        "parameters": sum(prod(weight.shape) for weight in graph.weights.values()),
        "operators": _counts([node.op for node in graph.nodes.values()]),
        "nodes": nodes,
    }


def program_facts(program: Program) -> dict[str, Any]:
    nodes = [
        {
            "name": step.name,
            "op": step.op,
            "inputs": step.inputs,
            "shape": program.buffers[step.name].shape,
            "dtype": program.buffers[step.name].dtype,
            "scale": program.buffers[step.name].scale,
        }
        for step in program.instructions
    ]
    return {
        "kind": "mxq",
        "component": program.component,
        "meta": program.meta,
        "inputs": {name: program.buffers[name].shape for name in program.inputs},
        "outputs": program.outputs,
        "bytes": sum(array.nbytes for array in program.tensors.values()),
        "operators": _counts([step.op for step in program.instructions]),
        "product_inputs": _product_inputs(program),
        "product_weights": _product_weights(program),
        "bits_a_weight": _bits_a_weight(program),
        "nodes": nodes,
    }


def _products(program: Program) -> list[Instruction]:
    return [step for step in program.instructions if step.op in PRODUCTS]


def _product_inputs(program: Program) -> dict[str, int]:
    return _counts([program.buffers[step.inputs[0]].dtype for step in _products(program)])


def _product_weights(program: Program) -> dict[str, int]:
    return _counts([_weight_kind(program, step) for step in _products(program)])


def _weight_kind(program: Program, step: Instruction) -> str:
    if program.tensors[step.tensors["weight"]].dtype == np.int8:
        return "int8"
    return f"int4 in groups of {step.attrs['group']}" if "group" in step.attrs else "int4"


def _bits_a_weight(program: Program) -> float:
    """Stored bits of the products' codes and group scales over their weights, padding included."""
    products = _products(program)
    names = [
        s.tensors[role] for s in products for role in ("weight", "group_scale") if role in s.tensors
    ]
    weights = sum(step.attrs["in_features"] * step.attrs["out_features"] for step in products)
    return round(8 * sum(program.tensors[name].nbytes for name in names) / max(1, weights), 4)


def _counts(names: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
