"""What becomes of every setting of transformers' configuration classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Rule(Enum):
    """A setting that any value may have."""

    HONOURED = "the compiled program computes what it says"
    NO_EFFECT = "the values a model computes do not depend on it"


@dataclass(frozen=True)
class Only:
    """A setting honoured for some values and refused for others.

    Attributes:
        values: those honoured; of a list, what its elements may be.
        mend: what to do about another value.
    """

    values: tuple[Any, ...]
    mend: str

    def admits(self, value: Any) -> bool:
        """Whether the value, or every element of a list, is honoured."""
        elements = value if isinstance(value, (list, tuple)) else [value]
        return all(element in self.values for element in elements)


@dataclass(frozen=True)
class Whole:
    """A setting honoured as one whole number, though transformers takes a list too."""

    mend: str = "choose a model with one number for height, width and time each"

    def admits(self, value: Any) -> bool:
        """Whether the value is a whole number."""
        return isinstance(value, int)


@dataclass(frozen=True)
class Square:
    """A setting honoured as one whole number above zero, for height and width alike."""

    mend: str = "choose a model with one number for height and width"

    def admits(self, value: Any) -> bool:
        """Whether the value is such a number, or that number twice."""
        sides = value if isinstance(value, (list, tuple)) else [value, value]
        return len(sides) == 2 and sides[0] == sides[1] and type(sides[0]) is int and sides[0] > 0


@dataclass(frozen=True)
class Small:
    """A setting honoured as a finite number that is not negative."""

    mend: str = "correct it: 1e-6 is usual"

    def admits(self, value: Any) -> bool:
        """Whether the value is such a number."""
        return isinstance(value, (int, float)) and 0 <= value < float("inf")


@dataclass(frozen=True)
class Positive:
    """A setting honoured as a finite number above zero."""

    mend: str = "take the config.json that the model was published with"

    def admits(self, value: Any) -> bool:
        """Whether the value is such a number."""
        return isinstance(value, (int, float)) and 0 < value < float("inf")


@dataclass(frozen=True)
class Token:
    """A setting honoured as the id of a token.

    Attributes:
        end: no id is as large.
    """

    mend: str = "set it to the token's id in tokenizer.json"
    end: int = 1 << 32

    def admits(self, value: Any) -> bool:
        """Whether the value may be an id, or there is none."""
        return value is None or (isinstance(value, int) and 0 <= value < self.end)


@dataclass(frozen=True)
class Reach:
    """A setting honoured as the number of tokens beyond which the original computes otherwise.

    A package takes no more of them. None is for a model that never does.
    """

    mend: str = "choose a model whose number is larger"
    least: int = 256

    def admits(self, value: Any) -> bool:
        """Whether a conversation fits."""
        return value is None or (isinstance(value, int) and value >= self.least)


@dataclass(frozen=True)
class Fraction:
    """A setting honoured as a share of the whole, above zero; None is all of it."""

    mend: str = "set it to a number above 0 and up to 1"

    def admits(self, value: Any) -> bool:
        """Whether the value is such a share."""
        return value is None or (isinstance(value, (int, float)) and 0 < value <= 1)


Fate = Rule | Only | Whole | Square | Small | Positive | Token | Reach | Fraction
Fields = Mapping[str, Fate]

ANY, NO_EFFECT = Rule.HONOURED, Rule.NO_EFFECT

ABSENT = Only((None,), "choose a model without it")
HIDDEN_ACTS = ("silu", "gelu", "quick_gelu", "gelu_pytorch_tanh")
"""The activation functions that the machine has, as ``hidden_act`` spells them."""

ACTIVATION = Only(HIDDEN_ACTS, "choose a model with one of " + ", ".join(HIDDEN_ACTS))
FLAG = Only((True, False), "set it to true or false")
_WHOLE_SEQUENCE = Only(("full_attention",), "choose a model that attends to the whole sequence")
_STATIC_ROPE = ("default", "linear", "yarn", "llama3")
"""Kinds of RoPE whose angles depend on the position alone, not on the sequence's length."""

COMMON: Fields = dict.fromkeys(
    (
        "_attn_implementation",
        "_model_name_or_path",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "auto_map",
        "chunk_size_feed_forward",
        "dtype",
        "id2label",
        "initializer_range",
        "label2id",
        "model_type",
        "name_or_path",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    ),
    NO_EFFECT,
) | {
    "is_encoder_decoder": Only((False,), "choose a decoder"),
    "transformers_weights": Only((None,), "keep the weights in model.safetensors"),
    **dict.fromkeys(("fusion_config", "kv_sharing_modes", "per_layer_config"), ABSENT),
}
"""Settings of every configuration; a program computes the same whatever ``dtype`` says."""

_TOKENS: Fields = {
    "bos_token_id": NO_EFFECT,
    "eos_token_id": ANY,
    "image_token_id": Token(),
    "pad_token_id": NO_EFFECT,
    "video_token_id": NO_EFFECT,
    "vision_end_token_id": NO_EFFECT,
    "vision_start_token_id": Token(),
    "vision_token_id": NO_EFFECT,
}

DECODER: Fields = {
    **COMMON,
    "attention_dropout": NO_EFFECT,
    "head_dim": ANY,
    "hidden_act": ACTIVATION,
    "hidden_size": ANY,
    "intermediate_size": ANY,
    "is_causal": Only((True, None), "choose a model that reads from left to right"),
    "layer_types": _WHOLE_SEQUENCE,
    "max_position_embeddings": ANY,
    "max_window_layers": ANY,
    "num_attention_heads": ANY,
    "num_hidden_layers": ANY,
    "num_key_value_heads": ANY,
    "rms_norm_eps": Small(),
    "rope_parameters": ANY,
    "rope_scaling": ANY,
    "rope_theta": ANY,
    "sliding_window": ANY,
    "tie_word_embeddings": ANY,
    "use_sliding_window": ANY,
    "vocab_size": ANY,
    **_TOKENS,
}
"""The windows of ``sliding_window`` and its like reach the model by ``layer_types``."""

TILED_TOWER: Fields = {
    **COMMON,
    "attention_dropout": NO_EFFECT,
    "hidden_act": ACTIVATION,
    "hidden_size": ANY,
    "image_size": Square(),
    "intermediate_size": ANY,
    "layer_norm_eps": Small(),
    "num_attention_heads": ANY,
    "num_channels": Only((3,), "choose a model of pictures in red, green and blue"),
    "num_hidden_layers": ANY,
    "patch_size": Square(),
}
"""Settings that every tower of square tiles has."""

_ROPE: Fields = {
    "rope_theta": ANY,
    "type": NO_EFFECT,
    "partial_rotary_factor": Only((1, None), "choose a model whose heads are rotated whole"),
}

ROPE_FIELDS: Mapping[str, Fields] = {
    "decoder": {
        **_ROPE,
        "rope_type": Only(_STATIC_ROPE, "choose a model with one of " + ", ".join(_STATIC_ROPE)),
        "attention_factor": ANY,
        "beta_fast": ANY,
        "beta_slow": ANY,
        "factor": ANY,
        "high_freq_factor": ANY,
        "low_freq_factor": ANY,
        "mrope_interleaved": NO_EFFECT,
        "mrope_section": ANY,
        "mscale": ANY,
        "mscale_all_dim": ANY,
        "original_max_position_embeddings": ANY,
        "truncate": ANY,
    },
    "vision": {**_ROPE, "rope_type": Only(("axial",), "choose a model with axial RoPE")},
}
"""The fate of the settings in ``rope_parameters``; ``type`` is an older spelling of its kind."""
