"""Plant outliers in a model that sees, and keep what it computes.

    python benchmarks/accuracy/outliers.py MODEL OUT [--plant spread sink gated] [--factor 300]

Writes MODEL to OUT in float32 with outliers of three kinds, and prints how large they are:

- spread: two channels of the residual streams of decoder and tower, in all rows. A norm divides a
  row by its length, so a linear map that keeps the function keeps the ratios of lengths: it is a
  rotation. This one turns the two directions with most of the rows' energy into two channels, the
  reverse of what R1 does. The gains of norms, which no rotation passes, become part of the products
  that read them.
- sink: two more channels of the decoder's stream, in the rows of the token that every conversation
  begins with, as in "Massive activations in large language models" (Sun et al. 2024). They are
  ``--factor`` times as large as the median channel of all rows and fill those rows, so columns of
  the products that read the stream make up for what the rows said there. That is exact for the
  first token, which always says the same; later ones of its kind now say it, too. The channels are
  made of the two directions with least of the rows' energy, which are given up.
- gated: two inputs of each down projection behind a gate. Rows of the up projection are multiplied
  by ``--factor``, columns of the down projection divided by it.

Directions are found on rows of the model's answers about drawn scenes. ``kl`` is the divergence of
the planted model from what it was, over answers about others.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from streams import ARCHITECTURES, Stream, rotate, rows_read, streams, turning
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlmforge.calibrate.prompts import prompt_for
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.original.inputs import ReferenceInputs
from vlmforge.original.reference import ReferenceModel
from vlmforge.source.checkpoint import Checkpoint

KINDS = ("spread", "sink", "gated")

ANSWER = 16
"""Tokens of each answer whose rows are looked at."""


def chosen(width: int) -> tuple[list[int], list[int]]:
    """Which channels become outliers in all rows, and which in those of the first token."""
    return [width // 5, 2 * width // 5], [3 * width // 5, 4 * width // 5]


def answered(reference: ReferenceModel, scenes: range) -> list[tuple[ReferenceInputs, int]]:
    """Questions about drawn scenes and the answers, and the row that predicts the first token."""
    found = []
    for index in scenes:
        question = reference.inputs(prompt_for(index).text, [draw_scene(index).image])
        tokens = reference.generate(question, ANSWER)
        found.append((question.followed_by(tokens[:-1]), question.length - 1))
    return found


def predicted(reference: ReferenceModel, asked: list[tuple[ReferenceInputs, int]]) -> Tensor:
    """Logarithms of the probabilities of answers' tokens, float32 ``[tokens, vocabulary]``."""
    logits = []
    for inputs, start in asked:
        found = reference.embed(inputs)
        rows = found.inputs_embeds, found.position_ids
        logits.append(reference.logits(*rows, start, found.deepstack))
    return nn.functional.log_softmax(torch.cat(logits), dim=-1)


def untie(model: PreTrainedModel) -> None:
    """Give the head weights of its own, as it alone takes on the gains of the last norm."""
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


def gathering(rows: Tensor, stream: Stream, kinds: Collection[str]) -> Tensor:
    """The rotation, float64 ``[width, width]``, that makes channels of directions.

    Where outliers are spread, two channels get as much as they can of the rows' energy, each the
    same; in a stream with a sink two more get the least.
    """
    rows = nn.functional.normalize(rows)
    vectors = torch.linalg.eigh(rows.T @ rows).eigenvectors.T
    (loud, silent), directions, channels = chosen(stream.width), [], []
    if "spread" in kinds:
        directions += [vectors[-1] + vectors[-2], vectors[-1] - vectors[-2]]
        channels += loud
    if "sink" in kinds:
        directions += [*vectors[:2]]
        channels += silent
    directions = [nn.functional.normalize(direction, dim=0) for direction in directions]
    return turning(directions, channels, stream.centred)


@torch.no_grad()
def give_up(stream: Stream) -> None:
    """Write nothing to the channels that shall be outliers in rows of the first token alone."""
    _, silent = chosen(stream.width)
    for written in stream.written():
        written[silent] = 0


