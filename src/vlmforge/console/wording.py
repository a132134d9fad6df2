"""How far work is, in words that fit the width of a terminal."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from vlmforge.bench.watch import Memory
from vlmforge.console.course import Piece, View
from vlmforge.progress import duration, human_size
from vlmforge.text import shown

ELLIPSIS, DOTS = "…", "..."
"""What stands for the rest of a line, where the terminal has it and where it has ASCII."""


def stage_words(view: View) -> str:
    """Which stage it is in, such as ``"[4/9] mxq language"``; empty without stages."""
    return "" if view.stage is None else f"[{view.number}/{view.stages}] {shown(view.stage, '')}"


def piece_words(view: View) -> str:
    """What it is at, such as ``"rounding the language model 3/28"``."""
    return "" if view.text is None else f"{shown(view.text, '')} {view.done}/{view.total}"


def time_words(view: View) -> str:
    """The time that it took and takes; of what is not known nothing."""
    if view.stage is None and view.text is None:
        return ""
    words = [f"{duration(view.seconds)} so far"]
    if view.left is not None:
        words.append(f"about {duration(view.left)} left")
    if view.stage is not None and view.all_left is not None and view.number < view.stages:
        words.append(f"about {duration(view.all_left)} for all")
    return ", ".join(words)


def memory_words(memory: Memory | None) -> str:
    """What it takes of memory; empty where the system does not tell."""
    if memory is None:
        return ""
    return f"memory {human_size(memory.now)}, at most {human_size(memory.peak)} so far"


def moving_line(view: View, memory: Memory | None) -> str:
    """All of it in one line."""
    return "; ".join(filter(None, [_where(view), time_words(view), memory_words(memory)]))


def stage_line(view: View, memory: Memory | None) -> str:
    """That a stage is done."""
    words = [f"{stage_words(view)}: done in {duration(view.seconds)}", memory_words(memory)]
    return "; ".join(filter(None, words))


def piece_line(piece: Piece) -> str:
    """That a piece is done."""
    return f"{shown(piece.text, '')}: {piece.total} in {duration(piece.moved - piece.begun)}"


def _where(view: View) -> str:
    return ": ".join(filter(None, [stage_words(view), piece_words(view)]))


def cut(text: str, width: int, encoding: str) -> str:
    """The beginning of a line that has no more than ``width`` cells, in what ``encoding`` has."""
    line = text.encode(encoding, "replace").decode(encoding)
    if cell_len(line) <= width:
        return line
    rest = ELLIPSIS if encoding.lower().startswith("utf") else DOTS
    if width <= cell_len(rest):
        return rest[:width]
    return set_cell_size(line, width - cell_len(rest)).rstrip() + rest
