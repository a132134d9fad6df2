"""A rounding that is interrupted goes on with the product it was at, to the same weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.quantize.weights.test_rounding import loaders, scaled
from vlmforge.config import CompileConfig
from vlmforge.formats import kept_file
from vlmforge.formats.kept_file import KeptFile
from vlmforge.graph.core import Graph, Node, Weight
from vlmforge.graph.ops import PRODUCTS
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.weights.formats import QuantizedWeight
from vlmforge.quantize.weights.kept import KeptRounding
from vlmforge.quantize.weights.rounding import (
    Rounding,
    choose_rounding,
    settled_weights,
    weight_formats,
)

CONFIG = CompileConfig.parse({"bit": {"transformer": {"weight": {"ffn": 4}, "weightGroup": 32}}})


class Interrupted(Exception):
    """A run that was killed."""


class Counted:
    """A rounding that tells which products it quantized, and is killed before one."""

    def __init__(self, rounding: Rounding, killed_at: int | None) -> None:
        self.rounding, self.killed_at, self.made = rounding, killed_at, list[str]()

    def quantize(self, product: Node, smallest: np.ndarray | None) -> QuantizedWeight:
        if len(self.made) == self.killed_at:
            raise Interrupted
        self.made.append(product.name)
        return self.rounding.quantize(product, smallest)

    def settle(self, product: Node, weight: QuantizedWeight) -> None:
        self.rounding.settle(product, weight)


def rounded(
    checkpoint: Path,
    folder: Path | None,
    component: int = 1,
    killed_at: int | None = None,
    graph: Graph | None = None,
    *facts: object,
) -> tuple[dict[str, QuantizedWeight], list[str]]:
    """The weights of a component, and the products that were really quantized."""
    captured, codes, scales = scaled(checkpoint, component)
    graph = graph or captured
    formats = weight_formats(graph, CONFIG, ())

    path = QuantizedPath(graph, codes, scales, loaders(graph, 3))
    inner = choose_rounding(graph, formats, CONFIG.hessian_quant.attributes, path)
    counted = Counted(inner, killed_at)
    kept: Rounding = counted
    if folder is not None:
        kept = KeptRounding(counted, graph, folder, path, codes, scales, formats, *facts)
    return settled_weights(graph, codes, scales, kept)[0], counted.made


def same(left: QuantizedWeight, right: QuantizedWeight) -> bool:
    pairs = ((left.codes, right.codes), (left.scales, right.scales))
    groups = (left.group_scale, right.group_scale)
    if groups[0] is not None and groups[1] is not None:
        pairs = (*pairs, (groups[0], groups[1]))
    equal = all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)
    return equal and (left.group, left.bits) == (right.group, right.bits)


@pytest.mark.parametrize("component", [1, 2])
def test_killed_anywhere_it_repeats_one_product_at_most(
    tiny_checkpoint: Path, tmp_path: Path, component: int
) -> None:
    wanted, products = rounded(tiny_checkpoint, None, component)
    made: list[str] = []
    for count in (1, 0, 3, 2):
        with pytest.raises(Interrupted):
            rounded(tiny_checkpoint, tmp_path, component, count)
        made += products[len(made) :][:count]
        assert len(list(tmp_path.glob("0*.kept"))) == len(made)
    found, rest = rounded(tiny_checkpoint, tmp_path, component)
    assert made + rest == products
    assert all(same(found[name], wanted[name]) for name in products)
    again, none = rounded(tiny_checkpoint, tmp_path, component)
    assert not none and all(same(again[name], wanted[name]) for name in products)


def test_a_damaged_file_is_not_taken(tiny_checkpoint: Path, tmp_path: Path) -> None:
    wanted, products = rounded(tiny_checkpoint, tmp_path)
    files = sorted(tmp_path.glob("0*.kept"))
    data = bytearray(files[2].read_bytes())
    data[-1] ^= 1
    files[2].write_bytes(data)
    files[5].write_bytes(files[5].read_bytes()[:-7])
    files[9].unlink()
    found, made = rounded(tiny_checkpoint, tmp_path)
    assert made == [products[2], products[5], products[9]]
    assert all(same(found[name], wanted[name]) for name in products)


def test_weights_of_another_graph_are_not_taken(tiny_checkpoint: Path, tmp_path: Path) -> None:
    graph, _, _ = scaled(tiny_checkpoint, 1)
    _, products = rounded(tiny_checkpoint, tmp_path)
    changed = next(node for node in graph.nodes.values() if node.name == products[4])
    name = changed.weights["weight"]
    weights = {name: Weight.of(graph.weights[name].load() * 1.5)}
    _, made = rounded(tiny_checkpoint, tmp_path, 1, None, graph.with_weights(weights))
    assert made == products[4:], "those before it follow from the same"


def test_weights_that_follow_from_something_else_are_not_taken(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    _, products = rounded(tiny_checkpoint, tmp_path)
    _, made = rounded(tiny_checkpoint, tmp_path, 1, None, None, "other samples")
    assert made == products


def test_a_weight_comes_back_as_it_was(tiny_checkpoint: Path, tmp_path: Path) -> None:
    wanted, _ = rounded(tiny_checkpoint, None)
    graph, _, _ = scaled(tiny_checkpoint, 1)
    grouped = [w for w in wanted.values() if w.group_scale is not None]
    assert grouped and len(wanted) == sum(n.op in PRODUCTS for n in graph.nodes.values())
    file = KeptFile(tmp_path / "a.kept", "digest")
    for weight in (grouped[0], wanted["lm_head"]):
        file.write(weight)
        assert same(QuantizedWeight(**file.read()), weight)


@pytest.mark.parametrize("component", [1, 2])
def test_samples_do_not_pass_again_through_what_they_have_met(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, component: int
) -> None:
    monkeypatch.setattr(kept_file, "SHARE", float("inf"))
    wanted, products = rounded(tiny_checkpoint, None, component)
    passed: list[str] = []
    operation = QuantizedPath._operation

    def counted(path: QuantizedPath, node: Node) -> object:
        passed.append(node.name)
        return operation(path, node)

    monkeypatch.setattr(QuantizedPath, "_operation", counted)
    for count in (3, 4, 2):
        with pytest.raises(Interrupted):
            rounded(tiny_checkpoint, tmp_path, component, count)
    found, _ = rounded(tiny_checkpoint, tmp_path, component)
    assert all(same(found[name], wanted[name]) for name in products)
    repeated = [name for name, times in Counter(passed).items() if times > 1]
    assert repeated and len(repeated) < len(set(passed)) / 5, "the rest of an MLP, no more"


def test_samples_that_met_other_weights_are_not_taken(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_file, "SHARE", float("inf"))
    wanted, products = rounded(tiny_checkpoint, None)
    with pytest.raises(Interrupted):
        rounded(tiny_checkpoint, tmp_path, 1, 9, None, "other samples")
    other = (tmp_path / "passed.kept").read_bytes()
    with pytest.raises(Interrupted):
        rounded(tiny_checkpoint, tmp_path, 1, 9)
    (tmp_path / "passed.kept").write_bytes(other)
    found, rest = rounded(tiny_checkpoint, tmp_path)
    assert rest == products[9:] and all(same(found[name], wanted[name]) for name in products)
