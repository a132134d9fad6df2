"""Hostile programs: each breaks one rule and is refused with the instruction's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.machine.decoder import decoder
from tests.machine.encoder import encoder
from tests.machine.single import single
from vlmforge.dims import Dim, Shape
from vlmforge.errors import FormatError
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.layout import pack, pack_group_scale, pack_int4
from vlmforge.program.verify import verify

Kind = tuple[tuple[Dim, ...], str]


def refused(program: Program, rule: str, where: str = "") -> None:
    """Assert that the program is refused for ``rule``, at ``where``."""
    with pytest.raises(FormatError) as caught:
        verify(program)
    assert rule in caught.value.what
    assert where in str(caught.value.where)
    assert caught.value.mend is not None


def changed(program: Program, name: str, /, **fields: Any) -> Program:
    """The program with other fields of one instruction."""
    steps = [replace(s, **fields) if s.name == name else s for s in program.instructions]
    return replace(program, instructions=tuple(steps))


def with_attrs(name: str, **attrs: Any) -> Program:
    """The decoder with other attributes of one instruction."""
    program = decoder()
    old = next(step for step in program.instructions if step.name == name).attrs
    return changed(program, name, attrs={**old, **attrs})


def with_tensor(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Program:
    """The decoder with another array for one tensor."""
    program = decoder()
    return replace(program, tensors={**program.tensors, name: change(program.tensors[name])})


def with_buffer(name: str, /, **fields: Any) -> Program:
    """The decoder with other fields of one buffer."""
    program = decoder()
    buffer = replace(program.buffers[name], **fields)
    return replace(program, buffers={**program.buffers, name: buffer})


def test_a_good_program_passes() -> None:
    verify(decoder())


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"op": "fly"}, "operation of the instruction set"),
        ({"op": ["linear"]}, "operation of the instruction set"),
        ({"inputs": ("logits",)}, "'logits' is written before it is read"),
        ({"inputs": ("l0_q",)}, "'l0_q' is written before it is read"),
        ({"inputs": ("nowhere",)}, "'nowhere' is written before it is read"),
        ({"inputs": ()}, "it has the inputs ['x']"),
        ({"inputs": ("l0_norm1", "rows")}, "it has the inputs ['x']"),
        ({"inputs": "x"}, "list of names"),
        ({"inputs": (1,)}, "list of names"),
        ({"inputs": ("rope_rows",)}, "x is of ['int8', 'int16'], not float32"),
        ({"tensors": {"weight": "l0_q.weight"}}, "the tensor multiplier is given"),
        ({"tensors": {"gain": "l0_q.weight"}}, "not 'gain'"),
        ({"tensors": {"weight": "nowhere"}}, "'nowhere' (weight) exists"),
        ({"tensors": {"weight": 3}}, "3 (weight) exists"),
        ({"tensors": []}, "a mapping"),
        ({"attrs": None}, "a mapping"),
        ({"attrs": {"in_features": 22}}, "attribute out_features is given"),
        ({"name": "rows"}, "written once"),
        ({"name": "inputs_embeds"}, "written once"),
        ({"name": "l9"}, "the buffer it writes exists"),
        ({"name": 3}, "an instruction has a name"),
    ],
)
def test_instruction(fields: dict[str, Any], rule: str) -> None:
    refused(changed(decoder(), "l0_q", **fields), rule, repr(fields.get("name", "l0_q")))


@pytest.mark.parametrize(
    ("name", "attrs", "rule"),
    [
        ("l0_q", {"in_features": 23}, "dimension K is both 22 and 23"),
        ("l0_q", {"in_features": True}, "in_features is a positive integer"),
        ("l0_q", {"in_features": 0}, "in_features is a positive integer"),
        ("l0_q", {"in_features": 2**40}, "in_features is a positive integer"),
        ("l0_q", {"out_features": 25}, "dimension N is both 25 and 24"),
        ("l0_q", {"out_features": 10**6}, "in weight, dimension N/16"),
        ("l0_q", {"threads": 3}, "not 'threads'"),
        ("embeds", {"inverse_scale": 0.0}, "a positive float32"),
        ("embeds", {"inverse_scale": float("nan")}, "a positive float32"),
        ("embeds", {"inverse_scale": 0.1}, "a positive float32"),
        ("embeds", {"inverse_scale": 1e300}, "a positive float32"),
        ("embeds", {"inverse_scale": "8"}, "a positive float32"),
        ("norm", {"epsilon": 0.0}, "epsilon is a positive float32"),
        ("norm", {"multiplier": float("inf")}, "multiplier is a finite float32"),
        ("rows", {"shape": ["seq", 23]}, "hold as many elements"),
        ("rows", {"shape": ["seq", -1]}, "a list of positive sizes, names and multiples"),
        ("rows", {"shape": ["logits", 22]}, "hold as many elements"),
        ("rows", {"shape": []}, "a list of positive sizes, names and multiples"),
        ("rope_rows", {"sections": [1, 1]}, "in cos, dimension C is both 2 and 3"),
        ("rope_rows", {"sections": [4, -1]}, "list of positive integers"),
        ("l0_rope_q", {"head_dim": 8}, "dimension D is both 6 and 8"),
        ("l0_attention", {"heads": 3}, "the 3 heads share 2 kv_heads"),
        ("l0_attention", {"kv_heads": 4}, "dimension G·D is both 12 and 24"),
        ("l0_attention", {"heads": 2}, "dimension H·D is both 24 and 12"),
        ("l0_attention", {"head_dim": 2000}, "head_dim is at most 1024"),
        ("l0_attention", {"causal": 1}, "causal is true or false"),
        ("l0_attention", {"cache": 7}, "cache is a name or null"),
        ("l0_attention", {"cache": "l1"}, "a cache is used by one instruction"),
    ],
)
def test_attribute(name: str, attrs: dict[str, Any], rule: str) -> None:
    refused(with_attrs(name, **attrs), rule)


@pytest.mark.parametrize(
    ("name", "change", "rule"),
    [
        ("l0_q.weight", lambda w: w[:1], "in weight, dimension N/16 is both 2 and 1"),
        ("l0_q.weight", lambda w: w.reshape(2, 6, 4, 16), "a dimension of [2, 6, 4, 16] is 16"),
        ("l0_q.weight", lambda w: w.view(np.uint8), "dimension L is both 3 and 6"),
        ("l0_q.weight", lambda w: w.astype(np.int16), "weight is of ['int8', 'uint8']"),
        ("l0_q.weight", lambda w: np.full_like(w, -128), "codes above the lowest"),
        ("l0_q.weight", lambda w: w.tolist(), "an array of"),
        ("l0_q.multiplier", lambda m: m[:-1], "in multiplier, dimension N is both 24 and 23"),
        ("l0_q.multiplier", lambda m: m[None], "the shape [1, 24] has the form [N]"),
        ("l0_q.multiplier", lambda m: m.astype(">f4"), "an array of"),
        ("l0_q.multiplier", lambda m: m.astype(np.int64), "not int64"),
        ("l0_q.multiplier", lambda m: m * np.float32("nan"), "finite"),
        ("rope_rows.sin", lambda t: t[:-1], "in sin, dimension P is both 64 and 63"),
        ("rope_rows.cos", lambda t: t[:0], "cos is not empty"),
        ("l0_attention.score_multiplier", lambda m: -m, "not negative"),
        ("l0_attention.score_multiplier", lambda m: m[:2], "dimension H is both 4 and 2"),
    ],
)
def test_tensor(name: str, change: Callable[[np.ndarray], np.ndarray], rule: str) -> None:
    refused(with_tensor(name, change), rule, name.split(".")[0])


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("l0_q", {"name": "l0_k"}, "under its own name"),
        ("l0_q", {"dtype": "object"}, "its dtype"),
        ("l0_q", {"dtype": ["int8"]}, "its dtype"),
        ("l0_q", {"dtype": "int64"}, "output is of"),
        ("l0_q", {"shape": ("seq", 25)}, "in output, dimension N is both 24 and 25"),
        ("l0_q", {"shape": ("logits", 24)}, "in output, dimension M is both seq and logits"),
        ("l0_q", {"shape": ("seq", 0)}, "positive sizes, names and multiples"),
        ("l0_q", {"shape": ("seq", -24)}, "positive sizes, names and multiples"),
        ("l0_q", {"shape": ("seq", 2.0)}, "positive sizes, names and multiples"),
        ("l0_q", {"shape": ["seq", 24]}, "positive sizes, names and multiples"),
        ("l0_q", {"scale": -1.0}, "a scale is positive"),
        ("l0_q", {"scale": float("inf")}, "a scale is positive"),
        ("logits", {"scale": 1.0}, "of an integer buffer"),
        ("rows", {"dtype": "int8"}, "the output is int16 as the input"),
        ("l1_q_rows", {"shape": ("seq", 24)}, "dimension n is both logits and seq"),
    ],
)
def test_buffer(name: str, fields: dict[str, Any], rule: str) -> None:
    refused(with_buffer(name, **fields), rule, name)


def test_dimension_of_no_input() -> None:
    refused(with_buffer("l0_q", shape=("batch", 24)), "dimension ['batch'] of 'l0_q'")
    refused(with_buffer("l0_q", shape=("2*batch", 24)), "dimension ['batch'] of 'l0_q'")


MALFORMED = [
    "0*seq", "1*seq", "04*seq", "-2*seq", "2*3*seq", "*seq", "2*", "seq*2", "2 * seq", "2*7", "7",
    "65537*seq", f"{2**31}*seq", f"{2**64 + 2}*seq", "9" * 5000 + "*seq", "", "2.0*seq", "٢*seq",
]  # fmt: skip


@pytest.mark.parametrize("dim", MALFORMED, ids=lambda dim: repr(dim[:20]))
def test_malformed_dimensions(dim: str) -> None:
    rule = "positive sizes, names and multiples of 2 to 65536"
    refused(with_buffer("l0_q", shape=(dim, 24)), rule, "l0_q")
    refused(with_buffer("inputs_embeds", shape=(1, dim, 22)), rule, "inputs_embeds")
    refused(with_attrs("rows", shape=[dim, 22]), rule, "rows")


def test_multiples() -> None:
    verify(encoder())
    buffers = encoder().buffers

    def changed_shape(name: str, *shape: Dim) -> Program:
        return replace(encoder(), buffers={**buffers, name: replace(buffers[name], shape=shape)})

    refused(changed_shape("embed", "2*groups", 16), "dimension M is both 4*groups and 2*groups")
    refused(changed_shape("embed", "groups", 16), "dimension M is both 4*groups and groups")
    refused(changed_shape("merged", "4*groups", 64), "the shape is ['4*groups', 64]", "merged")
    refused(changed_shape("order", "4*groups"), "dimension n is both 4*groups and groups")
    refused(changed_shape("position_ids", "3*groups", "4*groups"), "is 3")
    other = changed(encoder(), "merged", attrs={"shape": ["4*groups", 64]})
    refused(other, "['4*groups', 16] and ['4*groups', 64] hold as many elements")


@pytest.mark.parametrize(
    ("before", "after", "fits"),
    [
        (("4*a", 6), ("a", 24), True),
        (("4*a", 6), (2, "6*a", 2), True),
        (("4*a", "3*b"), ("b", 12, "a"), True),
        (("4*a",), ("2*a", 2), True),
        (("4*a", 6), ("a", 6), False),
        (("4*a", 6), ("4*b", 6), False),
        (("4*a", "b"), ("4*a", "a"), False),
        (("2*a", "2*a"), ("4*a",), False),
        (("2*a", "2*a"), (4, "a", "a"), True),
    ],
)
def test_reshapes_of_multiples(before: Shape, after: Shape, fits: bool) -> None:
    inputs: dict[str, Kind] = {"x": (before, "int8"), "other": (("a", "b"), "int8")}
    program = single("reshape", inputs, (after, "int8"), shape=list(after))
    program.instructions = (replace(program.instructions[0], inputs=("x",)),)
    if fits:
        verify(program)
    else:
        refused(program, "hold as many elements", "'y'")


def test_causal_rows_in_groups() -> None:
    inputs: dict[str, Kind] = {"q": (("2*a", 2), "int8"), "k": (("4*a", 2), "int8")}
    inputs["v"] = inputs["k"]
    tensors = {"score_multiplier": np.ones(1, np.float32), "multiplier": np.ones(2, np.float32)}
    for causal in (False, True):
        program = single(
            "attention", inputs, inputs["q"], tensors,
            heads=1, kv_heads=1, head_dim=2, causal=causal, cache=None,
        )  # fmt: skip
        if causal:
            refused(program, "dimension n is both 2*a and 4*a")
        else:
            verify(program)


def extra(**entries: Any) -> dict[str, Mapping[str, Any]]:
    return {field: {**getattr(decoder(), field), **more} for field, more in entries.items()}


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"outputs": ("nothing",)}, "every output is a buffer"),
        ({"outputs": ()}, "there is an output"),
        ({"outputs": ("logits", "logits")}, "no output is listed twice"),
        ({"inputs": ("inputs_embeds", "inputs_embeds")}, "no input is listed twice"),
        ({"inputs": ("nothing",)}, "every input is a buffer"),
        ({"inputs": None}, "list of names"),
        ({"instructions": decoder().instructions[:-1]}, "every buffer is written"),
        (extra(buffers={"z": Buffer("z", (1,), "int8")}), "every buffer is written"),
        (extra(tensors={"z": np.zeros(1)}), "every tensor is used"),
        ({"meta": {"cache_length": -4}}, "cache_length"),
        ({"meta": {"cache_length": "long"}}, "cache_length"),
    ],
)
def test_whole(fields: dict[str, Any], rule: str) -> None:
    refused(replace(decoder(), **fields), rule, "language")


def product(dtype: str, k: int, bias: np.ndarray | None = None) -> Program:
    tensors = {"weight": pack(np.ones((1, k), np.int8)), "multiplier": np.ones(1, np.float32)}
    tensors |= {} if bias is None else {"bias": bias}
    kind = ((1, 1), "int8")
    inputs: dict[str, Kind] = {"x": ((1, k), dtype)}
    return single("linear", inputs, kind, tensors, in_features=k, out_features=1)


def test_bias_of_the_other_width() -> None:
    refused(product("int8", 4, np.zeros(1, np.int64)), "the bias is int32")
    refused(product("int16", 4, np.zeros(1, np.int32)), "the bias is int64")


def test_bias_that_overflows() -> None:
    refused(product("int16", 4, np.array([-(2**63)])), "bias are within")
    refused(product("int16", 4, np.array([2**52 + 1])), "bias are within")


def test_sums_that_overflow() -> None:
    verify(product("int8", 65536))
    refused(product("int8", 65537), "in_features is at most")


def narrow(
    change: Callable[[np.ndarray], np.ndarray] = lambda weight: weight,
    scales: np.ndarray | None = None,
    **attrs: Any,
) -> Program:
    """A product of 17 outputs and 67 inputs with an int4 weight."""
    codes = np.random.default_rng(0).integers(-8, 8, (17, 67)).astype(np.int8)
    tensors = {"weight": change(pack_int4(codes)), "multiplier": np.ones(17, np.float32)}
    tensors |= {} if scales is None else {"group_scale": pack_group_scale(scales)}
    sizes = {"in_features": 67, "out_features": 17} | attrs
    return single("linear", {"x": ((2, 67), "int8")}, ((2, 17), "int8"), tensors, **sizes)


def test_int4_weights() -> None:
    verify(narrow())
    refused(narrow(lambda w: w[:, :8]), "dimension L is both 9 and 8")


def test_groups() -> None:
    three = np.full((17, 3), -127, np.int8)
    verify(narrow(scales=three, group=32))
    verify(narrow(scales=three[:, :1], group=128))
    refused(narrow(scales=three, group=64), "dimension G is both 2 and 3")
    refused(narrow(scales=three[:16], group=32), "dimension N/16 is both 2 and 1")
    for code in (0, -128):
        one = three.copy()
        one[-1, -1] = code
        refused(narrow(scales=one, group=32), "group_scale are not zero, and above the lowest")
    refused(narrow(scales=three), "given together")
    refused(narrow(group=32), "given together")
    for group in (16, True, 32.0, 2**40):
        refused(narrow(scales=three, group=group), "group is one of")
    wide = {"weight": pack(np.ones((17, 67), np.int8))}
    program = narrow(scales=three, group=32)
    refused(replace(program, tensors={**program.tensors, **wide}), "only an int4 weight has groups")


@pytest.mark.parametrize("op", ["rms_norm", "layer_norm"])
def test_norms(op: str) -> None:
    kind: Kind = ((1, 4), "int16")
    refused(single(op, {"x": kind}, kind, epsilon=1.0), "a gain or a multiplier")
    long: Kind = ((1, 65537), "int16")
    refused(single(op, {"x": long}, long, epsilon=1.0, multiplier=1.0), "K is at most")
    free: Kind = ((1, "seq"), "int16")
    refused(single(op, {"x": free}, free, epsilon=1.0, multiplier=1.0), "K has a fixed size")
    grouped = single(op, {"x": kind}, kind, epsilon=1.0, multiplier=1.0, group=3)
    known = op == "rms_norm"
    refused(grouped, "the width 4 is whole groups of 3" if known else "not 'group'")


@pytest.mark.parametrize(
    ("shape", "kernel", "rule"),
    [
        ((6, 4, 1), [4, 2], "whole patches of 4x2"),
        (("seq", 4, 1), [1, 1], "H has a fixed size"),
        ((6, 4, 1), [2], "two positive integers"),
        ((6, 4, 1), [2, 2], "dimension K is both 4 and 2"),
    ],
)
def test_conv2d(shape: tuple[Dim, ...], kernel: list[int], rule: str) -> None:
    tensors = {"weight": pack(np.ones((1, 2), np.int8)), "multiplier": np.ones(1, np.float32)}
    sizes = {"kernel": kernel, "in_features": 2, "out_features": 1}
    refused(single("conv2d", {"x": (shape, "int8")}, ((6, 1), "int8"), tensors, **sizes), rule)


def test_zero_points() -> None:
    def gelu(dtype: str, zero_point: object) -> Program:
        attrs: dict[str, Any] = {"scale": 1.0, "inverse_scale": 1.0, "zero_point": zero_point}
        return single("gelu", {"x": ((2, 3), "int16")}, ((2, 3), dtype), **attrs)

    verify(gelu("int8", -127))
    refused(gelu("int16", -5), "only int8 codes have a zero_point")
    for value in (-128, 128, 2**70, 1.0, True, "1"):
        refused(gelu("int8", value), "zero_point is an integer of at most 127 either way")


@pytest.mark.parametrize("op", ["add", "mul"])
def test_operands_of_two_shapes(op: str) -> None:
    inputs: dict[str, Kind] = {"a": ((2, 3), "int16"), "b": ((3,), "int16")}
    names = ["multiplier"] if op == "mul" else ["multiplier_a", "multiplier_b"]
    attrs: dict[str, Any] = dict.fromkeys(names, 1.0)
    program = single(op, inputs, ((2, 3), "int16"), **attrs)
    refused(program, "the shape is [3], not [2, 3]")


def test_constant_with_the_lowest_code() -> None:
    value = {"value": np.array([-128], np.int8)}
    refused(single("constant", {}, ((1,), "int8"), value), "above the lowest")


def attention(
    q: Kind, causal: bool, cache: str | None = None, more: Mapping[str, Kind] | None = None
) -> Program:
    kv: Kind = ((3, 2), "int8")
    tensors = {"score_multiplier": np.ones(1, np.float32), "multiplier": np.ones(2, np.float32)}
    sizes: dict[str, Any] = {"heads": 1, "kv_heads": 1, "head_dim": 2}
    inputs = {"q": q, "k": kv, "v": kv, **(more or {})}
    return single("attention", inputs, q, tensors, causal=causal, cache=cache, **sizes)


def test_causal_rows_without_an_index() -> None:
    verify(attention(((5, 2), "int8"), causal=False))
    refused(attention(((5, 2), "int8"), causal=True), "dimension n is both 5 and 3")


@pytest.mark.parametrize(
    ("more", "causal", "rule"),
    [
        ({"visible": ((5, 2), "int64")}, False, None),
        ({"visible": ((5, 2), "int64")}, True, "not causal where visible"),
        ({"visible": ((3, 2), "int64")}, False, "dimension n is both 5 and 3"),
        ({"visible": ((5, 3), "int64")}, False, "a dimension of [5, 3] is 2"),
        ({"visible": ((5, 2), "int8")}, False, "visible is of ['int64'], not int8"),
        ({"visible": ((5, 2, 1), "int64")}, False, "no input of"),
        ({"i": ((5,), "int64"), "visible": ((5, 2), "int64")}, False, "not both"),
        ({"visible": ((5, 2), "int64"), "i": ((5,), "int64")}, False, "not both"),
        ({"i": ((5,), "int64"), "j": ((5,), "int64")}, False, "no input of"),
    ],
)
def test_what_rows_see(more: dict[str, Kind], causal: bool, rule: str | None) -> None:
    program = attention(((5, 2), "int8"), causal, more=more)
    if rule is None:
        verify(program)
    else:
        refused(program, rule)


def test_caches_that_grow_unequally() -> None:
    first = attention(((3, 2), "int8"), causal=True, cache="a")
    kinds = {name: Buffer(name, (4, 2), "int8") for name in ("z", "kv")}
    second = Instruction(
        "z", "attention", ("kv", "kv", "kv"), first.instructions[0].tensors,
        {**first.instructions[0].attrs, "cache": "b"},
    )  # fmt: skip
    program = replace(
        first,
        inputs=(*first.inputs, "kv"),
        buffers={**first.buffers, **kinds},
        instructions=(*first.instructions, second),
    )
    refused(program, "all caches take as many rows")
