"""Attention heads that share their channels evenly and that RoPE can turn."""

from __future__ import annotations

import dataclasses
from typing import Any

from vlmforge.errors import SourceError
from vlmforge.families.tower import Tower

PLANE = 2
"""Channels that one frequency turns."""

BELONGS = "take the config.json that belongs to the weights"


def require_encoder_heads(name: str, tower: Tower, settings: Any, where: object) -> None:
    """A vision encoder's heads; RoPE turns half of their channels by the height of a patch.

    Args:
        name: key of the part in ``config.json``.
        tower: the encoder.
        settings: of the whole model.
        where: the path of ``config.json``, for messages.

    Raises:
        SourceError: heads of this number or size cannot be meant.
    """
    sizes, multiple = tower.sizes(settings), 1 if tower.rotary is None else 2 * PLANE
    _require_whole(f"{name}.{tower.heads}", sizes.heads, sizes.embed, multiple, where)


def require_decoder_heads(name: str, part: Any, where: object) -> None:
    """A decoder's heads, those of keys and values, and the sections of M-RoPE.

    Arguments and errors are those of :func:`require_encoder_heads`; ``name`` may be empty, and
    ``part`` holds the decoder's settings.
    """
    prefix = f"{name}." if name else ""
    heads, shared, hidden = part.num_attention_heads, part.num_key_value_heads, part.hidden_size
    own, rope = getattr(part, "head_dim", None), getattr(part, "rope_parameters", None) or {}
    key, sections = f"{prefix}num_attention_heads", rope.get("mrope_section")
    read = sections is None or "head_dim" in {field.name for field in dataclasses.fields(part)}
    if own is not None and not read and own * heads != hidden:
        what = f"{heads} heads of {own} channels do not fill a hidden size of {hidden}"
        raise SourceError(what, where=where, mend=f"correct {key}, or {BELONGS}")
    _require_whole(key, heads, hidden if own is None else own * heads, PLANE, where)
    if not shared or shared < 1 or heads % shared:
        what = f"{heads} heads cannot share {shared} heads of keys and values"
        mend = f"correct {prefix}num_key_value_heads, or {BELONGS}"
        raise SourceError(what, where=where, mend=mend)
    if sections is not None:
        head_dim = own or hidden // heads
        _require_sections(f"{prefix}rope_parameters.mrope_section", sections, head_dim, where)


def _require_whole(key: str, heads: int, width: int, multiple: int, where: object) -> None:
    if heads < 1 or width < 1 or width % heads:
        what = f"{heads} heads do not fill a hidden size of {width}"
    elif width // heads % multiple:
        what = f"heads of {width // heads} channels cannot be rotated in multiples of {multiple}"
    else:
        return
    raise SourceError(what, where=where, mend=f"correct {key}, or {BELONGS}")


def _require_sections(key: str, sections: Any, head_dim: int, where: object) -> None:
    counts = isinstance(sections, (list, tuple)) and all(type(n) is int and n > 0 for n in sections)
    if counts and len(sections) == 3 and PLANE * sum(sections) == head_dim:
        return
    raise SourceError(
        f"{key} is {sections}, which does not fill half a head of {head_dim} channels "
        "with three axes",
        where=where,
        mend=f"correct it, or {BELONGS}",
    )
