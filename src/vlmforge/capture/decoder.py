"""The traceable text decoder: a pre-norm transformer with rotary attention and gated MLP."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vlmforge.capture.modules import (
    Attention,
    GatedMLP,
    HeadNorm,
    RMSNorm,
    Rope,
    RopeTable,
    Unturned,
)
from vlmforge.families.decoder import DecoderSizes


class SelfAttention(nn.Module):
    """Self-attention, rotary or not; queries of only the wanted rows if an ``index`` is given."""

    def __init__(self, sizes: DecoderSizes, layer: int) -> None:
        super().__init__()
        query, key = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
        self.q_proj = nn.Linear(sizes.hidden, query, bias=sizes.biases.inputs)
        self.k_proj = nn.Linear(sizes.hidden, key, bias=sizes.biases.inputs)
        self.v_proj = nn.Linear(sizes.hidden, key, bias=sizes.biases.inputs)
        self.o_proj = nn.Linear(query, sizes.hidden, bias=sizes.biases.output)
        self.q_norm, self.k_norm = _head_norm(sizes, sizes.heads), _head_norm(sizes, sizes.kv_heads)
        self.turned = sizes.turned[layer]
        self.q_rope, self.k_rope = _rope(sizes, self.turned), _rope(sizes, self.turned)
        self.attention = Attention(
            sizes.heads,
            sizes.kv_heads,
            sizes.head_dim,
            causal=True,
            cache=f"layers_{layer}",
            scale=sizes.score_scale,
        )

    def forward(self, x: Tensor, rows: Tensor, index: Tensor | None) -> Tensor:
        key, value = self.k_rope(self.k_norm(self.k_proj(x)), rows), self.v_proj(x)
        if index is not None:
            x = x.index_select(0, index)
            rows = rows.index_select(0, index) if self.turned else rows
        query = self.q_rope(self.q_norm(self.q_proj(x)), rows)
        return self.o_proj(self.attention(query, key, value, index))


def _rope(sizes: DecoderSizes, turned: bool) -> nn.Module:
    return Rope(sizes.head_dim) if turned else Unturned()


def _head_norm(sizes: DecoderSizes, heads: int) -> nn.Module:
    return HeadNorm(heads, sizes.head_dim, sizes.eps) if sizes.head_norms else nn.Identity()


class DecoderLayer(nn.Module):
    """Attention and MLP with residuals; the last layer keeps only the rows of ``index``."""

    def __init__(self, sizes: DecoderSizes, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(sizes.hidden, sizes.eps)
        self.self_attn = SelfAttention(sizes, layer)
        self.post_attention_layernorm = RMSNorm(sizes.hidden, sizes.eps)
        self.mlp = GatedMLP(
            sizes.hidden, sizes.intermediate, sizes.activation, bias=sizes.biases.mlp
        )

    def forward(self, x: Tensor, rows: Tensor, index: Tensor | None) -> Tensor:
        attended = self.self_attn(self.input_layernorm(x), rows, index)
        x = attended + (x if index is None else x.index_select(0, index))
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """All layers and the final norm."""

    def __init__(self, sizes: DecoderSizes, table: RopeTable) -> None:
        super().__init__()
        self.rotary_emb = table
        self.layers = nn.ModuleList([DecoderLayer(sizes, i) for i in range(sizes.layers)])
        self.norm = RMSNorm(sizes.hidden, sizes.eps)

    def forward(
        self, x: Tensor, position_ids: Tensor, index: Tensor, added: tuple[Tensor, ...]
    ) -> Tensor:
        rows = self.rotary_emb(position_ids)
        for number, layer in enumerate(self.layers):
            wanted = index if layer is self.layers[-1] else None
            x = layer(x, rows, wanted)
            if number < len(added):
                features = added[number]
                x = x + (features if wanted is None else features.index_select(0, wanted))
        return self.norm(x)


class LanguageModel(nn.Module):
    """Embeddings ``[1, seq, hidden]`` to logits ``[logits, vocabulary]``.

    ``position_ids`` is ``[3, seq]``; ``logits_index`` ``[logits]`` names the rows of this chunk
    whose logits are wanted, so prefill computes the head for one row. ``deepstack`` are like the
    embeddings; the first layers add one each to their output.
    """

    def __init__(self, sizes: DecoderSizes, table: RopeTable) -> None:
        super().__init__()
        self.model = Decoder(sizes, table)
        self.lm_head = nn.Linear(sizes.hidden, sizes.vocabulary, bias=False)

    def forward(
        self,
        inputs_embeds: Tensor,
        position_ids: Tensor,
        logits_index: Tensor,
        deepstack: tuple[Tensor, ...] = (),
    ) -> Tensor:
        x, *added = (torch.reshape(each, each.shape[1:]) for each in (inputs_embeds, *deepstack))
        return self.lm_head(self.model(x, position_ids, logits_index, tuple(added)))
