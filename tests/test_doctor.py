"""The doctor finds what there is, and says how to mend the rest."""

from __future__ import annotations

import time

import pytest

from vlmforge import doctor
from vlmforge.libraries import Library


def states(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {each.name: each for each in findings}


def test_what_is_broken_or_missing_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = states(doctor.examine())
    assert {"python", "numpy", "torch", "processor", "threads", "memory", "disk", "gpu"} <= set(
        found
    )
    assert all(each.mend for each in found.values() if each.state != "good")
    assert "offline" in found["hub"].found and found["coco"].state == "note"
    assert not any(each.state == "broken" for each in found.values())
    assert doctor.can_compile(list(found.values()))


@pytest.mark.parametrize(
    ("variable", "check"), [("VLMFORGE_THREADS", doctor.threads), ("VLMFORGE_ISA", doctor.machine)]
)
def test_settings_that_break_running(
    variable: str, check: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "many")
    if variable == "VLMFORGE_ISA":
        pytest.importorskip("vlmforge._native")
    found = check()  # type: ignore[operator]
    assert found.state == "broken" and variable in str(found.mend) + found.found


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "version", lambda library: None)
    findings = doctor.versions()
    found = states(findings)
    assert found["tokenizers"].state == "broken" and found["torch"].state == "note"
    assert str(found["tokenizers"].mend).startswith("pip install 'tokenizers>=")
    assert "pip install 'vlmforge[compile]'" in str(found["torch"].mend)
    assert not doctor.can_compile(findings)


def test_a_library_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "version", lambda library: "0.0.1")
    found = states(doctor.versions())
    assert "older than" in found["numpy"].found and found["numpy"].state == "broken"
    assert "older than" in doctor.coco(True).found


def test_a_silent_hub_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(doctor, "HUB_SECONDS", 0.1)
    monkeypatch.setattr(doctor, "_answers", lambda url: time.sleep(5))
    start = time.monotonic()
    assert "no answer" in doctor.hub().found and time.monotonic() - start < 3


def test_a_hub_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    assert "cannot be reached" in doctor.hub().found
    monkeypatch.setattr(doctor, "_answers", lambda url: None)
    assert doctor.hub().state == "good"
    assert doctor.coco(True).state == "good" or doctor.coco(True).mend
