"""Finds a model's files: a local directory, or a download from the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from vlmforge.errors import SourceError
from vlmforge.hub.failures import Sought
from vlmforge.hub.names import MODEL

FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
"""Weights, configuration, tokenizer, processor and chat template; never code or pickles."""


def find_model(model: str, revision: str | None = None) -> Path:
    """The directory that holds the model's files.

    Args:
        model: a directory, or an id on the Hub; the Hub's local cache is used where it can be.
        revision: branch, tag or commit on the Hub.

    Raises:
        SourceError: there is no such directory, no such model, or no way to the Hub.
    """
    directory = _expanded(model)
    if directory.is_dir():
        return directory
    if not MODEL.fullmatch(model):
        raise SourceError(
            "there is no such model directory",
            where=model,
            mend="give an existing directory or a Hub id such as Qwen/Qwen2-VL-2B-Instruct",
        )
    return _download(model, revision)


def _expanded(model: str) -> Path:
    try:
        return Path(model).expanduser()
    except RuntimeError as error:
        raise SourceError(
            "the path begins with a user who does not exist", where=model,
            mend="write the whole path, or ./~name for a name that begins with ~",
        ) from error  # fmt: skip


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=FILES))
    except Exception as error:  # the Hub's client lets errors of its HTTP library through
        raise Sought("model", model, revision, SourceError).failure(error) from error
