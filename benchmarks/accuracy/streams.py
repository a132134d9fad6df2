"""Residual streams of an original model that sees: what writes their rows, and what reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

ARCHITECTURES = tuple(
    f"{name}ForConditionalGeneration" for name in ("Qwen2VL", "Qwen2_5_VL", "Qwen3VL")
)
"""The models whose streams are known."""


@dataclass(frozen=True)
class Stream:
    """A residual stream.

    Attributes:
        norms: each norm of its rows, and the products that read that.
        writers: products and tables whose outputs are rows of the stream.
        width: its channels.
    """

    norms: list[tuple[nn.Module, list[nn.Linear]]]
    writers: list[nn.Module]
    width: int

    @property
    def centred(self) -> bool:
        """Whether its norms subtract the mean of a row."""
        return isinstance(self.norms[0][0], nn.LayerNorm)

    def written(self) -> Iterator[Tensor]:
        """The weights and biases of the writers, each with the stream's channels as first axis.

        What is changed in them is changed in the model.
        """
        for writer in self.writers:
            weight = writer.weight.detach()
            yield weight.T if isinstance(writer, nn.Embedding) else weight
            if getattr(writer, "bias", None) is not None:
                yield writer.bias.detach()


def streams(model: PreTrainedModel) -> dict[str, Stream]:
    """The residual streams of the decoder and of the tower."""
    text, tower = model.model.language_model, model.model.visual
    mergers = [tower.merger, *getattr(tower, "deepstack_merger_list", [])]
    norms = [(text.norm, [model.lm_head])]
    writers = [text.embed_tokens, *(_merging(merger)[2] for merger in mergers)]
    for layer in text.layers:
        attention, mlp = layer.self_attn, layer.mlp
        norms.append(
            (layer.input_layernorm, [attention.q_proj, attention.k_proj, attention.v_proj])
        )
        norms.append((layer.post_attention_layernorm, [mlp.gate_proj, mlp.up_proj]))
        writers += [attention.o_proj, mlp.down_proj]
    decoder = Stream(norms, writers, model.config.text_config.hidden_size)

    norms = [(norm, [first]) for norm, first, _ in map(_merging, mergers)]
    writers = [tower.patch_embed.proj, *filter(None, [getattr(tower, "pos_embed", None)])]
    for block in tower.blocks:
        *inputs, output = (part for part in block.mlp.children() if isinstance(part, nn.Linear))
        norms += [(block.norm1, [block.attn.qkv]), (block.norm2, inputs)]
        writers += [block.attn.proj, output]
    return {"decoder": decoder, "tower": Stream(norms, writers, block.attn.proj.out_features)}


def _merging(merger: nn.Module) -> tuple[nn.Module, nn.Linear, nn.Linear]:
    """The norm and the two products of a merger."""
    first, last = (part for part in merger.modules() if isinstance(part, nn.Linear))
    return (merger.ln_q if hasattr(merger, "ln_q") else merger.norm), first, last


def rows_read(stream: Stream, run: Callable[[], object]) -> list[Tensor]:
    """The rows that each norm reads during ``run``, ``[rows, width]``.

    One tensor a norm, in the order of :attr:`Stream.norms`; float64, less their means where norms
    subtract these.
    """
    found: list[list[Tensor]] = [[] for _ in stream.norms]

    def keep(index: int, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].detach().double().reshape(-1, stream.width)
        found[index].append(rows - rows.mean(dim=1, keepdim=True) if stream.centred else rows)

    hooks = [
        norm.register_forward_pre_hook(lambda _, inputs, index=index: keep(index, inputs))
        for index, (norm, _) in enumerate(stream.norms)
    ]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return [torch.cat(rows) for rows in found]


def turning(directions: list[Tensor], channels: list[int], centred: bool) -> Tensor:
    """The rotation of row vectors that takes orthonormal directions to channels.

    Where rows are ``centred`` it keeps their means, and the channels carry the directions as nearly
    as that allows. A product of Householder reflections.

    Args:
        directions: float64 ``[width]`` each, at least one.
        channels: one for each.
        centred: whether the mean of each direction is 0.

    Returns:
        float64 ``[width, width]``.
    """
    width = len(directions[0])
    units = torch.eye(width, dtype=torch.float64)
    targets, _ = torch.linalg.qr((units - 1 / width if centred else units)[channels].T)
    rotation = units.clone()
    for direction, target in zip(directions, targets.T, strict=True):
        normal = direction @ rotation - target
        rotation -= 2 / (normal @ normal) * torch.outer(rotation @ normal, normal)
    return rotation


@torch.no_grad()
def rotate(stream: Stream, rotation: Tensor) -> None:
    """Rotate the rows of a stream; the gains of its norms go to their readers."""
    for written in stream.written():
        turned = rotation.T @ written.double().reshape(stream.width, -1)
        written.copy_(turned.reshape(written.shape))
    for norm, readers in stream.norms:
        for reader in readers:
            weight, side_by_side = reader.weight.double(), reader.in_features // len(norm.weight)
            if stream.centred:
                reader.bias += (weight @ norm.bias.double().repeat(side_by_side)).float()
            gained = weight * norm.weight.double().repeat(side_by_side)
            reader.weight.copy_((gained.unflatten(1, (-1, stream.width)) @ rotation).flatten(1))
        norm.weight.fill_(1)
        if stream.centred:
            norm.bias.zero_()
