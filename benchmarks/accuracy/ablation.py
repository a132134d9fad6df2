"""What each equivalent transformation brings: KL to the float model, one switch at a time.

    python benchmarks/accuracy/ablation.py GRAPH.mblt CALIBRATION EVALUATION [--bits 4]

``GRAPH.mblt`` is a captured component, the other two are calibration data of it (``vlmforge
calibrate``), of different texts or images. For a vision encoder the figure is the squared error
of its features relative to their power. Every configuration is transformed, observed and
rounded as ``vlmforge mxq`` does it, and evaluated in float32 with the codes'
rounding: figures to compare with each other, not those of a package. The first ``--tokens`` of
each sample count. Prints one JSON object a configuration.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vlmforge.config import CompileConfig
from vlmforge.formats.mblt import read_mblt
from vlmforge.formats.samples import read_samples
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.graph.stream import Feeds
from vlmforge.quantize.learn.quantized_path import QuantizedPath
from vlmforge.quantize.observe.clipping import Clipping
from vlmforge.quantize.scales.choice import choose_scales
from vlmforge.quantize.scales.narrowing import narrow_products
from vlmforge.quantize.scheme import PRODUCTS, assign_codes
from vlmforge.quantize.weights.rounding import choose_rounding, weight_formats
from vlmforge.stages.samples import sample_feeds
from vlmforge.stages.transformed import imitated_precision
from vlmforge.transform.choose.rotations import choose_rotations
from vlmforge.transform.choose.scales import scale
from vlmforge.transform.order import preparation, residual_turns, rotations, transform
from vlmforge.transform.settings import Settings

APPLY, LEARN = {"apply": True}, {"apply": True, "learn": True}
ROTATIONS, SCALINGS = ("SpinR1", "SpinR2", "SpinR4"), ("QK", "QkRotation", "VO", "UD", "NormConv")
OFF = {name: {"apply": False} for name in ROTATIONS}

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "norm folding only": OFF,
    **{name: {**OFF, name: APPLY} for name in (*ROTATIONS, *SCALINGS)},
    "R1 + R2": {"SpinR4": {"apply": False}},
    "R1 + R4": {"SpinR2": {"apply": False}},
    "R1 + R2 + R4 (default)": {},
    **{f"default + {name}": {name: APPLY} for name in SCALINGS},
    "R1 + R2 + UD": {"SpinR4": {"apply": False}, "UD": APPLY},
    "all": dict.fromkeys(SCALINGS, APPLY),
    "default, learned R1": {"SpinR1": LEARN},
    "default, learned R1, R2": {"SpinR1": LEARN, "SpinR2": LEARN},
    **{f"default + learned {name}": {name: LEARN} for name in ("UD", "VO", "QK", "NormConv")},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Ablation of the equivalent transformations.")
    parser.add_argument("graph", type=Path)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--group", type=int, default=None)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--compensate", action="store_true", help="round with error compensation")
    bit = CompileConfig().bit
    parser.add_argument(
        "--share", type=float, default=bit.activation_16_share, help="bit.activation16Share"
    )
    parser.add_argument(
        "--loss", type=float, default=bit.activation_16_loss, help="bit.activation16Loss"
    )
    parser.add_argument("--seeds", type=int, default=1, help="Repeat with seeds 0, 1, ...")
    parser.add_argument("--only", nargs="*", help="Names of configurations.")
    arguments = parser.parse_args()
    graph = read_mblt(arguments.graph)
    calibration, evaluation = (
        feeds_of(graph, directory, arguments.samples, arguments.tokens)
        for directory in (arguments.calibration, arguments.evaluation)
    )
    wanted = [evaluate(graph, load())[graph.outputs[0]] for load in evaluation]
    for name in arguments.only or CONFIGURATIONS:
        start = time.perf_counter()
        config = configuration(CONFIGURATIONS[name], arguments)
        seeded = [config.model_copy(update={"seed": seed}) for seed in range(arguments.seeds)]
        compare = compared if graph.component == "language" else distant
        found = [compare(outputs(graph, c, calibration, evaluation), wanted) for c in seeded]
        facts = {key: [each[key] for each in found] for key in found[0]}
        seconds = round(time.perf_counter() - start, 1)
        print(json.dumps({"configuration": name, **facts, "seconds": seconds}), flush=True)


def configuration(equivalent: dict[str, Any], arguments: argparse.Namespace) -> CompileConfig:
    """Weights of transformer layers at ``--bits``, the head at 8."""
    roles = dict.fromkeys(("query", "key", "value", "output", "ffn"), arguments.bits)
    transformer = {"weight": roles, "weightGroup": arguments.group}
    return CompileConfig.parse(
        {
            "bit": {
                "transformer": transformer,
                "activation16Share": arguments.share,
                "activation16Loss": arguments.loss,
            },
            "equivalentTransformation": {"UD": {"apply": False}, **equivalent},
            "hessianQuant": {"apply": arguments.compensate},
        }
    )


def feeds_of(graph: Graph, directory: Path, count: int, tokens: int) -> list[Feeds]:
    """The first tokens of the first samples."""
    samples = list(read_samples(directory, graph.component))[:count]
    return [partial(sample_feeds, graph, sample, tokens) for sample in samples]


def outputs(
    graph: Graph,
    config: CompileConfig,
    calibration: Sequence[Feeds],
    evaluation: Sequence[Feeds],
) -> Iterator[Tensor]:
    """The quantized model's logits for each sample of the evaluation."""
    formats = weight_formats(graph, config, ())
    graph = transform(graph, preparation(config.equivalent_transformation))
    precision = imitated_precision(graph, config, (), formats)
    settings = Settings(config.equivalent_transformation, precision, config.seed)
    graph, turns = residual_turns(graph, settings.config)
    chosen = choose_rotations(graph, calibration, settings, turns)
    graph = transform(graph, rotations(settings.config, chosen.residual, chosen.values, None))
    rotated = [partial(turned, load, chosen.residual) for load in calibration]
    graph = scale(graph, rotated, settings)
    clipping = Clipping.of(graph, config)
    ranges, bound = clipping.observe(graph, rotated), clipping.bound
    codes = assign_codes(graph, (), narrow_products(graph, (), ranges, bound, config.bit))
    scales = choose_scales(graph, codes, ranges, bound)
    feeds = [partial(turned, load, chosen.residual) for load in evaluation]
    met = QuantizedPath(graph, codes, scales, rotated) if config.hessian_quant.apply else None
    rounding = choose_rounding(graph, formats, config.hessian_quant.attributes, met)
    path = QuantizedPath(graph, codes, scales, feeds)
    for node in graph.nodes.values():
        if node.op in PRODUCTS:
            rounded, grid = rounding.quantize(node, None), path.grid(node)
            rows = list(path.rows(node))
            path.settle(node, rounded)
    weight = rounded.dequantized().T
    return ((x if grid is None else grid.real(x)) @ weight for x in rows)


