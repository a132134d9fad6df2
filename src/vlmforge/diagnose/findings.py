"""Findings: the nodes that hurt most, why they do, and the setting that would mend each.

A node's score is its local noise-to-signal ratio (for an operand of attention, the one it causes
in the attention's output) times the share that its branch has in the residual stream where it
joins it: noise in a branch that adds little is diluted by the stream.
What no rounding explains is a fault and stands before everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vlmforge.diagnose.node import NodeRecord
from vlmforge.diagnose.settings import missing
from vlmforge.graph.ops import MOVES, PRODUCTS

FAULT_NOISE = 0.25
"""Local noise-to-signal ratio (6 dB) above which no choice of bits explains the error."""

NARROW_USE = 0.25
"""A range of which less than this is in use wastes two bits or more."""


@dataclass(frozen=True)
class Finding:
    """One culprit.

    Attributes:
        node: its record.
        kind: ``"fault"``, ``"range"``, ``"clipping"``, ``"weights"`` or ``"rounding"``.
        score: local noise-to-signal ratio, diluted as it joins the residual stream.
        share: of the sum of all scores.
        jump: accumulated noise-to-signal ratio beyond that of the worst input.
        why, mend: sentences.
        setting: the part of a configuration that mends it; empty where none does.
        channels: channels that are wrong, of a fault.
    """

    node: NodeRecord
    kind: str
    score: float
    share: float
    jump: float
    why: str
    mend: str
    setting: dict[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = ()


def find_culprits(records: Sequence[NodeRecord], config: Mapping[str, Any]) -> list[Finding]:
    """Every node with a local error, the worst first.

    Args:
        records: of all nodes.
        config: the document of the configuration; settings it has already are not named.
    """
    shares = branch_shares(records)
    by_name = {(r.component, r.name): r for r in records}
    scores = {id(r): _reaching_noise(r) * shares[r.component, r.name] for r in records}
    total = sum(scores.values()) or 1.0
    found = []
    for record in records:
        score = scores[id(record)]
        if score > 0:
            facts = (score, score / total, _jump(record, by_name))
            found.append(_unsettled(_finding(record, records, *facts), config))
    return sorted(found, key=lambda f: (f.kind != "fault", -f.score))


def _reaching_noise(record: NodeRecord) -> float:
    """The local noise, but that of an attention's operand as it leaves the attention."""
    if not record.effect.rows or record.local_noise >= FAULT_NOISE:
        return record.local_noise
    beyond = max(0.0, record.local_noise - record.rounding.ratio)
    return record.effect.ratio + beyond


def branch_shares(records: Sequence[NodeRecord]) -> dict[tuple[str, str], float]:
    """For each node, the energy of its branch relative to the sum that it first joins."""
    shares: dict[tuple[str, str], float] = {}
    readers = _readers(records)
    for record in reversed(records):
        key = (record.component, record.name)
        joined = [
            reader.branch[record.name].ratio
            if record.name in reader.branch
            else shares[reader.component, reader.name]
            for reader in readers.get(key, [])
        ]
        shares[key] = min(1.0, max(joined)) if joined else 1.0
    return shares


def _readers(records: Sequence[NodeRecord]) -> dict[tuple[str, str], list[NodeRecord]]:
    readers: dict[tuple[str, str], list[NodeRecord]] = {}
    for record in records:
        for name in record.inputs:
            readers.setdefault((record.component, name), []).append(record)
    return readers


def _jump(record: NodeRecord, by_name: dict[tuple[str, str], NodeRecord]) -> float:
    inputs = [by_name.get((record.component, name)) for name in record.inputs]
    before = max((r.accumulated_noise for r in inputs if r is not None), default=0.0)
    return record.accumulated_noise - before


def _finding(
    record: NodeRecord, records: Sequence[NodeRecord], score: float, share: float, jump: float
) -> Finding:
    noise, rounding = record.local_noise, record.rounding.ratio
    wrong = tuple(record.wrong_channels())
    settled = (score, share, jump)
    if wrong or (noise >= FAULT_NOISE and rounding < noise / 4):
        return Finding(record, "fault", *settled, *_fault(record, wrong), {}, wrong)
    if record.clipped.ratio > noise / 2:
        return Finding(record, "clipping", *settled, *_clipping(record))
    if rounding > noise / 2 and (record.used or 1.0) < NARROW_USE:
        return Finding(record, "range", *settled, *_narrow(record))
    if rounding > noise / 2 or record.weight_bits is None:
        return Finding(record, "rounding", *settled, *_rounding(record, records))
    return Finding(record, "weights", *settled, *_weights(record))


