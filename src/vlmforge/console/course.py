"""The course of long work: its stages, the pieces of each, and the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vlmforge.progress import Stage

LEAST, MOST = 0.2, 5.0
"""Bounds of how many times longer than expected stages are taken to be, after those before."""


@dataclass
class Piece:
    """Some work that is told of step by step.

    Attributes:
        text: what it is.
        begun, first: when it was first told of, and how much was done by then.
        moved, done: the same of the last time.
        total: how much there is.
    """

    text: str
    begun: float
    first: int
    moved: float
    done: int
    total: int

    def left(self, now: float) -> float | None:
        """Seconds, if it goes on as before; None before its second step."""
        steps, taken = self.done - self.first, self.moved - self.begun
        if steps <= 0 or taken <= 0:
            return None
        return max(0.0, (self.total - self.done) * taken / steps - (now - self.moved))


@dataclass(frozen=True)
class View:
    """How far the work is.

    Attributes:
        stage, number, stages: the stage it is in, which of how many that is; None without stages.
        text, done, total: the piece last told of; None at the beginning of a stage.
        seconds: since the stage began.
        left, all_left: of the stage and of the whole, about; None where that is not known.
    """

    stage: str | None
    number: int
    stages: int
    text: str | None
    done: int
    total: int
    seconds: float
    left: float | None
    all_left: float | None


@dataclass
class Course:
    """What was told so far; times are seconds of any clock.

    Attributes:
        expected: stages, as they were announced.
    """

    expected: list[Stage] = field(default_factory=list)
    _begun: float | None = None
    _place: int = -1
    _pieces: dict[str, Piece] = field(default_factory=dict)
    _last: Piece | None = None
    _foreseen: float = 0.0
    _taken: float = 0.0

    def expect(self, stages: Sequence[Stage]) -> None:
        """All stages there are."""
        self.expected = list(stages)

    def begin(self, name: str, now: float) -> None:
        """A stage begins."""
        names = [each.name for each in self.expected]
        if name not in names[self._place + 1 :]:
            self.expected.insert(self._place + 1, Stage(name))
            names.insert(self._place + 1, name)
        self._place = names.index(name, self._place + 1)
        self._pieces, self._last, self._begun = {}, None, now

    def end(self, now: float) -> None:
        """The stage is done; later ones are expected to be as much longer or shorter."""
        stage = self.expected[self._place]
        if stage.seconds and not stage.at_most and self._begun is not None:
            self._foreseen += stage.seconds
            self._taken += now - self._begun

    def report(self, text: str, done: int, total: int, now: float) -> Piece:
        """A step of a piece is done."""
        piece = self._pieces.get(text)
        if piece is None or done < piece.done:
            self._pieces.pop(text, None)  # one that begins anew is the youngest
            piece = self._pieces[text] = Piece(text, now, done, now, done, total)
        piece.moved, piece.done, piece.total = now, done, total
        if self._begun is None:
            self._begun = now
        self._last = piece
        return piece

    def view(self, now: float) -> View:
        """How far it is."""
        stage = self.expected[self._place] if self._place >= 0 else None
        last, seconds = self._last, now - (now if self._begun is None else self._begun)
        left = self._left(stage, seconds, now)
        return View(
            stage.name if stage else None,
            self._place + 1,
            len(self.expected),
            last.text if last else None,
            last.done if last else 0,
            last.total if last else 0,
            seconds,
            left,
            self._all_left(left),
        )

    def _left(self, stage: Stage | None, seconds: float, now: float) -> float | None:
        """Of the stage: as was expected, but at least what the outermost piece still takes.

        Where the expectation is a bound, the piece says how much less it will be.
        """
        unfinished = (each for each in self._pieces.values() if each.done < each.total)
        outermost = next(unfinished, None)
        piece = None if outermost is None else outermost.left(now)
        if stage is None or stage.seconds is None:
            return piece
        rest = max(0.0, stage.seconds * (1.0 if stage.at_most else self._pace) - seconds)
        if piece is None:
            return rest
        return min(rest, piece) if stage.at_most else max(rest, piece)

    def _all_left(self, left: float | None) -> float | None:
        """Of the whole; None where a stage that is expected to take long has no time yet."""
        later = [each for each in self.expected[self._place + 1 :] if each.seconds is not None]
        if left is None and not later:
            return None
        return (left or 0.0) + sum((each.seconds or 0.0) * self._pace for each in later)

    @property
    def _pace(self) -> float:
        """How many times longer stages took than was expected."""
        return min(MOST, max(LEAST, self._taken / self._foreseen)) if self._foreseen else 1.0
