"""ModelConfig: how cores share the work of a model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from vlmforge.config import InferenceScheme
from vlmforge.integrations.qbruntime.devices import Cluster, CoreId


class CoreMode(Enum):
    """How cores share the work of a model; the answers are the same."""

    Auto = "auto"
    Single = "single"
    Multi = "multi"
    Global4 = "global4"
    Global8 = "global8"

    @property
    def scheme(self) -> InferenceScheme | None:
        """The same in this project; None for the one that a program was compiled for."""
        return None if self is CoreMode.Auto else InferenceScheme(self.value)


class ModelConfig:
    """The core mode of a model, ``Auto`` at first. Which cores are named makes no difference.

    Attributes:
        core_mode: the mode.
    """

    def __init__(self) -> None:
        self.core_mode = CoreMode.Auto

    def set_auto_core_mode(self) -> bool:
        """Share the work as the program was compiled for."""
        return self._set(CoreMode.Auto)

    def set_single_core_mode(
        self, num_cores: int | None = None, core_ids: Sequence[CoreId] | None = None
    ) -> bool:
        """Run everything on one core."""
        return self._set(CoreMode.Single)

    def set_multi_core_mode(self, clusters: Sequence[Cluster] | None = None) -> bool:
        """Give each core requests of its own."""
        return self._set(CoreMode.Multi)

    def set_global4_core_mode(self, clusters: Sequence[Cluster] | None = None) -> bool:
        """Let four cores share each request."""
        return self._set(CoreMode.Global4)

    def set_global8_core_mode(self) -> bool:
        """Let eight cores share each request."""
        return self._set(CoreMode.Global8)

    def _set(self, mode: CoreMode) -> bool:
        self.core_mode = mode
        return True
