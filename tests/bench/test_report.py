"""The benchmark of a tiny package: complete, consistent, and plain JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vlmforge.bench import report as reports
from vlmforge.bench import table
from vlmforge.bench.limits import Limits
from vlmforge.bench.report import Plan, benchmark
from vlmforge.errors import RunError
from vlmforge.run.session import Session

PLAN = Plan(prefill=(8, 20), decode=3, sessions=2, threads=1, rounds=2, profile=True)
LIMITS = Limits(read_bandwidth=1e9, int8_peak=None)


@pytest.fixture(scope="module", autouse=True)
def known_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports.Probe, "measure", lambda probe: LIMITS)
        yield


@pytest.fixture(scope="module")
def report(tiny_package: Path) -> dict[str, Any]:
    return benchmark(lambda: Session.open(tiny_package), PLAN)


def test_report_is_json(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report)) == report


def test_rates_follow_from_the_medians(report: dict[str, Any]) -> None:
    decode = report["decode"]
    assert decode["tokens_per_second"] == decode["tokens"] / decode["median"]
    reached = sorted(decode["weight_bytes"] / decode[name] / 1e9 for name in ("slowest", "fastest"))
    assert decode["of_read_bandwidth"] == pytest.approx(sum(reached) / 2)
    assert decode["of_int8_peak"] is None
    assert decode["fastest"] <= decode["median"] <= decode["slowest"]


def test_prompts_are_as_long_as_asked(report: dict[str, Any]) -> None:
    assert [each["tokens"] for each in report["prefill"]] == [8, 20]
    assert report["first_token"]["tokens"] > 64


def test_sessions_together_read_the_weights_once(report: dict[str, Any]) -> None:
    together = report["decode_together"]
    assert together["tokens"] == 2 * report["decode"]["tokens"]
    assert together["weight_bytes"] == report["decode"]["weight_bytes"]
    assert together["operations"] == 2 * report["decode"]["operations"]


def test_memory_counts_programs_and_embedding(report: dict[str, Any], tiny_package: Path) -> None:
    files = [*tiny_package.glob("*.mxq"), tiny_package / "model.safetensors"]
    on_disk = sum(file.stat().st_size for file in files)
    assert 0.5 * on_disk < report["memory"]["mapped"] <= on_disk
    assert report["memory"]["peak_resident"] > report["memory"]["mapped"]


def test_profiles_add_up(report: dict[str, Any]) -> None:
    assert set(report["profile"]) == {"decode", "prefill", "vision"}
    for shares in report["profile"].values():
        assert sum(share["share"] for share in shares) == pytest.approx(1)


def test_tables_show_all_of_it(report: dict[str, Any]) -> None:
    names = [row[0] for row in table.rows(report)]
    assert "prefill of 20" in names and "one image" in names
    assert all(len(row) == len(table.COLUMNS) for row in table.rows(report))
    for shares in report["profile"].values():
        rows = table.profile_rows(shares)
        assert all(len(row) == len(table.PROFILE_COLUMNS) for row in rows)
    assert table.facts(report)["int8 peak"] == "not measured"
    assert table.facts(report)["read bandwidth"] == "1.0 GB/s"


def test_an_image_of_any_size_is_measured(dynamic_session: Session) -> None:
    plan = Plan(prefill=(), decode=1, sessions=1, threads=1, rounds=1, profile=True)
    report = benchmark(lambda: dynamic_session, plan)
    assert report["vision"]["operations"] > 2 * 16 * 4 * 1176 * 96
    assert {"decode", "vision"} == set(report["profile"])


def test_a_decoder_alone_has_no_image_figures(session: Session) -> None:
    blind = dataclasses.replace(session, vision=None, preprocess=None)
    plan = Plan(prefill=(), decode=1, sessions=1, threads=1, rounds=1, profile=True)
    report = benchmark(lambda: blind, plan)
    assert report["vision"] is None and report["first_token"] is None
    assert set(report["profile"]) == {"decode"}
    assert len(table.rows(report)) == 3


def test_a_prompt_beyond_the_maximum_length_is_refused(tiny_package: Path) -> None:
    plan = Plan(prefill=(600,), decode=1, threads=1, rounds=1)
    with pytest.raises(RunError, match="maximum length"):
        benchmark(lambda: Session.open(tiny_package), plan)
