"""Sizes that the settings ask for, compared with those stored before anything of them is built."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families.decoder import LAYERS, Decoder
from vlmforge.families.family import Family
from vlmforge.families.size import Size
from vlmforge.families.tower import Tower
from vlmforge.source.heads import BELONGS

Shape = tuple[int, ...]


def require_layers(
    family: Family, config: Mapping[str, Any], names: Collection[str], where: object
) -> None:
    """No more layers are asked for than are stored; to be known before ``config`` is read.

    transformers lists the kind of each layer as it reads a configuration.

    Args:
        family: of the model.
        config: the ``config.json``.
        names: canonical names of all weights.
        where: its path, for messages.

    Raises:
        SourceError: a part asks for more layers.
    """
    for part, stack in _stacks(family):
        key = _stored_key(part, config)
        holder = config.get(key) if key else config
        asked = holder.get(part.depth) if isinstance(holder, Mapping) else None
        if isinstance(asked, int):
            _require_layers(_path(key, part.depth), asked, stack, names, where)


def require_sizes(
    family: Family,
    config: Mapping[str, Any],
    settings: Any,
    shapes: Mapping[str, Shape],
    where: object,
) -> None:
    """The settings ask for the layers and the widths that are stored, which bound the work.

    A weight that is missing is told elsewhere.

    Args:
        family: of the model.
        config: the ``config.json``.
        settings: the same as transformers reads it.
        shapes: of all weights, by their canonical names.
        where: the path of ``config.json``, for messages.

    Raises:
        SourceError: a setting asks for something else.
    """
    for part, stack in _stacks(family):
        found, key = part.part(settings), _stored_key(part, config)
        _require_layers(_path(key, part.depth), getattr(found, part.depth), stack, shapes, where)
        for size in part.stored(settings):
            _require_size(size, key, shapes.get(size.weight, ()), where)
    if family.tower is not None:
        _require_deepstack(family.decoder, family.tower, settings, where)


def _require_deepstack(decoder: Decoder, tower: Tower, settings: Any, where: object) -> None:
    """Each of the further features of a tower is added by a layer of its own."""
    features = len(tower.sizes(settings).mergers)
    layers = getattr(decoder.part(settings), decoder.depth)
    if features > layers:
        what = f"{tower.settings}.deepstack_visual_indexes names {features} blocks"
        raise SourceError(f"{what}, and the decoder has {layers} layers", where=where, mend=BELONGS)


def _stacks(family: Family) -> Iterator[tuple[Decoder | Tower, str]]:
    """The parts of a family, and what begins the names of the weights of their layers."""
    yield family.decoder, LAYERS
    if family.tower is not None:
        yield family.tower, family.tower.blocks


def _stored_key(part: Decoder | Tower, config: Mapping[str, Any]) -> str:
    """The key of a part's settings in ``config.json``: none of a decoder's in a flat one."""
    flat = isinstance(part, Decoder) and not isinstance(config.get(part.settings), Mapping)
    return "" if flat else part.settings


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


def _path(part: str, key: str) -> str:
    return f"{part}.{key}" if part else key
