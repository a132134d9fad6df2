"""Sizes that the settings ask for, compared with those stored before anything of them is built."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.images.resizing import IMAGE_SIZE
from vlmforge.source.heads import BELONGS

Shape = tuple[int, ...]

STACKS = {
    "language": ("num_hidden_layers", "language_model.layers."),
    "vision": ("depth", "visual.blocks."),
}
"""Component to the setting that counts its layers, and what begins the names of their weights."""


@dataclass(frozen=True)
class Size:
    """What a setting asks for.

    Attributes:
        key: of the setting, within its part.
        asked: elements of the weight's axis that follow from it.
        weight: canonical name.
        axis: of the weight.
        direct: whether the setting is that number itself.
    """

    key: str
    asked: int
    weight: str
    axis: int = 0
    direct: bool = True


def require_layers(config: Mapping[str, Any], names: Collection[str], where: object) -> None:
    """No more layers are asked for than are stored; to be known before ``config`` is read.

    transformers lists the kind of each layer as it reads a configuration.

    Args:
        config: the ``config.json``.
        names: canonical names of all weights.
        where: its path, for messages.

    Raises:
        SourceError: a part asks for more layers.
    """
    for part in (_decoder_part(config), "vision_config"):
        holder = config.get(part) if part else config
        key, stack = STACKS["vision" if part == "vision_config" else "language"]
        asked = holder.get(key) if isinstance(holder, Mapping) else None
        if isinstance(asked, int):
            _require_layers(_path(part, key), asked, stack, names, where)


def require_sizes(
    config: Mapping[str, Any], settings: Any, shapes: Mapping[str, Shape], where: object
) -> None:
    """The settings ask for the layers and the widths that are stored, which bound the work.

    A weight that is missing is told elsewhere.

    Args:
        config: the ``config.json``.
        settings: the same as transformers reads it.
        shapes: of all weights, by their canonical names.
        where: the path of ``config.json``, for messages.

    Raises:
        SourceError: a setting asks for something else.
    """
    for part in settings.sub_configs_defaults or ("",):
        found = getattr(settings, part) if part else settings
        component = "vision" if part == "vision_config" else "language"
        stored_part = part if component == "vision" else _decoder_part(config)
        key, stack = STACKS[component]
        _require_layers(_path(stored_part, key), getattr(found, key), stack, shapes, where)
        for size in SIZES[component](found):
            _require_size(size, stored_part, shapes.get(size.weight, ()), where)
        if component == "vision":
            _require_whole_groups(found.patch_size * found.spatial_merge_size, where)


def _require_layers(
    key: str, asked: int, stack: str, names: Collection[str], where: object
) -> None:
    stored = {name[len(stack) :].partition(".")[0] for name in names if name.startswith(stack)}
    if 1 <= asked <= len(stored):
        return
    whole = "choose a checkpoint that holds all its weights"
    raise SourceError(
        f"{key} is {asked}, and weights of {len(stored)} layers are stored",
        where=where,
        mend=f"set {key} to {len(stored)}, or {whole}" if stored else whole,
    )


def _require_size(size: Size, part: str, shape: Shape, where: object) -> None:
    if size.axis >= len(shape) or shape[size.axis] == size.asked:
        return
    key, stored = _path(part, size.key), shape[size.axis]
    raise SourceError(
        f"{key} asks for {size.asked}, and the weight {size.weight} has {stored}",
        where=where,
        mend=f"set {key} to {stored}, or {BELONGS}" if size.direct else BELONGS,
    )


def _require_whole_groups(side: int, where: object) -> None:
    if any(length % side for length in IMAGE_SIZE):
        height, width = IMAGE_SIZE
        raise SourceError(
            f"images of {height} × {width} are no whole groups of {side} × {side} pixels",
            where=where,
            mend="choose a model whose patches times merged patches divide both, such as 28",
        )


def _decoder_part(config: Mapping[str, Any]) -> str:
    """The key of the decoder's settings in ``config.json``: none in a flat one."""
    return "text_config" if isinstance(config.get("text_config"), Mapping) else ""


def _decoder(part: Any) -> Iterator[Size]:
    layer = f"{STACKS['language'][1]}0."
    head = getattr(part, "head_dim", None) or part.hidden_size // part.num_attention_heads
    yield Size("vocab_size", part.vocab_size, "language_model.embed_tokens.weight")
    yield Size("hidden_size", part.hidden_size, "language_model.embed_tokens.weight", 1)
    yield Size("intermediate_size", part.intermediate_size, f"{layer}mlp.up_proj.weight")
    for key, product in (("num_attention_heads", "q_proj"), ("num_key_value_heads", "k_proj")):
        rows = getattr(part, key) * head
        yield Size(key, rows, f"{layer}self_attn.{product}.weight", direct=False)


def _encoder(part: Any) -> Iterator[Size]:
    block, embed = f"{STACKS['vision'][1]}0.", part.embed_dim
    patch = "visual.patch_embed.proj.weight"
    yield Size("embed_dim", embed, patch)
    yield Size("temporal_patch_size", part.temporal_patch_size, patch, 2)
    yield Size("patch_size", part.patch_size, patch, 3)
    yield Size("mlp_ratio", int(embed * part.mlp_ratio), f"{block}mlp.fc1.weight", direct=False)
    joined = embed * part.spatial_merge_size**2
    yield Size("spatial_merge_size", joined, "visual.merger.mlp.0.weight", direct=False)
    yield Size("hidden_size", part.hidden_size, "visual.merger.mlp.2.weight")


SIZES = {"language": _decoder, "vision": _encoder}
"""Component to the sizes that its settings ask for."""


def _path(part: str, key: str) -> str:
    return f"{part}.{key}" if part else key
