"""Component: a transformed component with everything its rounding follows from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from vlmforge.config import BitConfig, CompileConfig
from vlmforge.graph.core import Graph
from vlmforge.graph.flow import readers
from vlmforge.graph.ops import PRODUCTS
from vlmforge.progress import Progress
from vlmforge.quantize.scales.choice import choose_scales
from vlmforge.quantize.scales.grid import Grid, grids
from vlmforge.quantize.scales.narrowing import narrow_products
from vlmforge.quantize.scheme import assign_codes, attention_operands, narrowable, product_inputs
from vlmforge.quantize.weights.formats import WeightFormat
from vlmforge.quantize.weights.rounding import weight_formats
from vlmforge.stages.observed import Observed, observe_component
from vlmforge.stages.workspace import Workspace
from vlmforge.tune.trial import Trial


@dataclass(frozen=True)
class Component:
    """What trials are made from.

    Attributes:
        observed: graph, samples, and the values on them.
        config: the configuration that is tuned.
    """

    observed: Observed
    config: CompileConfig

    @staticmethod
    def load(
        space: Workspace, component: str, config: CompileConfig, progress: Progress | None = None
    ) -> Component:
        """A component of a workspace, transformed and observed; the language model comes first."""
        observed = observe_component(
            space.mblt(component), space.calibration, config, space.rotation,
            BitConfig.LayerOverrides(), progress=progress,
        )  # fmt: skip
        return Component(observed, config)

    @property
    def graph(self) -> Graph:
        return self.observed.graph

    @property
    def samples(self) -> Sequence[Callable[[], Mapping[str, Tensor]]]:
        """Each gives the feeds of one sample."""
        return self.observed.transformed.loaders

    def widened_by(self, bit: BitConfig, overrides: BitConfig.LayerOverrides) -> set[str]:
        """The values of :meth:`widenable` that settings make int16, by name or by their share.

        Args:
            bit: the settings.
            overrides: those of this component.
        """
        wide = overrides.activation_16bits
        observed = self.observed
        narrow = narrow_products(self.graph, wide, observed.ranges, observed.bound, bit)
        codes = assign_codes(self.graph, wide, narrow)
        return {name for name in self.widenable() if codes[name] == "int16"}

    def widenable(self) -> list[str]:
        """Values that can be int8 or int16: read by products alone, in the graph's order."""
        codes = self.codes(())
        kept = product_inputs(self.graph) - attention_operands(self.graph)
        names = [*self.graph.inputs, *self.graph.nodes]
        return [name for name in names if name in kept and codes[name] == "int8"]

    def codes(self, wide: Collection[str]) -> dict[str, str]:
        """The dtype of every value where just the values ``wide`` are widened."""
        narrow = [name for name in narrowable(self.graph) if name not in wide]
        return assign_codes(self.graph, self.overrides(wide), narrow)

    def overrides(self, wide: Iterable[str]) -> tuple[str, ...]:
        """What ``activation16Bits`` must list to widen the values, names of the captured graph:
        values of products and inputs are named by a product that reads them, those that a
        transformation rotates by what they were before."""
        return tuple(self._override(name) for name in wide)

    def _override(self, value: str) -> str:
        node = self.graph.nodes.get(value)
        if node is not None and node.op == "hadamard":
            return node.inputs[0]
        if node is not None and node.op not in PRODUCTS:
            return value
        return next(r.name for r in readers(self.graph, value) if r.op in PRODUCTS)

    def formats(self, wide: Collection[str] = ()) -> dict[str, WeightFormat]:
        """The format of every product's weight where just the products ``wide`` are 8 bits."""
        return weight_formats(self.graph, self.config, wide)

    def grids(self, wide: Collection[str]) -> dict[str, Grid]:
        """How every value is rounded where just the values ``wide`` are widened."""
        codes = self.codes(wide)
        scales = choose_scales(self.graph, codes, self.observed.ranges, self.observed.bound)
        return grids(self.graph, codes, scales)

    def trial(self, wide: Collection[str], wide_weights: Collection[str]) -> Trial:
        """Everything rounded as a program with these exceptions rounds it."""
        return Trial(self.grids(wide), self.formats(wide_weights))
