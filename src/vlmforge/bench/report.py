"""Benchmark: everything measured about one package, and the report of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from vlmforge.bench import measure
from vlmforge.bench.limits import Limits, Probe
from vlmforge.bench.measure import Measurement
from vlmforge.bench.memory import peak_resident
from vlmforge.bench.profile import Share, profile
from vlmforge.bench.timing import Timing
from vlmforge.bench.work import Work, sizes_of
from vlmforge.bench.workload import Workload
from vlmforge.decode.deepstack import Deepstack
from vlmforge.decode.inputs import NO_ROWS
from vlmforge.machine.cores import cores, processor
from vlmforge.machine.machine import Machine
from vlmforge.run.session import Session

Report = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        prefill: lengths of prompts, in tokens.
        decode: tokens generated.
        sessions: conversations that generate side by side, besides one alone.
        threads: that the machine uses; of the limits too.
        rounds: how often each is timed.
        profile: whether to say where the time goes.
    """

    prefill: Sequence[int] = (128, 512)
    decode: int = 64
    sessions: int = 4
    threads: int = field(default_factory=cores)
    rounds: int = 5
    profile: bool = False


def benchmark(open_session: Callable[[], Session], plan: Plan) -> Report:
    """Measure a package.

    Args:
        open_session: opens it, with the threads of the plan.
        plan: what to measure.

    Returns:
        The report that ``docs/benchmark.md`` describes: seconds, bytes, tokens and operations a
        second; None where this machine or package has no such figure.

    Raises:
        RunError: the sequences do not fit the session's maximum length.
    """
    with Probe(plan.threads) as probe:
        return _benchmark(open_session, plan, probe.measure)


def _benchmark(
    open_session: Callable[[], Session], plan: Plan, beside: Callable[[], Limits]
) -> Report:
    rounds = plan.rounds
    before = beside()
    loading = measure.load(open_session, rounds)
    workload = Workload(open_session())
    first_token = measure.first_token(workload, rounds)
    prefill = [measure.prefill(workload, count, rounds, beside) for count in plan.prefill]
    decode = measure.decode(workload, plan.decode, rounds, beside)
    together = measure.decode(workload, plan.decode, rounds, beside, plan.sessions)
    vision = measure.vision(workload, rounds, beside)
    memory = {"peak_resident": peak_resident(), "mapped": _mapped(workload.session)}
    profiles = _profiles(workload, plan) if plan.profile else None
    limits = before.best(beside())
    return {
        "package": str(workload.session.package.dir),
        "machine": _machine(workload.session.text, plan.threads),
        "limits": asdict(limits),
        "load": loading.summary(),
        "first_token": _known(first_token),
        "prefill": [_facts(each) for each in prefill],
        "decode": _facts(decode),
        "decode_together": {"sessions": plan.sessions, **_facts(together)},
        "vision": _known(vision),
        "memory": memory,
        "profile": profiles and {k: _shares(v, limits) for k, v in profiles.items()},
    }


def _machine(machine: Machine, threads: int) -> Report:
    return {
        "implementation": type(machine).__name__,
        "instruction_set": getattr(machine, "isa", None),
        "threads": threads,
        "processor": processor(),
        "processors": os.cpu_count(),
    }


def _mapped(session: Session) -> int:
    """Bytes of the package's tensors, which are read where they lie in its files."""
    package = session.package
    programs = [package.text] + ([] if package.vision is None else [package.vision])
    tensors = [tensor for program in programs for tensor in program.tensors.values()]
    return sum(tensor.nbytes for tensor in tensors) + package.embeddings.nbytes


def _known(measured: Measurement | None) -> Report | None:
    return None if measured is None else _facts(measured)


def _facts(measured: Measurement) -> Report:
    facts: Report = {"tokens": measured.tokens, **measured.timing.summary()}
    if measured.tokens is not None:
        facts["tokens_per_second"] = measured.tokens / measured.timing.median
    return facts if measured.work is None else facts | _rates(measured.work, measured.timing)


def _rates(work: Work, timing: Timing) -> Report:
    return {
        "weight_bytes": work.weight_bytes,
        "bytes_per_second": work.weight_bytes / timing.median,
        "operations": work.operations,
        "operations_per_second": work.operations / timing.median,
        "of_read_bandwidth": timing.part(work.weight_bytes, attrgetter("read_bandwidth")),
        "of_int8_peak": timing.part(work.operations, attrgetter("int8_peak")),
    }


def _part(reached: float, limit: float | None) -> float | None:
    return None if limit is None else reached / limit


def _profiles(workload: Workload, plan: Plan) -> dict[str, list[Share]]:
    """The profile of a decoding step, of the longest prompt and of an image."""
    session = workload.session
    shares = {"decode": _profile_text(workload, measure.PAST, 1)}
    if plan.prefill:
        shares["prefill"] = _profile_text(workload, 0, max(plan.prefill))
    if session.vision is not None and session.preprocess is not None:
        machine = session.vision.machine
        feeds = session.vision.feeds(session.preprocess(workload.picture()))
        shares["vision"] = profile(machine, feeds, sizes_of(machine.program, feeds))
    return shares


def _profile_text(workload: Workload, past: int, count: int) -> list[Share]:
    machine, cache = workload.session.text, workload.session.text.new_cache(past + count)
    if past:
        machine.run(_text_feeds(workload, 0, past), cache)
    feeds = _text_feeds(workload, past, count)
    return profile(machine, feeds, {"seq": count, "logits": 1}, cache)


def _text_feeds(workload: Workload, past: int, count: int) -> dict[str, np.ndarray]:
    rows = workload.session.package.embeddings[workload.tokens(count).token_ids]
    positions = np.broadcast_to(np.arange(past, past + count), (3, count))
    embedded = Deepstack.of(workload.session.package.text).feeds(
        rows, np.zeros(count, bool), NO_ROWS
    )
    return embedded | {
        "position_ids": np.ascontiguousarray(positions),
        "logits_index": np.array([count - 1]),
    }


def _shares(shares: list[Share], limits: Limits) -> list[Report]:
    total = sum(share.seconds for share in shares)
    return [_share(share, total, limits) for share in shares]


def _share(share: Share, total: float, limits: Limits) -> Report:
    """A kind's part of the time; of the limits, where it has products."""
    facts = {
        "kind": share.kind,
        "instructions": share.instructions,
        "seconds": share.seconds,
        "share": share.seconds / total,
        "of_read_bandwidth": None,
        "of_int8_peak": None,
    }
    if share.work.operations:
        bandwidth = share.work.weight_bytes / share.seconds
        facts["of_read_bandwidth"] = _part(bandwidth, limits.read_bandwidth)
        facts["of_int8_peak"] = _part(share.work.operations / share.seconds, limits.int8_peak)
    return facts
