"""Worker: what runs in the processes of a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmforge.errors import ClusterError

Facts = Mapping[str, str]
"""What has to be the same on all machines, by its name."""


@dataclass(frozen=True)
class Alike:
    """Machines that must be alike.

    Attributes:
        look: gives the facts of the machine it is called on.
        facts: those of the machine that gives out the tasks.
    """

    look: Callable[[], Facts]
    facts: Facts

    def require(self) -> None:
        """This machine is one of them; raises :class:`ClusterError`."""
        for name, found in self.look().items():
            if found != self.facts[name]:
                raise ClusterError(
                    f"a machine of the cluster has another {name}: {found}, not {self.facts[name]}",
                    mend="install the same there as here, and start Ray there again",
                )


def look(alike: Alike, function: Callable[[], Any]) -> Any:
    """What a function without arguments gives on this machine."""
    alike.require()
    return function()


def work(alike: Alike, key: str, sent: np.ndarray, item: Any) -> Any:
    """The result of an item.

    Args:
        alike: what this machine has to have in common with the one that asks.
        key: of the function; no other has it.
        sent: the function, pickled, uint8 ``[bytes]``: it is not opened before the machine is known
            to have the code it is of.
        item: what the function takes.
    """
    alike.require()
    return _function(key, sent)(item)


def packed(function: Callable[[Any], Any]) -> np.ndarray:
    """A function as :func:`work` takes it."""
    return np.frombuffer(pickle.dumps(function, protocol=5), np.uint8)


_latest: dict[str, Callable[[Any], Any]] = {}
"""The function that was asked for last, by its key, with whatever it has loaded."""


def _function(key: str, sent: np.ndarray) -> Callable[[Any], Any]:
    if key not in _latest:
        _latest.clear()
        _latest[key] = pickle.loads(sent)
    return _latest[key]
