"""Where a checkpoint stores what the traceable decoder has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vlmforge.capture.original import Counterpart, module_of
from vlmforge.capture.rope import DecoderRope
from vlmforge.families.decoder import Decoder, DecoderSizes, Multipliers
from vlmforge.graph.core import Weight
from vlmforge.source.checkpoint import Checkpoint

TURNED = ("q_proj", "k_proj", "q_norm", "k_norm")
"""Modules whose channels are those that RoPE turns."""


@dataclass(frozen=True)
class StoredDecoder:
    """The original's modules behind those of :class:`vlmforge.capture.decoder.LanguageModel`.

    Attributes:
        decoder: of the family.
        sizes: of the decoder.
        rope: says which channel of a head stands where.
        multipliers: that weights take in.
    """

    decoder: Decoder
    sizes: DecoderSizes
    rope: DecoderRope
    multipliers: Multipliers

    def counterpart(self, module: str) -> Counterpart:
        """What a module gives of the original's that has the same path but for its beginning."""
        name = module.rpartition(".")[2]
        order = self.rope.order if name in TURNED else None
        factors = dict.fromkeys(("o_proj", "down_proj"), self.multipliers.residual)
        factors["lm_head"] = self.multipliers.logits
        holder, names = self.decoder.holder(name)
        channels = None
        if len(names) > 1:
            before = sum(map(self.sizes.channels, names[: names.index(name)]))
            channels = (before, before + self.sizes.channels(name))
        path = module.removesuffix(name) + holder
        return Counterpart(path, channels, order, factors.get(name, 1.0))

    def of_node(self, node: str) -> str | None:
        """What a node of the captured graph gives of the original, as text, if anything."""
        module = module_of(node, _MODULES)
        if module is None:
            return None
        return str(self.counterpart(module.replace("PATH", self.decoder.path)))

    def weight(self, checkpoint: Checkpoint, path: str) -> Weight:
        """The checkpoint's weight for a parameter; a head norm's gains for every head."""
        module, _, role = re.sub(r"^model\.", "language_model.", path).rpartition(".")
        found = self.counterpart(module)
        weight = found.weight(checkpoint.weight(f"{found.module}.{role}"))
        heads = {"q_norm": self.sizes.heads, "k_norm": self.sizes.kv_heads}
        repeats = heads.get(module.rpartition(".")[2], 1)
        if repeats == 1:
            return weight
        return weight.map(lambda gains: gains.repeat(repeats), (repeats * weight.shape[0],))


_MODULES = (
    (r"model_layers_(\d+)_self_attn_([qkvo]_proj|[qk]_norm)", r"PATH.layers.\1.self_attn.\2"),
    (r"model_layers_(\d+)_mlp_(\w+)", r"PATH.layers.\1.mlp.\2"),
    (r"model_layers_(\d+)_(\w+_layernorm)", r"PATH.layers.\1.\2"),
    (r"model_layers_(\d+)/add_1", r"PATH.layers.\1"),
    (r"model_norm", r"PATH.norm"),
    (r"lm_head", r"lm_head"),
)
