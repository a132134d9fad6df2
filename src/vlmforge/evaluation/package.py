"""Evaluates packages and programs on texts, against the original model if it is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmforge.evaluation.text import ProgramModel, TextModel, evaluate_text
from vlmforge.evaluation.windows import Windowing, read_texts
from vlmforge.hub.packages import open_found
from vlmforge.libraries import require_libraries
from vlmforge.machine.machine import open_machine
from vlmforge.progress import Progress
from vlmforge.prompt.tokens import load_tokenizer


def evaluate_package(
    directory: Path | str,
    texts: Sequence[Path | str],
    windowing: Windowing,
    reference: str | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    verify_key: Path | str | None = None,
) -> dict[str, Any]:
    """Let the text program of a package predict texts.

    Args:
        directory: the package, by its directory or its name on the Hugging Face Hub.
        texts: UTF-8 files.
        windowing: how they are cut, and which tokens count.
        reference: the original model, a directory or an id on the Hugging Face Hub.
        device: where the reference computes, ``"cpu"`` or ``"gpu"``.
        progress: is told of every window.
        verify_key: file of the public key with which the package has to be signed.

    Returns:
        What :func:`vlmforge.evaluation.text.evaluate_text` finds, and how the texts were cut:
        ``context``, ``stride``, ``min_context`` and ``texts``.

    Raises:
        InstallError: a reference is asked for without the libraries that run it.
    """
    if reference is not None:
        require_libraries("the reference")
    package = open_found(directory, verify_key=verify_key)
    model = ProgramModel(open_machine(package.text), package.embeddings)
    windows = windowing.cut(read_texts(load_tokenizer(package.dir), texts))
    original = None if reference is None else _original(reference, device)
    found = evaluate_text({"package": model}, windows, original, progress)["package"]
    return {
        "texts": [str(path) for path in texts],
        "context": windowing.context,
        "stride": windowing.step,
        "min_context": windowing.min_context,
        **found,
    }


def _original(model: str, device: str) -> TextModel:
    """The original model; here alone its libraries are loaded."""
    from vlmforge.original.text import TextReference
    from vlmforge.source.checkpoint import Checkpoint

    return TextReference.load(Checkpoint.open(model), device)
