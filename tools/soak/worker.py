"""Processes that try many inputs each, and the watch over them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from soak.kind import Kind, generator
from vlmforge.errors import VlmforgeError

SECONDS = 5.0
"""Time an input may take."""

MEMORY = 1 << 30
"""Bytes a process may take besides what it begins with."""

ROOM = 2 * MEMORY
"""Address space besides what is in use at the start; threads reserve some that they never use."""

LOOK = 0.05
"""Seconds between two looks at a process."""


@dataclass(frozen=True)
class Failure:
    """What must not happen.

    Attributes:
        kind, number: the input.
        what: one line that failures of the same cause share.
        details: such as a traceback.
    """

    kind: str
    number: int
    what: str
    details: str


@dataclass
class Tally:
    """The inputs of a kind, by what became of them, and its failures."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def attempt(kind: Kind, seed: int, number: int, directory: Path) -> Failure | str | None:
    """Try one input in this process: ``"read"``, ``"refused"``, or the failure."""
    directory.mkdir(parents=True)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            kind.attempt(kind.make(generator(seed, kind.name, number)), directory)
    except VlmforgeError:
        return "refused"
    except BaseException as error:  # what a library of Rust panics with is no Exception
        return Failure(kind.name, number, _cause(error), traceback.format_exc()[-4000:])
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return "read"


def _cause(error: BaseException) -> str:
    """The kind of error and the deepest line of this project that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/vlmforge/" in frame.filename] or frames
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"
    text = str(error).splitlines()[0][:100] if isinstance(error, AssertionError) else ""
    return f"{type(error).__name__} at {place} {text}".strip()


def watch(kind: Kind, seed: int, numbers: Iterator[int], until: float, jobs: int = 1) -> Tally:
    """Try inputs one after the other, in a new process after every one that ends it."""
    tally, workers = Tally(), list[_Worker]()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=_memory_disk()) as folder:
        for _ in range(jobs):
            workers.append(_Worker(kind, seed, numbers, until, Path(folder), workers))
        while workers:
            _wait(workers)
            for worker in [worker for worker in workers if worker.has_ended(tally)]:
                workers.remove(worker)
                if worker.killed and time.monotonic() < until:
                    workers.append(_Worker(kind, seed, numbers, until, Path(folder), workers))
    return tally


def _wait(workers: Sequence[_Worker]) -> None:
    """Until one of them says something, or it is time to look at all."""
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            selector.register(worker.reading, selectors.EVENT_READ)
        selector.select(LOOK)


class _Worker:
    """A process, seen from outside.

    Attributes:
        killed: whether it was ended by an input, and not by the end of its work.
    """

    def __init__(
        self,
        kind: Kind,
        seed: int,
        numbers: Iterator[int],
        until: float,
        folder: Path,
        others: Sequence[_Worker],
    ) -> None:
        self.kind, self.numbers, self.killed = kind, numbers, False
        (self.reading, writing), (asked, self.asking) = os.pipe(), os.pipe()
        os.set_blocking(self.reading, False)
        sys.stdout.flush()
        self.process = os.fork()
        if self.process == 0:
            for end in (self.reading, self.asking, *(w.reading for w in others)):
                os.close(end)
            for worker in others:
                os.close(worker.asking)
            _work(kind, seed, asked, writing, until, folder)
        os.close(writing)
        os.close(asked)
        self.rest = b""
        self.memory = _memory(self.process)
        self._ask()

    def has_ended(self, tally: Tally) -> bool:
        """Take note of what the process has said; whether it is no more, or had to be ended."""
        try:
            heard = os.read(self.reading, 1 << 16)
        except BlockingIOError:
            failure = self._excess()
            return failure is not None and self._end(failure, tally)
        if not heard:
            return self._end(None, tally)
        *lines, self.rest = (self.rest + heard).split(b"\n")
        for line in lines:
            self._take(json.loads(line), tally)
        return False

    def _ask(self) -> None:
        self.number, self.since = next(self.numbers, -1), time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            os.write(self.asking, f"{self.number}\n".encode())

    def _take(self, told: dict[str, str], tally: Tally) -> None:
        tally.outcomes[told["outcome"]] += 1
        if told["outcome"] == "failed":
            failure = Failure(self.kind.name, self.number, told["what"], told["details"])
            tally.failures.append(failure)
        self._ask()

    def _excess(self) -> str | None:
        if time.monotonic() - self.since > SECONDS:
            return f"hangs above {SECONDS:.0f} seconds"
        if _memory(self.process) - self.memory > MEMORY:
            return f"takes more than {MEMORY >> 20} MiB"
        return None

    def _end(self, failure: str | None, tally: Tally) -> bool:
        if failure is not None:
            os.kill(self.process, signal.SIGKILL)
        _, status = os.waitpid(self.process, 0)
        os.close(self.asking)
        os.close(self.reading)
        code = os.waitstatus_to_exitcode(status)
        self.killed = failure is not None or code != 0
        if self.killed:
            died = f"dies of {signal.Signals(-code).name}" if code < 0 else f"exits with {code}"
            tally.outcomes["failed"] += 1
            tally.failures.append(Failure(self.kind.name, self.number, failure or died, ""))
        return True


def _work(kind: Kind, seed: int, asked: int, writing: int, until: float, folder: Path) -> NoReturn:
    """The process: inputs by number, until there are no more or the time is over."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        _limit_memory()
        _answer(kind, seed, asked, writing, until, folder)
        status = 0
    finally:
        os._exit(status)


def _answer(kind: Kind, seed: int, asked: int, writing: int, until: float, folder: Path) -> None:
    with os.fdopen(asked, "r") as questions, os.fdopen(writing, "w") as answers:
        for line in questions:
            if int(line) < 0 or time.monotonic() > until:
                break
            found = attempt(kind, seed, int(line), folder / f"{os.getpid()}-{line.strip()}")
            told = {"outcome": found}
            if isinstance(found, Failure):
                told = {"outcome": "failed", "what": found.what, "details": found.details}
            answers.write(json.dumps(told) + "\n")
            answers.flush()


def _limit_memory() -> None:
    """A limit to address space, where no sanitizer needs all of it."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _memory(process: int) -> int:
    """Resident bytes of a process; 0 if it is gone."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * resource.getpagesize()


def _memory_disk() -> str | None:
    """A place for files that never reach a disk, if there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