def _unsettled(finding: Finding, config: Mapping[str, Any]) -> Finding:
    """The finding with what the configuration does not have of its setting."""
    setting = missing(finding.setting, config)
    if setting or not finding.setting:
        return replace(finding, setting=setting)
    mend = f"{finding.mend}: the configuration does so already, and no other setting helps"
    return replace(finding, setting={}, mend=mend)


Advice = tuple[str, str, dict[str, Any]]


def _fault(record: NodeRecord, wrong: tuple[int, ...]) -> tuple[str, str]:
    if record.op == "embedding":
        return (
            "the embedding is not the original's, rotated as the programs are",
            "build it again with its language program's rotation: `vlmforge package MODEL`",
        )
    if record.op == "preprocess":
        return (
            "the pixels are not those of the original's processor",
            "take over preprocessor_config.json from the original: `vlmforge package MODEL`",
        )
    total = len(wrong)
    where = f"{total} channels, such as {wrong[0]}," if total > 1 else "every channel together"
    where = f"channel {wrong[0]}" if total == 1 else where
    return (
        f"{where} strays further than any rounding: its weights or scales are not the original's",
        "compile the package again; the file was altered, or a stage went wrong",
    )


def _clipping(record: NodeRecord) -> Advice:
    return (
        f"{record.outside_share:.2%} of the values lie beyond the calibrated range",
        "calibrate with more data of this kind, or let more of the range in",
        {"calibration": {"maxPercentile": {"percentile": 1.0}}},
    )


def _narrow(record: NodeRecord) -> Advice:
    used = record.used or 0.0
    why = (
        f"only {used:.1%} of the {record.dtype} range is in use: the scale is "
        f"{1 / max(used, 1e-9):.1f} times what these values need"
    )
    if record.dtype == "int16":
        return why, "calibrate with data of this kind; int16 ranges hold all that was seen", {}
    clipping = {"calibration": {"mode": 1, "maxPercentile": {"percentile": 0.9999}}}
    return why, "calibrate with data of this kind, or let the largest values be clipped", clipping


def _weights(record: NodeRecord) -> Advice:
    why = f"its int{record.weight_bits} weights are rounded too coarsely"
    if record.weight_bits == 4:
        return why, "give this product 8-bit weights", _override("weight8Bits", record.name)
    return (
        why,
        "int8 is the widest weight there is: spread its outliers with a rotation",
        {"equivalentTransformation": {"SpinR1": {"apply": True}, "SpinR2": {"apply": True}}},
    )


def _rounding(record: NodeRecord, records: Sequence[NodeRecord]) -> Advice:
    why = f"its {record.dtype} codes are too coarse for these values"
    if record.dtype != "int8":
        return why, "int16 is the widest activation there is", {}
    readers = _computing_readers(record, records)
    if any(reader.op == "attention" for reader in readers):
        return (
            f"{why}; attention takes its operands as int8",
            "spread the outliers of queries, keys and values before attention",
            {
                "equivalentTransformation": {
                    "QkRotation": {"apply": True},
                    "SpinR2": {"apply": True},
                }
            },
        )
    name = override_name(record, readers)
    return why, "give it 16 bits", _override("activation16Bits", name)


def override_name(record: NodeRecord, readers: Sequence[NodeRecord]) -> str:
    """The node that ``activation16Bits`` must name to widen a value.

    An override of a product means its input, so a value that a product computes, or an input of
    the program, is named by the product that reads it. Nodes that a transformation added have no
    name before it; a rotated value goes by what is rotated.
    """
    if record.op == "hadamard":
        return record.inputs[0]
    if record.op in (*PRODUCTS, "quantize"):
        return next((r.name for r in readers if r.op in PRODUCTS), record.name)
    return record.name


def _computing_readers(record: NodeRecord, records: Sequence[NodeRecord]) -> list[NodeRecord]:
    names, found = {record.name}, []
    for other in records:
        if other.component == record.component and names & set(other.inputs):
            if other.op in MOVES:
                names.add(other.name)
            else:
                found.append(other)
    return found


def _override(key: str, name: str) -> dict[str, Any]:
    return {"bit": {"layerOverrides": {key: [name]}}}
