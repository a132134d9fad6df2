"""Scales that move the spread of activation channels into the weights that read them.

SmoothQuant (Xiao et al. 2022, equation 4) divides channel j by
``s_j = max|x_j|^a / max|w_j|^(1 - a)``, AWQ (Lin et al. 2023, section 3.2) by ``max|x_j|^a``.
Both families are tried over a grid of exponents, with rounding as the integer program will
round; the scales that change the products' outputs least are taken, none at all among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vlmforge.arithmetic.functions import exp2, log2, power
from vlmforge.arithmetic.hadamard import hadamard_transform
from vlmforge.arithmetic.products import linear
from vlmforge.arithmetic.sums import mean, row_sums
from vlmforge.graph.core import Graph, Node
from vlmforge.transform.choose.statistics import Statistics
from vlmforge.transform.precision import Precision, round_to

EXPONENTS = tuple(step / 10 for step in range(1, 11))

SMALLEST = 1e-5
"""Smallest channel that counts, relative to the largest."""

OUTPUTS = 1024
"""About so many output channels of a product judge its scales."""


@dataclass(frozen=True)
class Channels:
    """A value whose channels are to be scaled against the products that read it.

    Attributes:
        value: name of the value.
        readers: all products that read it.
        tie: int64 ``[channels]``, equal for channels that share a scale; by default none do.
        rotation: the ``hadamard`` between the value and its readers, if there is one. What is
            rounded then is its output.
    """

    value: str
    readers: tuple[Node, ...]
    tie: Tensor | None = None
    rotation: Node | None = None

    @property
    def rounded(self) -> str:
        """The value that the program rounds."""
        return self.rotation.name if self.rotation else self.value

    def turned(self, vectors: Tensor) -> Tensor:
        """``[n, channels]`` of the value as of what is rounded, or back."""
        if self.rotation is None:
            return vectors
        return hadamard_transform(vectors, self.rotation.attrs["block"])

    def tied(self, magnitudes: Tensor) -> Tensor:
        """``[channels]``, each the largest among those that share its scale."""
        if self.tie is None:
            return magnitudes
        tie = self.tie.to(magnitudes.device)
        return torch.zeros_like(magnitudes).scatter_reduce(0, tie, magnitudes, "amax")[tie]


class OutputError:
    """How far the readers' outputs move if the value's channels are divided by scales."""

    def __init__(
        self,
        graph: Graph,
        channels: Channels,
        statistics: Statistics,
        precision: Precision,
        device: str = "cpu",
    ) -> None:
        self.channels = channels
        self.rows = torch.cat(statistics.rows[channels.value]).to(device)
        self.maxima = statistics.maxima[channels.value].to(device)
        self.limit = precision.limit(channels.rounded)
        self.precision = precision
        self.weights = {
            n.name: channels.turned(_outputs(graph, n)).to(device) for n in channels.readers
        }
        self.wanted = {name: self._product(self.rows, w) for name, w in self.weights.items()}
        self.sizes = {name: _row_power(output) for name, output in self.wanted.items()}

    def __call__(self, scales: Tensor) -> Tensor:
        """Mean squared error relative to each row's output, over readers; scales ``[channels]``."""
        rows = self.channels.turned(self.rows / scales)
        if self.limit is not None:
            rows = round_to(rows, self._largest(rows, scales) / self.limit, self.limit)
        return mean(torch.stack(list(self._errors(rows, scales))))

    def magnitudes(self) -> tuple[Tensor, Tensor]:
        """Largest absolute value of each channel, and of the weights that read it, tied."""
        columns = [_vectors(w, len(self.maxima)).abs().amax(0) for w in self.weights.values()]
        tied = self.channels.tied
        return tied(self.maxima), tied(torch.stack(columns).amax(0))

    def _errors(self, rows: Tensor, scales: Tensor) -> Iterator[Tensor]:
        for name, weight in self.weights.items():
            repeated = scales.repeat(weight.shape[1] // len(scales))
            scaled = self.channels.turned(weight * repeated)
            output = self._product(rows, self.precision.round_weight(name, scaled))
            yield mean(_row_power(output - self.wanted[name]) / self.sizes[name])

    def _largest(self, rows: Tensor, scales: Tensor) -> Tensor:
        """The largest size that is rounded; of a rotated value only the rows tell."""
        return (self.maxima / scales if self.channels.rotation is None else rows.abs()).amax()

    def _product(self, rows: Tensor, weight: Tensor) -> Tensor:
        return linear(rows, _vectors(weight, rows.shape[1]))


@torch.no_grad()
def smoothing_scales(error: OutputError, exponent: float | None = None) -> Tensor:
    """The scales of SmoothQuant's equation 4 with an exponent, float32 ``[channels]``.

    Without one the best of the grid; all one where none is better.
    """
    activations, weights = (_above_floor(m) for m in error.magnitudes())
    if exponent is not None:
        return _evened(power(activations, exponent) / power(weights, 1 - exponent))
    best = torch.ones_like(activations)
    least = error(best)
    for candidate in _candidates(activations, weights):
        found = error(candidate)
        if found < least:
            best, least = candidate, found
    return best


def _candidates(activations: Tensor, weights: Tensor) -> Iterator[Tensor]:
    for exponent in EXPONENTS:
        for scales in (
            power(activations, exponent) / power(weights, 1 - exponent),
            power(activations, exponent),
        ):
            yield _evened(scales)


def _evened(scales: Tensor) -> Tensor:
    """The scales over their geometric mean, as only their ratios matter."""
    return scales / exp2(mean(log2(scales))).to(scales.dtype)


def _above_floor(magnitudes: Tensor) -> Tensor:
    largest = magnitudes.max()
    return magnitudes.clamp_min(float(largest) * SMALLEST) if largest > 0 else magnitudes + 1


def _outputs(graph: Graph, product: Node) -> Tensor:
    """About :data:`OUTPUTS` rows of the weight, spread over it."""
    weight = graph.weights[product.weights["weight"]]
    total = weight.shape[0]
    if total <= 16 * OUTPUTS:
        return weight.load()[:: max(1, total // OUTPUTS)]
    block = OUTPUTS // 16
    starts = torch.linspace(0, total - block, 16).long().tolist()
    return torch.cat([weight.read(start, start + block) for start in starts])


def _vectors(weight: Tensor, channels: int) -> Tensor:
    """``[out, k * channels]`` as ``[out * k, channels]``: each vector read is judged alone."""
    return weight.reshape(-1, channels)


def _row_power(rows: Tensor) -> Tensor:
    return row_sums(rows.square()).clamp_min(1e-30)
