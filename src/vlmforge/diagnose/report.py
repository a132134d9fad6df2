"""The report of a diagnosis, JSON-able; ``docs/diagnose.md`` describes every key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmforge.diagnose.cases import Case, Wanted, collect_cases
from vlmforge.diagnose.diagnosis import Diagnosis, diagnose
from vlmforge.diagnose.findings import Finding, branch_shares, find_culprits
from vlmforge.diagnose.node import CLASSES, NodeRecord
from vlmforge.diagnose.original import config_of, original_graphs, require_origin
from vlmforge.diagnose.tally import Tally, decibels
from vlmforge.graph.ops import MOVES, TABLES
from vlmforge.progress import Progress
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint

VERSION = 1
"""Of the report's form."""


def diagnose_package(
    package: Path | str,
    reference: str,
    wanted: Wanted,
    work_dir: Path | None = None,
    progress: Progress | None = None,
    verify_key: Path | None = None,
) -> dict[str, Any]:
    """Compare a package with the model it was compiled from.

    Args:
        package: its directory, or its name on the Hub.
        reference: the original model, a local directory or an id on the Hub.
        wanted: what to run.
        work_dir: of the package's compilation, for transformations that follow from samples.
        progress: is told of every node.
        verify_key: file of the public key with which the package has to be signed.

    Raises:
        PackageError: the package was compiled from another model.
        CalibrationError: transformations follow from samples that cannot be found.
        RotationError: its rotation cannot be computed again.
        RunError: the inputs cannot be read, or do not suit the package.
    """
    session, checkpoint = Session.open(package, verify_key=verify_key), Checkpoint.open(reference)
    require_origin(session.package, checkpoint)
    cases = collect_cases(session, wanted)
    originals = original_graphs(session.package, checkpoint, work_dir, progress)
    diagnosis = diagnose(session, checkpoint, originals, cases, progress)
    facts = {
        "package": str(package),
        "reference": checkpoint.model_id,
        "config": config_of(session.package.text).document(),
    }
    return report(diagnosis, cases, facts)


def report(diagnosis: Diagnosis, cases: Sequence[Case], facts: dict[str, Any]) -> dict[str, Any]:
    """The report of what was measured; ``facts`` say on what."""
    shares = branch_shares(diagnosis.records)
    shown = [r for r in diagnosis.records if r.op not in (*TABLES, *MOVES)]
    outside = sorted((r for r in shown if r.outside), key=lambda r: -r.outside_share)
    return {
        "format": "vlmforge.diagnosis",
        "version": VERSION,
        **facts,
        "cases": [case.name for case in cases],
        "tokens": diagnosis.tokens,
        "logits": {label: _agreement(diagnosis, label) for label in CLASSES},
        "culprits": [_culprit(f) for f in find_culprits(diagnosis.records, facts["config"])],
        "coverage": [_coverage(record) for record in outside],
        "nodes": [_node(record, shares[record.component, record.name]) for record in shown],
    }


def _agreement(diagnosis: Diagnosis, label: str) -> dict[str, Any]:
    found = diagnosis.agreement[label]
    rows = max(1, found.rows)
    return {"rows": found.rows, "kl": found.kl / rows, "top1_agreement": found.top1 / rows}


def _culprit(finding: Finding) -> dict[str, Any]:
    node = finding.node
    return {
        "name": node.name,
        "component": node.component,
        "stage": node.stage,
        "op": node.op,
        "kind": finding.kind,
        "score": finding.score,
        "share": finding.share,
        "local_sqnr_db": decibels(node.local_noise),
        "accumulated_sqnr_db": decibels(node.accumulated_noise),
        "jump": finding.jump,
        "why": finding.why,
        "mend": finding.mend,
        "setting": finding.setting,
        "channels": list(finding.channels),
    }


def _coverage(record: NodeRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "component": record.component,
        "outside": record.outside_share,
        "saturated": record.saturated_share,
        "used": record.used,
    }


def _node(record: NodeRecord, share: float) -> dict[str, Any]:
    return {
        "name": record.name,
        "component": record.component,
        "stage": record.stage,
        "op": record.op,
        "dtype": record.dtype,
        "weight_bits": record.weight_bits,
        "largest": record.largest,
        "limit": record.limit,
        "used": record.used,
        "outside": record.outside_share,
        "saturated": record.saturated_share,
        "branch_share": share,
        "local": _errors(record.local),
        "accumulated": _errors(record.accumulated),
        "rounding_sqnr_db": record.rounding.sqnr_db,
        "clipping_sqnr_db": record.clipped.sqnr_db,
        "effect_sqnr_db": record.effect.sqnr_db,
        "weight_before": record.before,
        "weight_after": record.after,
    }


def _errors(tallies: dict[str, Tally]) -> dict[str, Any]:
    return {
        label: {"rows": t.rows, "sqnr_db": t.sqnr_db, "cosine": t.mean_cosine}
        for label, t in tallies.items()
        if t.rows
    }
