"""Decoder: the text decoder of a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from vlmforge.families.fields import ROPE_FIELDS, Fields
from vlmforge.families.size import Size

LAYERS = "language_model.layers."
"""Begins the canonical names of the weights of layers."""


CONTEXT = 16384
"""Most tokens that a decoder is compiled for."""

Limits = Mapping[str, int | None]
"""Settings to the number of tokens beyond which the original computes otherwise, None for never."""

Positions = Literal["axis", "mrope"]


@dataclass(frozen=True)
class Biases:
    """Which products of a layer have biases.

    Attributes:
        inputs: those that make queries, keys and values.
        output: the one behind attention.
        mlp: all three of the MLP.
    """

    inputs: bool = False
    output: bool = False
    mlp: bool = False


def biased_inputs(part: Any) -> Biases:
    """Biases of queries, keys and values, whatever the settings say."""
    return Biases(inputs=True)


def no_biases(part: Any) -> Biases:
    """None at all, whatever the settings say."""
    return Biases()


def stated_biases(part: Any) -> Biases:
    """What ``attention_bias`` and ``mlp_bias`` say."""
    attention = bool(getattr(part, "attention_bias", False))
    return Biases(attention, attention, bool(getattr(part, "mlp_bias", False)))


@dataclass(frozen=True)
class Multipliers:
    """Constants that some decoders multiply by, all of which weights take in.

    Attributes:
        embedding: of token embeddings as they enter the decoder.
        residual: of what attention and MLP add to the residual stream.
        scores: of the products of queries and keys; ``1 / sqrt(head_dim)`` by default.
        logits: of the head's output.
    """

    embedding: float = 1.0
    residual: float = 1.0
    scores: float | None = None
    logits: float = 1.0


def no_multipliers(part: Any) -> Multipliers:
    """Those of most decoders."""
    return Multipliers()


def all_turned(part: Any) -> list[bool]:
    """RoPE in every layer."""
    return [True] * part.num_hidden_layers


def no_limits(part: Any) -> Limits:
    """The same computation for any number of tokens."""
    return {}


def window_limit(part: Any) -> Limits:
    """Beyond ``sliding_window`` tokens the first are seen no more."""
    return {"sliding_window": part.sliding_window}


@dataclass(frozen=True)
class DecoderSizes:
    """The numbers that make one decoder differ from another."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    eps: float
    activation: str
    score_scale: float
    biases: Biases
    head_norms: bool
    turned: tuple[bool, ...]

    def channels(self, product: str) -> int:
        """Output channels of a layer's product, by its name in the traceable decoder."""
        heads, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        known = {"q_proj": heads, "k_proj": keys, "v_proj": keys}
        return known.get(product, self.intermediate)


@dataclass(frozen=True)
class Decoder:
    """A pre-norm decoder with rotary attention and a gated MLP.

    Attributes:
        rotary: makes transformers' rotary embedding of the decoder's settings; it has ``inv_freq``
            and ``attention_scaling``, and ``mrope_section`` where it is M-RoPE.
        settings: key of its settings in the configuration; empty where they are the root's.
        path: of its module in the original model.
        positions: what a token's position is: a number, or the three of M-RoPE.
        interleaved: whether the axes of M-RoPE take turns from pair to pair, where its sections
            would be one behind the other (Qwen3-VL).
        rotary_name: of that module within the decoder's.
        rope_fields: the fate of the settings of RoPE.
        fused: products whose rows the original has in one, by that one's name; in order.
        biases: which products have them, by the decoder's settings.
        multipliers: the constants it multiplies by, by its settings.
        limits: the numbers of tokens beyond which it computes otherwise, by its settings.
        turned: of each layer, by its settings, whether RoPE turns its queries and keys.
        head_norms: whether each head of queries and keys is normalized before RoPE.
        depth: the setting that counts the layers.
    """

    rotary: Callable[[Any], Any]
    settings: str = ""
    path: str = "model"
    positions: Positions = "axis"
    interleaved: bool = False
    rotary_name: str = "rotary_emb"
    rope_fields: Fields = field(default_factory=lambda: ROPE_FIELDS["decoder"])
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    biases: Callable[[Any], Biases] = biased_inputs
    multipliers: Callable[[Any], Multipliers] = no_multipliers
    limits: Callable[[Any], Limits] = no_limits
    turned: Callable[[Any], Sequence[bool]] = all_turned
    head_norms: bool = False
    depth: str = "num_hidden_layers"

    def part(self, settings: Any) -> Any:
        """The decoder's part of a configuration."""
        return getattr(settings, self.settings) if self.settings else settings

    def context(self, part: Any) -> tuple[int, str | None]:
        """Most tokens that are compiled for, and the setting that allows no more, if one does."""
        limits = {key: tokens for key, tokens in self.limits(part).items() if tokens is not None}
        key = min(limits, key=limits.__getitem__, default=None)
        return (CONTEXT, None) if key is None or limits[key] >= CONTEXT else (limits[key], key)

    def sizes(self, part: Any) -> DecoderSizes:
        """The sizes in its settings."""
        return DecoderSizes(
            hidden=part.hidden_size,
            intermediate=part.intermediate_size,
            layers=part.num_hidden_layers,
            heads=part.num_attention_heads,
            kv_heads=part.num_key_value_heads,
            head_dim=_head_dim(part),
            vocabulary=part.vocab_size,
            eps=part.rms_norm_eps,
            activation=part.hidden_act,
            score_scale=self.multipliers(part).scores or _head_dim(part) ** -0.5,
            biases=self.biases(part),
            head_norms=self.head_norms,
            turned=tuple(self.turned(part)),
        )

    def stored(self, settings: Any) -> Iterator[Size]:
        """What the settings of the whole model ask of its weights."""
        part = self.part(settings)
        sizes = self.sizes(part)
        layer, embedding = f"{LAYERS}0.", "language_model.embed_tokens.weight"
        yield Size("vocab_size", part.vocab_size, embedding)
        yield Size("hidden_size", part.hidden_size, embedding, 1)
        if self.head_norms:
            yield Size("head_dim", sizes.head_dim, f"{layer}self_attn.k_norm.weight")
        for key, product in (
            ("intermediate_size", "mlp.up_proj"),
            ("num_attention_heads", "self_attn.q_proj"),
            ("num_key_value_heads", "self_attn.k_proj"),
        ):
            block, _, name = product.rpartition(".")
            holder, names = self.holder(name)
            rows, weight = sum(map(sizes.channels, names)), f"{layer}{block}.{holder}.weight"
            yield Size(key, rows, weight, direct=rows == getattr(part, key))

    def holder(self, product: str) -> tuple[str, tuple[str, ...]]:
        """The product of the original that has a product's rows, and all whose rows it has."""
        for fused, names in self.fused.items():
            if product in names:
                return fused, names
        return product, (product,)


def _head_dim(part: Any) -> int:
    own: int | None = getattr(part, "head_dim", None)
    return own or part.hidden_size // part.num_attention_heads
