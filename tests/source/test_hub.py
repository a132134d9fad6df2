"""Models that are neither a directory nor on the Hub are refused with a way out."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from vlmforge.errors import SourceError
from vlmforge.source.hub import FILES, find_model


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert find_model(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("model", ["./absent", "/absent/model", "a/b/c", "../x/y", "a b"])
def test_a_missing_directory(model: str) -> None:
    with pytest.raises(SourceError, match="no such model directory"):
        find_model(model)


def test_a_hub_id_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def download(model: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert (model, revision, allow_patterns) == ("Qwen/Qwen2-VL-2B-Instruct", "main", FILES)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_model("Qwen/Qwen2-VL-2B-Instruct", "main") == tmp_path


def test_no_code_and_no_pickles_are_fetched() -> None:
    assert not any(pattern.endswith(("py", "bin", "pth", "pt", "*")) for pattern in FILES)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("no network"), "Hub cannot be reached"),
        (ConnectionError("reset"), "cannot be downloaded: reset"),
    ],
)
def test_failed_downloads(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(SourceError, match=message) as caught:
        find_model("Qwen/Qwen2-VL-2B-Instruct")
    assert caught.value.mend
