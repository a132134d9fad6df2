"""Model: a program of a package behind the interface of the runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.decode.lock import Lock
from vlmforge.errors import RunError
from vlmforge.formats.atomic import atomic_file
from vlmforge.integrations.qbruntime.config import CoreMode, ModelConfig
from vlmforge.integrations.qbruntime.devices import Accelerator
from vlmforge.integrations.qbruntime.failures import reported
from vlmforge.integrations.qbruntime.infos import BatchParam, BufferInfo, CacheInfo, Shape, Variant
from vlmforge.integrations.qbruntime.opened import Opened
from vlmforge.integrations.qbruntime.text import TextFace, TextRunner
from vlmforge.integrations.qbruntime.vision import DynamicRunner, FixedRunner, VisionFace
from vlmforge.machine.scheme import open_scheme

DUMP = "slot.npz"
"""The file of a slot in a directory of its own."""


class Model:
    """A program; every method may be called from several threads.

    Args:
        path: of an ``.mxq`` in a package.
        config: how cores share its work.

    Raises:
        QbRuntimeError: here, as in every method, what this project refuses, in its words.
    """

    def __init__(self, path: str | os.PathLike[str], config: ModelConfig | None = None) -> None:
        self._acc: Accelerator | None = None
        self._mode = (config or ModelConfig()).core_mode
        self._runner: TextRunner | FixedRunner | DynamicRunner | None = None
        self._lock = Lock()
        with reported():
            opened = Opened.at(Path(path))
            self._program = opened.program(Path(path).name)
            language = self._program.component == "language"
            self._face = (TextFace if language else VisionFace)(opened, self._program)

    def launch(self, accelerator: Accelerator) -> None:
        """Make it ready to run."""
        with reported(), self._lock:
            self._runner = self._face.runner(open_scheme(self._program, self._mode.scheme))
            self._acc = accelerator

    def dispose(self) -> None:
        """Give back what it holds; it can be launched again."""
        with self._lock:
            self._acc = self._runner = None

    def infer(
        self,
        inputs: Sequence[Any] | np.ndarray,
        outputs: None = None,
        cache_size: int = 0,
        params: Sequence[BatchParam] | None = None,
    ) -> list[np.ndarray]:
        """Run it: see :meth:`TextRunner.infer`, :meth:`FixedRunner.infer`, :class:`DynamicRunner`.

        Args:
            inputs: its arrays; a single one may stand for itself.
            outputs: arrays to be filled are not supported.
            cache_size: rows that go before.
            params: the sequences of a batch.
        """
        given = [inputs] if isinstance(inputs, np.ndarray) else inputs
        with reported(), self._lock:
            if outputs is not None:
                raise RunError("arrays to be filled are not supported", mend="pass None")
            return self._launched().infer(given, int(cache_size), params)

    def get_core_mode(self) -> CoreMode:
        """How cores share its work."""
        return self._mode

    def get_num_model_variants(self) -> int:
        """One."""
        return 1

    def get_model_variant_handle(self, index: int) -> Variant:
        """Its shapes."""
        with reported():
            if index != 0:
                raise RunError(f"there is no variant {index}", mend="choose 0, the only one")
            return self._face.variant

    def get_model_input_shape(self) -> list[Shape]:
        """The shapes of its inputs."""
        return self._face.variant.inputs

    def get_model_output_shape(self) -> list[Shape]:
        """The shapes of its outputs."""
        return self._face.variant.outputs

    def get_model_input_data_type(self) -> str:
        """Of every input."""
        return "DataType.Float32"

    def get_input_buffer_info(self) -> list[BufferInfo]:
        """Of each input."""
        return self._face.buffers

    def get_cache_infos(self) -> list[CacheInfo]:
        """Of each layer with keys and values; none of a vision program."""
        return list(self._face.caches)

    def dump_cache_memory(self, cache_id: int = 0) -> list[bytes]:
        """All of a slot, to be loaded by a model of the same program."""
        with reported(), self._lock:
            return [self._text().slots.dump(cache_id)]

    def load_cache_memory(self, dumped: Sequence[bytes], cache_id: int = 0) -> None:
        """Let a slot hold what :meth:`dump_cache_memory` gave."""
        with reported(), self._lock:
            if len(dumped) != 1:
                raise RunError(
                    f"{len(dumped)} buffers are no dump of a slot", mend="pass all of it"
                )
            self._text().slots.load(cache_id, bytes(dumped[0]))

    def dump_cache_memory_to(self, directory: str | os.PathLike[str], cache_id: int = 0) -> None:
        """Write a slot into a directory."""
        (dumped,) = self.dump_cache_memory(cache_id)
        with atomic_file(Path(directory) / DUMP) as file:
            file.write(dumped)

    def load_cache_memory_from(self, directory: str | os.PathLike[str], cache_id: int = 0) -> None:
        """Let a slot hold what :meth:`dump_cache_memory_to` wrote."""
        path = Path(directory) / DUMP
        with reported():
            if not path.is_file():
                raise RunError("there is no dump of a slot", where=path, mend="dump one first")
        self.load_cache_memory([path.read_bytes()], cache_id)

    def _launched(self) -> TextRunner | FixedRunner | DynamicRunner:
        if self._runner is None:
            raise RunError("the model is not launched", mend="call launch() first")
        return self._runner

    def _text(self) -> TextRunner:
        runner = self._launched()
        if not isinstance(runner, TextRunner):
            raise RunError("a vision program has no slots", mend="ask the text program's model")
        return runner
