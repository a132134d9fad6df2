"""Records windows of text files as a plain decoder receives them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from vlmforge.errors import CalibrationError
from vlmforge.formats.plain_text import pieces, read_text
from vlmforge.formats.samples import SampleWriter
from vlmforge.progress import Progress
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import load_tokenizer

Window = tuple[str, int, np.ndarray]
"""File name, first token and token ids."""

SHORTEST = 8
"""Tokens of the shortest window worth observing."""


def record_text(
    checkpoint: Checkpoint,
    files: Sequence[Path | str],
    output_dir: Path | str,
    num_samples: int = 100,
    length: int = 512,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Cut texts into windows of tokens, choose some, and record their embeddings.

    A sample is ``inputs_embeds`` float32 ``[1, length, hidden]``, ``position_ids`` int64
    ``[3, length]`` (three equal rows) and ``token_types`` int8 ``[length]`` (all 0). Only the
    embedding rows of the tokens met are read from the checkpoint.

    Args:
        checkpoint: of a plain decoder.
        files: UTF-8 texts; a window never crosses from one to the next.
        output_dir: of all calibration data; the samples go to ``language`` in it.
        num_samples: most samples; fewer if the texts have fewer windows.
        length: tokens of a window. What is left at a file's end is a window of its own only
            where the whole file is shorter.
        seed: of the choice among the windows.
        progress: is told of every sample.

    Returns:
        The directory of the samples.

    Raises:
        CalibrationError: there is no file or no window, or a number is out of range.
        FormatError: a file cannot be read, or is not UTF-8.
        SourceError: the checkpoint has no tokenizer.
    """
    windows = text_windows(checkpoint, files, num_samples, length)
    order = np.random.default_rng(seed).permutation(len(windows))[:num_samples]
    facts = {
        "model": checkpoint.model_id,
        "model_fingerprint": checkpoint.fingerprint(progress),
        "texts": [Path(file).name for file in files],
        "length": length,
        "seed": seed,
    }
    with SampleWriter(Path(output_dir), "language", facts) as writer:
        for done, index in enumerate(order, start=1):
            name, start, ids = windows[index]
            writer.add(_arrays(checkpoint, ids), text=name, start=start)
            if progress is not None:
                progress("text samples", done, len(order))
    return writer.path


def text_windows(
    checkpoint: Checkpoint, files: Sequence[Path | str], num_samples: int, length: int
) -> list[Window]:
    """What samples are chosen from; arguments and errors are those of :func:`record_text`."""
    if length < SHORTEST or num_samples < 1:
        raise CalibrationError(
            f"{num_samples} samples of {length} tokens cannot be made",
            mend=f"give --num-samples of 1 or more, and samples of {SHORTEST} tokens or more",
        )
    context, limit = checkpoint.context
    if length > context:
        reason = f", as {limit} says" if limit else ""
        raise CalibrationError(
            f"samples of {length} tokens do not fit the {context} that it is compiled for{reason}",
            where=checkpoint.path,
            mend=f"give samples of at most {context} tokens",
        )
    return _windows(load_tokenizer(checkpoint.path).backend_tokenizer, files, length)


def _windows(tokenizer: Tokenizer, files: Sequence[Path | str], length: int) -> list[Window]:
    if not files:
        raise CalibrationError(
            "no calibration texts are named",
            mend="name UTF-8 files: `vlmforge calibrate text MODEL FILE`",
        )
    windows = []
    for file in files:
        read = (
            tokenizer.encode(each, add_special_tokens=False) for each in pieces(read_text(file))
        )
        ids = np.fromiter(chain.from_iterable(each.ids for each in read), np.int64)
        stop = max(len(ids) - length, 0) + 1 if len(ids) >= SHORTEST else 0
        windows += [(Path(file).name, s, ids[s : s + length]) for s in range(0, stop, length)]
    if not windows:
        raise CalibrationError(
            f"the calibration texts hold no window of at least {SHORTEST} tokens",
            where=", ".join(map(str, files)),
            mend="give a longer text",
        )
    return windows


def _arrays(checkpoint: Checkpoint, ids: np.ndarray) -> dict[str, np.ndarray]:
    tokens, places = np.unique(ids, return_inverse=True)
    table = checkpoint.embedding()
    rows = [table.read(int(token), int(token) + 1).numpy() for token in tokens]
    return {
        "inputs_embeds": np.concatenate(rows)[places][None],
        "position_ids": np.tile(np.arange(ids.size), (3, 1)),
        "token_types": np.zeros(ids.size, np.int8),
    }
