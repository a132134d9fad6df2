"""NodeRecord: what was measured at one node."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from vlmforge.diagnose.tally import ChannelTally, Tally

CLASSES = ("image", "text", "decode")
"""What a row is: an image token or patch, a token of the prompt, a token of the answer."""

HEADROOM = {"int8": 1.0, "int16": 2.0}
"""A buffer's largest value over the largest of its calibrated range."""

CURVE_POINTS = 96
"""Points kept of a per-channel curve."""

FAULT_SHARE = 0.25
"""Error energy over signal energy of a channel that no rounding explains."""

FAULT_EXCESS = 16.0
"""Error energy over rounding energy of such a channel."""


@dataclass
class NodeRecord:
    """Measurements of one node over all samples.

    Attributes:
        name: of the instruction and its buffer.
        component: ``"language"``, ``"vision"`` or ``"input"``.
        op: operation.
        dtype: of the buffer.
        weight_bits: of a product's weight, else None.
        inputs: names of the nodes read.
        local: errors of this instruction alone, by class of row: its input is the original's,
            rounded to the codes, and so is that of the float operator it is compared with.
        accumulated: errors of the whole program up to here, by class of row.
        rounding: the local error that the buffer's codes allow at best.
        clipped: the part of ``rounding`` made by values beyond the largest code.
        effect: what ``rounding`` of an attention's operand makes of the attention's output, as
            the operand's own channels count very unequally; empty for other nodes.
        channels: local errors by channel.
        largest: largest absolute value of the original.
        limit: largest absolute value the codes hold; of the widest channel.
        used: largest share of a code range (of one channel) in use; above 1 values are clipped.
        outside: values of the original beyond the calibrated range.
        saturated: codes of the program at their limit, for values beyond it.
        elements: values seen.
        branch: energy of each operand of an addition relative to the sum, by operand's name.
        before, after: largest weight of each input channel of the original and of the
            transformed product, sorted, relative to the root mean square; empty for others.
    """

    name: str
    component: str
    op: str
    dtype: str
    weight_bits: int | None = None
    inputs: tuple[str, ...] = ()
    local: dict[str, Tally] = field(default_factory=lambda: {c: Tally() for c in CLASSES})
    accumulated: dict[str, Tally] = field(default_factory=lambda: {c: Tally() for c in CLASSES})
    rounding: Tally = field(default_factory=Tally)
    clipped: Tally = field(default_factory=Tally)
    effect: Tally = field(default_factory=Tally)
    channels: ChannelTally = field(default_factory=ChannelTally)
    largest: float = 0.0
    limit: float | None = None
    used: float | None = None
    outside: int = 0
    saturated: int = 0
    elements: int = 0
    branch: dict[str, Tally] = field(default_factory=dict)
    before: list[float] = field(default_factory=list)
    after: list[float] = field(default_factory=list)

    @property
    def stage(self) -> str:
        """The part of the model the node belongs to, such as ``"layers 3"``."""
        match = re.match(r"(?:model_)?(\w+?)_(\d+)(?=[_/])", self.name)
        if match:
            return f"{match[1]} {match[2]}"
        known = ("patch_embed", "merger", "rotary_emb")
        for part in known:
            if part in self.name:
                return part.replace("_", " ")
        return {"input": "input"}.get(self.component, "head" if self._is_head else "input")

    @property
    def _is_head(self) -> bool:
        return self.name in ("model_norm", "lm_head")

    @property
    def local_noise(self) -> float:
        """Mean local noise-to-signal ratio over rows of all classes."""
        return _mean(self.local)

    @property
    def accumulated_noise(self) -> float:
        """Mean accumulated noise-to-signal ratio over rows of all classes."""
        return _mean(self.accumulated)

    @property
    def outside_share(self) -> float:
        return self.outside / self.elements if self.elements else 0.0

    @property
    def saturated_share(self) -> float:
        return self.saturated / self.elements if self.elements else 0.0

    def wrong_channels(self) -> list[int]:
        """Channels whose local error no rounding explains, such as those of a zeroed row."""
        signal, error = np.asarray(self.channels.signal), np.asarray(self.channels.error)
        if signal.ndim == 0 or not signal.any():
            return []
        typical = np.maximum(signal, np.median(signal))
        excess = error > FAULT_EXCESS * np.asarray(self.channels.rounding)
        return [int(i) for i in np.flatnonzero(excess & (error > FAULT_SHARE * typical))]


def curve(largest: np.ndarray, typical: float) -> list[float]:
    """Per-channel maxima as a descending curve of at most :data:`CURVE_POINTS` points."""
    ordered = np.sort(largest)[::-1] / max(typical, 1e-30)
    points = np.unique(np.linspace(0, len(ordered) - 1, CURVE_POINTS).round().astype(int))
    return [round(float(value), 4) for value in ordered[points]]


def _mean(tallies: dict[str, Tally]) -> float:
    rows = sum(tally.rows for tally in tallies.values())
    return sum(tally.noise for tally in tallies.values()) / rows if rows else 0.0
