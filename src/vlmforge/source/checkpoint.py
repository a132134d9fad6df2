"""Checkpoint: a model's configuration and its weights, read as they are asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmforge.errors import SourceError
from vlmforge.families.family import Family
from vlmforge.families.registry import family_of
from vlmforge.graph.core import Weight
from vlmforge.progress import Progress
from vlmforge.source.hub import find_model
from vlmforge.source.settings import model_config
from vlmforge.source.shards import Shards
from vlmforge.source.sizes import require_layers, require_sizes

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig

CHUNK = 1 << 24
"""Bytes hashed at a time."""

LM_HEAD = "lm_head.weight"
EMBEDDING = "language_model.embed_tokens.weight"


@dataclass
class Checkpoint:
    """A Hugging Face checkpoint on disk.

    Weights go by canonical names (``language_model.layers.0.mlp.up_proj.weight``,
    ``visual.blocks.0.norm1.weight``, ``lm_head.weight``) whatever names the files use.

    Attributes:
        path: the directory of its files.
        model_id: its id on the Hub; a local directory's name.
        config: the ``config.json``.
        settings: the same as transformers reads it, in float32.
        family: of the model.
    """

    path: Path
    model_id: str
    config: dict[str, Any]
    settings: PreTrainedConfig
    family: Family
    shards: Shards = field(repr=False)
    _stored: dict[str, str] = field(repr=False)
    _fingerprint: str | None = field(default=None, repr=False)

    @staticmethod
    def open(model: str, revision: str | None = None) -> Checkpoint:
        """Open a model; reads no weights yet.

        Args:
            model: a local directory or an id on the Hugging Face Hub.
            revision: branch, tag or commit on the Hub.

        Raises:
            SourceError: the model cannot be found, read, or is of an unsupported architecture.
        """
        path = find_model(model, revision)
        file = path / "config.json"
        config = _read_config(file)
        family = family_of(config, where=file)
        shards = Shards(path)
        stored = {family.canonical(name): name for name in reversed(shards.names())}
        require_layers(family, config, stored, file)
        settings = model_config(family, config, file)
        if settings.tie_word_embeddings:
            _tie(stored)
        shapes = {name: shards.shape(origin) for name, origin in stored.items()}
        require_sizes(family, config, settings, shapes, file)
        local = Path(model).expanduser().is_dir()
        model_id = path.resolve().name if local else model
        return Checkpoint(path, model_id, config, settings, family, shards, stored)

    @property
    def components(self) -> tuple[str, ...]:
        """What is compiled of it: ``"language"``, and ``"vision"`` if the model sees."""
        return self.family.components

    @property
    def context(self) -> tuple[int, str | None]:
        """Most tokens its decoder is compiled for, and the setting that allows no more, if any."""
        decoder = self.family.decoder
        return decoder.context(decoder.part(self.settings))

    @property
    def name(self) -> str:
        """The last part of the model id, such as ``Qwen2-VL-2B-Instruct``; it names files."""
        return self.model_id.rsplit("/", 1)[-1]

    def names(self) -> tuple[str, ...]:
        """The canonical names of all weights, sorted; includes ``lm_head.weight`` where tied."""
        return tuple(sorted(self._stored))

    def distinct(self) -> tuple[str, ...]:
        """Those of :meth:`names` that are no other's weight: a tied head is left out."""
        tied = self._stored.get(LM_HEAD) == self._stored.get(EMBEDDING)
        return tuple(name for name in self.names() if not (tied and name == LM_HEAD))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight; raises :class:`SourceError` if there is none of that name."""
        return self.shards.shape(self._stored_name(name))

    def dtype(self, name: str) -> str:
        """The dtype a weight is stored in: ``"bfloat16"``, ``"float16"``, ``"float32"`` or so."""
        return self.shards.dtype(self._stored_name(name))

    def holder(self, name: str) -> Path:
        """The file that holds a weight."""
        return self.shards.holder(self._stored_name(name))

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows ``[start, stop)`` of a weight, float32; nothing else is read."""
        return self.shards.rows(self._stored_name(name), start, stop)

    def stored(self, name: str) -> torch.Tensor:
        """A whole weight in the dtype it is stored in, mapped from its file; not to be written."""
        return self.shards.stored(self._stored_name(name))

    def weight(self, name: str) -> Weight:
        """The weight, unread; raises :class:`SourceError` if there is none of that name."""
        return Weight(self.shape(name), partial(self.rows, name), self.dtype(name))

    def embedding(self) -> Weight:
        """Token embeddings ``[vocabulary, hidden]`` as they enter the decoder, unread."""
        decoder = self.family.decoder
        factor = decoder.multipliers(decoder.part(self.settings)).embedding
        return self.weight(EMBEDDING).times(factor)

    def fingerprint(self, progress: Progress | None = None) -> str:
        """SHA-256 of ``config.json`` and the weight files, in hex; computed once."""
        if self._fingerprint is None:
            self._fingerprint = _hash(self.path / "config.json", *self.shards.files, tell=progress)
        return self._fingerprint

    def __reduce__(self) -> tuple[Any, ...]:
        """What is sent to another machine: where it finds the same files."""
        return _opened, (str(self.path.resolve()), self.fingerprint())

    def _stored_name(self, name: str) -> str:
        if name not in self._stored:
            raise SourceError(
                f"the checkpoint has no weight {name}",
                where=self.path,
                mend=f"choose a complete checkpoint of {self.family.architecture}",
            )
        return self._stored[name]


def _opened(path: str, fingerprint: str) -> Checkpoint:
    """A checkpoint that was sent from another machine."""
    checkpoint = Checkpoint.open(path)
    if checkpoint.fingerprint() != fingerprint:
        raise SourceError(
            "a machine of the cluster finds another checkpoint",
            where=path,
            mend="put the model where all machines read it by one path, such as a shared disk",
        )
    return checkpoint


def _read_config(path: Path) -> dict[str, Any]:
    mend = "give the directory of a Hugging Face model, or download it again"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise SourceError("the model has no config.json", where=path.parent, mend=mend) from error
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"config.json cannot be read: {error}", where=path, mend=mend) from error
    if not isinstance(config, dict):
        raise SourceError("config.json is not a JSON object", where=path, mend=mend)
    return config


def _tie(stored: dict[str, str]) -> None:
    """Let head and token embedding share a tensor; where both are stored, each keeps its own."""
    for missing, other in ((LM_HEAD, EMBEDDING), (EMBEDDING, LM_HEAD)):
        if missing not in stored and other in stored:
            stored[missing] = stored[other]


def _hash(*paths: Path, tell: Progress | None) -> str:
    """SHA-256 of the files' names, sizes and contents."""
    total, done = sum(path.stat().st_size for path in paths), 0
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if tell is not None:
                    tell("fingerprint of the model", done, total)
    return digest.hexdigest()
