"""Write docs/models.md, the table of families and of what becomes of their settings.

    python tools/models_page.py

Everything in it is read off the declarations in ``vlmforge.families``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from vlmforge.families.decoder import CONTEXT
from vlmforge.families.family import Family
from vlmforge.families.fields import COMMON, NO_EFFECT, Fate, Fields, Only, Reach
from vlmforge.families.registry import families

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"

INTRODUCTION = f"""\
# Models

Which models are taken, and what becomes of every setting of theirs. `python tools/models_page.py`
writes this page from the declarations in `src/vlmforge/families`. Where a model may keep its files,
and what is checked before any work, is told by [Checkpoints](checkpoints.md). Sizes are those that
are published; any other of the same architecture is taken too. A decoder is compiled for up to
{CONTEXT:,} tokens.
"""

VIDEOS = {
    "whole": "videos",
    "timed": "videos, slice by slice behind their times",
    "unseen": "no videos",
}


def page() -> str:
    """The page, from the families there are."""
    known = sorted(families().values(), key=lambda family: (family.tower is None, family.models))
    common = {field: fate for field, fate in COMMON.items() if isinstance(fate, Only)}
    parts = [
        INTRODUCTION,
        "\n".join(_table(known)),
        "## Settings\n",
        "A setting that nothing here names is told in a warning and has no effect. In every class "
        f"without effect are {_listed(COMMON.keys() - common.keys())}. Refused unless so:\n",
        "\n".join(_refused(common)),
        *(_section(family) for family in known),
    ]
    return "\n".join(parts).rstrip("\n") + "\n"


def _table(known: list[Family]) -> Iterator[str]:
    yield "| Models | `architectures[0]` | Takes | Particular |"
    yield "| --- | --- | --- | --- |"
    for family in known:
        cells = (family.models, f"`{family.architecture}`", _takes(family), family.particular)
        yield f"| {' | '.join(cells)} |"
    yield ""


def _takes(family: Family) -> str:
    if family.tower is None:
        return "text"
    images = "images as tiles" if family.tower.rotary is None else "images of any size"
    return f"text, {images}, {VIDEOS[family.processor.shown]}"


def _section(family: Family) -> str:
    lines = [f"### {family.architecture}\n"]
    classes = [*family.fields.items(), ("rope_parameters", family.decoder.rope_fields)]
    for name, fields in classes:
        own = {field: fate for field, fate in fields.items() if COMMON.get(field) != fate}
        honoured = [f for f, fate in own.items() if fate != NO_EFFECT and not _judged(fate)]
        idle = [field for field, fate in own.items() if fate == NO_EFFECT]
        bounds = [field for field, fate in own.items() if isinstance(fate, Reach)]
        lines.append(f"`{name}`\n")
        lines.append(f"- honoured: {_listed(honoured)}")
        if bounds:
            lines.append(f"- honoured as the most tokens of a package: {_listed(bounds)}")
        if idle:
            lines.append(f"- without effect: {_listed(idle)}")
        lines += [*_refused(own)]
    return "\n".join(lines)


def _judged(fate: Fate) -> bool:
    return isinstance(fate, (Only, Reach))


def _refused(fields: Fields) -> Iterator[str]:
    for field, fate in sorted(fields.items()):
        if isinstance(fate, Only):
            values = ", ".join(f"`{value!r}`" for value in fate.values)
            yield f"- refused unless `{field}` is {values}: {fate.mend}"
    yield ""


def _listed(fields: Iterable[str]) -> str:
    return ", ".join(f"`{field}`" for field in sorted(fields)) or "none"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
