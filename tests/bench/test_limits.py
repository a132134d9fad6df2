"""Limits: measured in another process, absent without the native machine."""

from __future__ import annotations

import sys
import types

import pytest

from vlmforge.bench import limits
from vlmforge.bench.limits import Limits, Probe, measure
from vlmforge.errors import RunError


def test_without_the_native_machine_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vlmforge._native", None)
    monkeypatch.delattr("vlmforge._native", raising=False)
    assert measure(1) == Limits(None, None)


def test_the_native_machine_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    native = types.ModuleType("vlmforge._native")
    native.read_bandwidth = lambda threads: 10.0 * threads  # type: ignore[attr-defined]
    native.int8_peak = lambda threads: 0.0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vlmforge._native", native)
    monkeypatch.setattr("vlmforge._native", native, raising=False)
    assert measure(2) == Limits(20.0, None)


def test_measured_apart_they_are_numbers_or_none() -> None:
    with Probe(1) as probe:
        found = [probe.measure(), probe.measure()]
    for each in found:
        for value in (each.read_bandwidth, each.int8_peak):
            assert value is None or value > 1e6


def test_a_process_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.sys, "executable", "/bin/false")
    with Probe(1) as probe, pytest.raises(RunError, match="limits cannot be measured"):
        probe.measure()


def test_the_best_of_two_measurements() -> None:
    assert Limits(1.0, None).best(Limits(2.0, 3.0)) == Limits(2.0, 3.0)
    assert Limits(None, 4.0).best(Limits(None, 3.0)) == Limits(None, 4.0)


def test_the_mean_of_two_measurements() -> None:
    assert Limits(1.0, None).mean(Limits(2.0, 3.0)) == Limits(1.5, None)
