"""The interface of Mobilint's runtime over packages, for clients that import ``qbruntime``.

Clients of NPUs, such as Mobilint's classes for Hugging Face Transformers, open a package with
this module as they open one compiled for an NPU; programs run on this computer's processor.

    vlmforge emulate SCRIPT [ARGUMENTS...]
    python -m vlmforge.integrations.qbruntime SCRIPT [ARGUMENTS...]

It is written from the interface's public use and holds nothing of the runtime itself.
"""

from __future__ import annotations

from typing import Any

from vlmforge.integrations.qbruntime.config import CoreMode, ModelConfig
from vlmforge.integrations.qbruntime.devices import Accelerator, Cluster, Core, CoreId
from vlmforge.integrations.qbruntime.emulation import install, run_script
from vlmforge.integrations.qbruntime.failures import QbRuntimeError
from vlmforge.integrations.qbruntime.infos import BatchParam
from vlmforge.integrations.qbruntime.model import Model

__all__ = [
    "Accelerator",
    "BatchParam",
    "Cluster",
    "Core",
    "CoreId",
    "CoreMode",
    "Model",
    "ModelConfig",
    "QbRuntimeError",
    "install",
    "run_script",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"vlmforge emulates no {name!r} of qbruntime")
