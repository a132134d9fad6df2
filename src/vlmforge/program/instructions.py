"""The instruction set as a table: operation to contract, as in ``docs/numbers.md``."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from vlmforge.dims import MAX_FACTOR, elements, is_dim, is_size
from vlmforge.fixed_point import HADAMARD_BLOCKS, LIMITS
from vlmforge.program.layout import COLUMNS, INT4_COLUMNS, ROWS
from vlmforge.program.spec import (
    Attribute,
    Case,
    InstructionSpec,
    Operand,
    Values,
    is_float32,
    require,
)

MAX_FEATURES: Final = 65536
"""Most columns of a product, so that sums of int8 × int8 fit 31 bits in whatever order they run."""

GROUPS: Final = (32, 64, 128)
"""Columns that may share a scale of an int4 weight."""

MAX_CHANNELS: Final = 65536
"""Most columns of a normalization, so that its sums stay within 63 bits."""

MAX_HEAD_DIM: Final = 1024
"""Largest attention head, so that every score is exact in float32."""

DIMS: Final = f"positive sizes, names and multiples of 2 to {MAX_FACTOR}"
"""What shapes are of."""

CODES: Final = ("int8", "int16")
DTYPES: Final = (*CODES, "int64", "float32")


def _is_list(value: Any, accepts: Any, length: int | None = None) -> bool:
    listed = isinstance(value, (list, tuple)) and all(accepts(item) for item in value)
    return listed and (len(value) == length if length is not None else len(value) > 0)


FINITE = Attribute("a finite float32", is_float32)
POSITIVE = Attribute("a positive float32", lambda value: is_float32(value) and value > 0)
COUNT = Attribute("a positive integer", is_size)
COUNTS = Attribute("a list of positive integers", lambda value: _is_list(value, is_size))
PAIR = Attribute("two positive integers", lambda value: _is_list(value, is_size, 2))
SHAPE = Attribute(f"a list of {DIMS}", lambda value: _is_list(value, is_dim))
FLAG = Attribute("true or false", lambda value: isinstance(value, bool))
GROUP = Attribute(
    f"one of {GROUPS}", lambda value: is_size(value) and value in GROUPS, optional=True
)
BLOCK = Attribute(
    f"one of {HADAMARD_BLOCKS}", lambda value: is_size(value) and value in HADAMARD_BLOCKS
)
ZERO_POINT = Attribute(
    f"an integer of at most {LIMITS['int8']} either way",
    lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LIMITS["int8"]
    ),
    optional=True,
)
CACHE = Attribute(
    "a name or null", lambda value: value is None or (isinstance(value, str) and value != ""), True
)

ALL_FINITE = Values("finite", lambda array: bool(np.isfinite(array).all()))
NOT_NEGATIVE = Values(
    "finite and not negative", lambda array: bool((np.isfinite(array) & (array >= 0)).all())
)
BIAS_RANGE = Values("within ±2^52", lambda array: bool((abs(array.astype(float)) <= 2**52).all()))


def _are_values(array: np.ndarray) -> bool:
    if array.dtype.name in CODES:
        return bool((array >= -LIMITS[array.dtype.name]).all())
    return bool(np.isfinite(array).all())


CODES_OR_FINITE = Values("finite, or codes above the lowest", _are_values)


def _are_weights(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 or int(array.min()) >= -LIMITS["int8"]


def _are_scales(array: np.ndarray) -> bool:
    return bool(array.all()) and int(array.min()) >= -LIMITS["int8"]


WEIGHT_CODES = Values("codes above the lowest", _are_weights)
GROUP_SCALES = Values("not zero, and above the lowest", _are_scales)


def _codes(shape: str, *dtypes: str) -> Operand:
    return Operand(shape, dtypes or CODES)


def _float32(shape: str, *, optional: bool = False, values: Values = ALL_FINITE) -> Operand:
    return Operand(shape, ("float32",), optional, values)


def _index(shape: str, *, optional: bool = False) -> Operand:
    return Operand(shape, ("int64",), optional)


def _keeps_dtype(case: Case) -> None:
    source = next(iter(case.dtypes.values()))
    require(case.dtypes["output"] == source, f"the output is {source} as the input")


def _reshape(case: Case) -> None:
    _keeps_dtype(case)
    before, after = case.sizes.rest("X"), tuple(case.attrs["shape"])
    equal = elements(before) == elements(after)
    require(equal, f"the shapes {list(before)} and {list(after)} hold as many elements")
    case.sizes.bind_rest("Y", after)


def _linear(case: Case) -> None:
    features, outputs = case.attrs["in_features"], case.attrs["out_features"]
    require(features <= MAX_FEATURES, f"in_features is at most {MAX_FEATURES}")
    case.sizes.bind("K", features)
    case.sizes.bind("N", outputs)
    case.sizes.bind("N/16", math.ceil(outputs / ROWS))
    columns = COLUMNS if case.dtypes["weight"] == "int8" else INT4_COLUMNS
    case.sizes.bind("L", math.ceil(features / columns))
    _groups(case)
    wanted = {"int8": "int32", "int16": "int64"}[case.dtypes["x"]]
    require(case.dtypes.get("bias", wanted) == wanted, f"the bias is {wanted}")


def _groups(case: Case) -> None:
    grouped = "group_scale" in case.dtypes
    require(grouped == ("group" in case.attrs), "group and group_scale are given together")
    if grouped:
        require(case.dtypes["weight"] == "uint8", "only an int4 weight has groups")
        case.sizes.bind("G", math.ceil(case.attrs["in_features"] / case.attrs["group"]))


def _conv2d(case: Case) -> None:
    (kernel_h, kernel_w), sizes = case.attrs["kernel"], case.sizes
    height, width, channels = (sizes.fixed(letter) for letter in "HWC")
    whole = height % kernel_h == 0 and width % kernel_w == 0
    require(whole, f"the image {height}x{width} is whole patches of {kernel_h}x{kernel_w}")
    sizes.bind("M", (height // kernel_h) * (width // kernel_w))
    sizes.bind("K", kernel_h * kernel_w * channels)
    _linear(case)


def _norm(case: Case) -> None:
    require(case.sizes.fixed("K") <= MAX_CHANNELS, f"K is at most {MAX_CHANNELS}")
    given = "gain" in case.dtypes or "multiplier" in case.attrs
    require(given, "there is a gain or a multiplier")


def _rms_norm(case: Case) -> None:
    _norm(case)
    width = case.sizes.fixed("K")
    group = case.attrs.get("group", width)
    require(width % group == 0, f"the width {width} is whole groups of {group}")


def _hadamard(case: Case) -> None:
    block, width = case.attrs["block"], case.sizes.fixed("K")
    require(width % block == 0, f"the width {width} is whole blocks of {block}")


def _activation(case: Case) -> None:
    narrow = case.dtypes["output"] == "int8"
    require(narrow or "zero_point" not in case.attrs, "only int8 codes have a zero_point")


def _rope_lookup(case: Case) -> None:
    columns = sum(case.attrs["sections"])
    case.sizes.bind("C", columns)
    case.sizes.bind("D", 2 * columns)


def _rope(case: Case) -> None:
    head_dim, width = case.attrs["head_dim"], case.sizes.fixed("Q")
    case.sizes.bind("D", head_dim)
    require(head_dim % 2 == 0, "head_dim is even")
    require(width % head_dim == 0, f"the width {width} is whole heads of {head_dim}")


def _attention(case: Case) -> None:
    heads, kv_heads, head_dim = (case.attrs[n] for n in ("heads", "kv_heads", "head_dim"))
    require(heads % kv_heads == 0, f"the {heads} heads share {kv_heads} kv_heads evenly")
    require(head_dim <= MAX_HEAD_DIM, f"head_dim is at most {MAX_HEAD_DIM}")
    case.sizes.bind("H", heads)
    case.sizes.bind("H·D", heads * head_dim)
    case.sizes.bind("G·D", kv_heads * head_dim)
    if "visible" in case.dtypes:
        require("index" not in case.dtypes, "a row sees by its index or what is visible, not both")
        require(not case.attrs["causal"], "it is not causal where visible says what a row sees")
    elif case.attrs["causal"] and "index" not in case.dtypes:
        case.sizes.bind("n", case.sizes["M"])


PRODUCT_TENSORS: Final = {
    "weight": Operand("N/16 L 16 4", ("int8", "uint8"), values=WEIGHT_CODES),
    "group_scale": Operand("N/16 G 16", ("int8",), True, GROUP_SCALES),
    "multiplier": _float32("N"),
    "bias": Operand("N", ("int32", "int64"), True, BIAS_RANGE),
}
PRODUCT_ATTRS: Final = {"in_features": COUNT, "out_features": COUNT, "group": GROUP}
GAIN: Final = _float32("K", optional=True)
NORM_ATTRS: Final = {
    "epsilon": POSITIVE,
    "multiplier": Attribute(FINITE.meaning, FINITE.accepts, optional=True),
}
ACTIVATION: Final = InstructionSpec(
    inputs={"x": _codes("*S", "int16")},
    output=_codes("*S"),
    attrs={"scale": POSITIVE, "inverse_scale": POSITIVE, "zero_point": ZERO_POINT},
    rule=_activation,
)

INSTRUCTIONS: Final[dict[str, InstructionSpec]] = {
    "quantize": InstructionSpec(
        inputs={"x": Operand("*S", ("float32",))},
        output=_codes("*S"),
        attrs={"inverse_scale": POSITIVE},
    ),
    "requantize": InstructionSpec(
        inputs={"x": _codes("*S", "int16")}, output=_codes("*S"), attrs={"multiplier": FINITE}
    ),
    "reshape": InstructionSpec(
        inputs={"x": Operand("*X", DTYPES)},
        output=Operand("*Y", DTYPES),
        attrs={"shape": SHAPE},
        rule=_reshape,
    ),
    "constant": InstructionSpec(
        inputs={},
        output=Operand("*S", DTYPES),
        tensors={"value": Operand("*S", DTYPES, values=CODES_OR_FINITE)},
        rule=_keeps_dtype,
    ),
    "gather_rows": InstructionSpec(
        inputs={"x": Operand("M *S", DTYPES), "index": _index("n")},
        output=Operand("n *S", DTYPES),
        rule=_keeps_dtype,
    ),
    "linear": InstructionSpec(
        inputs={"x": _codes("M K")},
        output=Operand("M N", (*CODES, "float32")),
        tensors=PRODUCT_TENSORS,
        attrs=PRODUCT_ATTRS,
        rule=_linear,
    ),
    "conv2d": InstructionSpec(
        inputs={"x": _codes("H W C")},
        output=Operand("M N", (*CODES, "float32")),
        tensors=PRODUCT_TENSORS,
        attrs={"kernel": PAIR, **PRODUCT_ATTRS},
        rule=_conv2d,
    ),
    "rms_norm": InstructionSpec(
        inputs={"x": _codes("M K", "int16")},
        output=_codes("M K"),
        tensors={"gain": GAIN},
        attrs={**NORM_ATTRS, "group": Attribute(COUNT.meaning, COUNT.accepts, optional=True)},
        rule=_rms_norm,
    ),
    "layer_norm": InstructionSpec(
        inputs={"x": _codes("M K", "int16")},
        output=_codes("M K"),
        tensors={"gain": GAIN, "bias": GAIN},
        attrs=NORM_ATTRS,
        rule=_norm,
    ),
    "add": InstructionSpec(
        inputs={"a": _codes("*S", "int16"), "b": _codes("*S", "int16")},
        output=_codes("*S"),
        attrs={"multiplier_a": FINITE, "multiplier_b": FINITE},
    ),
    "mul": InstructionSpec(
        inputs={"a": _codes("*S", "int16"), "b": _codes("*S", "int16")},
        output=_codes("*S"),
        attrs={"multiplier": FINITE},
    ),
    "hadamard": InstructionSpec(
        inputs={"x": _codes("M K", "int16")},
        output=_codes("M K"),
        attrs={"block": BLOCK, "multiplier": FINITE},
        rule=_hadamard,
    ),
    "silu": ACTIVATION,
    "gelu": ACTIVATION,
    "quick_gelu": ACTIVATION,
    "gelu_tanh": ACTIVATION,
    "rope_lookup": InstructionSpec(
        inputs={"position_ids": _index("3 M")},
        output=Operand("M 2 D", ("float32",)),
        tensors={"cos": _float32("P C"), "sin": _float32("P C")},
        attrs={"sections": COUNTS},
        rule=_rope_lookup,
    ),
    "rope": InstructionSpec(
        inputs={"x": _codes("M Q", "int16"), "rows": Operand("M 2 D", ("float32",))},
        output=_codes("M Q", "int8"),
        tensors={"multiplier": _float32("Q"), "offset": _float32("Q", optional=True)},
        attrs={"head_dim": COUNT},
        rule=_rope,
    ),
    "attention": InstructionSpec(
        inputs={
            "q": _codes("n H·D", "int8"),
            "k": _codes("M G·D", "int8"),
            "v": _codes("M G·D", "int8"),
            "index": _index("n", optional=True),
            "visible": _index("n 2", optional=True),
        },
        output=_codes("n H·D"),
        tensors={
            "score_multiplier": _float32("H", values=NOT_NEGATIVE),
            "multiplier": _float32("H·D"),
        },
        attrs={
            "heads": COUNT,
            "kv_heads": COUNT,
            "head_dim": COUNT,
            "causal": FLAG,
            "cache": CACHE,
        },
        rule=_attention,
    ),
}

PRODUCTS: Final = tuple(op for op, spec in INSTRUCTIONS.items() if spec.tensors is PRODUCT_TENSORS)
"""Instructions that multiply rows by a weight."""