def turned(load: Feeds, rotation: Tensor | None) -> Mapping[str, Tensor]:
    """Feeds with rotated embeddings."""
    feeds = dict(load())
    if rotation is not None and "inputs_embeds" in feeds:
        feeds["inputs_embeds"] = (feeds["inputs_embeds"].double() @ rotation).float()
    return feeds


def compared(found: Iterator[Tensor], wanted: Sequence[Tensor]) -> dict[str, float]:
    """Mean KL in nats, and the share of tokens with the same best next token."""
    kl, same, count = 0.0, 0, 0
    for output, exact in zip(found, wanted, strict=True):
        p, q = F.log_softmax(exact, -1), F.log_softmax(output, -1)
        kl += float((p.exp() * (p - q)).sum())
        same += int((p.argmax(-1) == q.argmax(-1)).sum())
        count += len(p)
    return {"kl": round(kl / count, 6), "top1": round(same / count, 4)}


def distant(found: Iterator[Tensor], wanted: Sequence[Tensor]) -> dict[str, float]:
    """The squared error of features relative to their power."""
    pairs = list(zip(found, wanted, strict=True))
    error = sum(float((output - exact).square().sum()) for output, exact in pairs)
    power = sum(float(exact.square().sum()) for _, exact in pairs)
    return {"error": round(error / power, 8)}


if __name__ == "__main__":
    main()
