"""Devices, clusters and cores, as clients name them: all are the cores of this computer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cluster(Enum):
    """A cluster of a device."""

    Cluster0 = 0
    Cluster1 = 1


class Core(Enum):
    """A core of a cluster."""

    Core0 = 0
    Core1 = 1
    Core2 = 2
    Core3 = 3


@dataclass(unsafe_hash=True)
class CoreId:
    """A core of a device.

    Attributes:
        cluster, core: which one.
    """

    cluster: Cluster = Cluster.Cluster0
    core: Core = Core.Core0


@dataclass(frozen=True)
class Accelerator:
    """A device that models are launched on.

    Attributes:
        target_device: the board's name.
        dev_no: its number.
    """

    target_device: str = ""
    dev_no: int = 0
