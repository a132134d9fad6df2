"""Bits of weights and activations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictFloat

from vlmforge.config.section import Section

Bits = Literal[4, 8]


class BitConfig(Section):
    """Bits of weights and activations."""

    class LayerOverrides(Section):
        """Nodes whose bits differ from the rest, by node name."""

        activation_16bits: tuple[str, ...] = ()
        """Nodes whose output codes are int16 though a matrix product reads them."""
        weight_8bits: tuple[str, ...] = ()
        """Nodes whose weight codes are int8 whatever ``transformer.weight`` says."""

    class Transformer(Section):
        """Bits of the products of a transformer layer."""

        class Weight(Section):
            """Bits of each weight: the four attention projections, feed-forward, logits."""

            query: Bits = 8
            key: Bits = 8
            value: Bits = 8
            output: Bits = 8
            ffn: Bits = 8
            head: Bits = 8

        weight: Weight = Weight()
        weight_group: Literal[32, 64, 128] | None = 128
        """Columns of a 4-bit weight that share a scale; None for one scale an output channel."""

    layer_overrides: LayerOverrides = LayerOverrides()
    transformer: Transformer = Transformer()
    activation_16_share: StrictFloat = Field(default=0.1, ge=0, le=1)
    """Share of the products that may read int16 because int8 would hurt their inputs most."""
    activation_16_loss: StrictFloat = Field(default=0.0005, ge=0)
    """What int8 loses at least of inputs that are int16 for that reason: the sum of two relative
    squared errors, that of all elements together and the mean of the tokens' own."""