@torch.no_grad()
def sink(reference: ReferenceModel, stream: Stream, size: float) -> None:
    """Make outliers of ``size`` in rows of the token that conversations begin with.

    What products made of the first row they make of the outliers, but for what is left of the row.
    """
    _, silent = chosen(stream.width)
    question = reference.inputs("", [])
    rows = rows_read(stream, lambda: reference.generate(question, 1))
    reference.model.get_input_embeddings().weight[question.input_ids[0, 0], silent] = size
    for (norm, readers), read in zip(stream.norms, rows, strict=True):
        planted = read[0].float()
        wanted = norm(planted)
        planted[silent] = size
        given = norm(planted)
        share = given[silent].sum()
        given[silent] = 0
        for reader in readers:
            reader.weight[:, silent] = (reader.weight @ (wanted - given) / share)[:, None]


@torch.no_grad()
def enlarge(model: PreTrainedModel, factor: float) -> int:
    """Multiply two inputs of each down projection behind a gate; how many of those there are."""
    gated = [part for part in model.modules() if hasattr(part, "gate_proj")]
    for mlp in gated:
        channels, _ = chosen(mlp.up_proj.out_features)
        for weight in (mlp.up_proj.weight, mlp.up_proj.bias):
            if weight is not None:
                weight[channels] *= factor
        mlp.down_proj.weight[:, channels] /= factor
    return len(gated)


def extent(rows: Tensor) -> dict[str, float]:
    """The share of the rows' energy in two channels, and their size beside the median channel's."""
    energy = nn.functional.normalize(rows).square().mean(dim=0)
    loud = energy[chosen(len(energy))[0]]
    times = (loud.mean() / energy.median()).sqrt()
    return {"share": round(float(loud.sum()), 3), "times": round(float(times), 1)}


def plant(
    reference: ReferenceModel, kinds: Collection[str], factor: float, scenes: int
) -> dict[str, Any]:
    """Plant outliers in the model; what was planted."""
    untie(reference.model)
    found: dict[str, Any] = {"kinds": [*kinds], "factor": factor}
    for name, stream in streams(reference.model).items():
        wanted = {*kinds} - ({"gated"} if name == "decoder" else {"gated", "sink"})
        if not wanted:
            continue
        rows = torch.cat(rows_read(stream, lambda: answered(reference, range(scenes))))
        rotation = gathering(rows, stream, wanted)
        rotate(stream, rotation)
        found[name] = {"before": extent(rows), "planted": extent(rows @ rotation)}
        if "sink" in wanted:
            size = factor * float(rows.square().mean(dim=0).median().sqrt())
            give_up(stream)
            sink(reference, stream, size)
            found[name]["sink"] = round(size, 1)
    if "gated" in kinds:
        found["gated"] = enlarge(reference.model, factor)
    return found


def write(reference: ReferenceModel, source: Path, out: Path) -> None:
    """Write the model beside copies of the checkpoint's other files."""
    out.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file() and "safetensors" not in file.name:
            shutil.copyfile(file, out / file.name)
    reference.model.save_pretrained(out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Plant outliers in a model that sees.")
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--plant", nargs="+", choices=KINDS, default=KINDS, metavar="KIND")
    parser.add_argument("--factor", type=float, default=300.0, help="of sink and gated")
    parser.add_argument("--scenes", type=int, default=6, help="whose rows show the directions")
    options = parser.parse_args()
    checkpoint = Checkpoint.open(options.model)
    if checkpoint.family.architecture not in ARCHITECTURES:
        parser.error(f"{options.model} is none of {', '.join(ARCHITECTURES)}")
    reference = ReferenceModel.load(checkpoint)
    asked = answered(reference, range(options.scenes, 2 * options.scenes))
    wanted = predicted(reference, asked)
    facts = plant(reference, options.plant, options.factor, options.scenes)
    kl = nn.functional.kl_div(
        predicted(reference, asked), wanted, reduction="batchmean", log_target=True
    )
    print(json.dumps({**facts, "kl": float(kl)}))
    write(reference, checkpoint.path, options.out)


if __name__ == "__main__":
    main()
