"""Finds a model's files: a local directory, or a download from the Hugging Face Hub."""

from __future__ import annotations

import re
from pathlib import Path

from vlmforge.errors import SourceError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""``organization/model``, or the name alone for the oldest models."""

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
    if not HUB_ID.fullmatch(model):
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
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=FILES))
    except GatedRepoError as error:
        what, mend = "the model is gated", "accept its terms on the Hub, then `hf auth login`"
        cause: Exception = error
    except RevisionNotFoundError as error:
        what, mend = f"the model has no revision {revision}", "name a branch, tag or commit of it"
        cause = error
    except RepositoryNotFoundError as error:
        what = "there is no such directory, and no such model on the Hub"
        mend = "correct the name; for a private model, `hf auth login`"
        cause = error
    except LocalEntryNotFoundError as error:
        what = "there is no such directory, the Hub cannot be reached, and the model is not cached"
        mend = "connect to the network, or give the directory of a downloaded model"
        cause = error
    except Exception as error:  # the Hub client lets errors of its HTTP library through
        what = f"the model cannot be downloaded: {error}"
        mend = "try again, or give the directory of a downloaded model"
        cause = error
    raise SourceError(what, where=model, mend=mend) from cause
