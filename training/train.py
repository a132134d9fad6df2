"""Train a sample model: `python -m training.train --out runs/sample`.

`--family qwen3-vl` trains a Qwen3-VL, by the same recipe. `--start CHECKPOINT` begins with what a
trained model has learned, of another family too, and `--stages` runs some of the stages only.

Stopped at any point, the same command goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

import torch

from training import canvases, text, vision
from training.family import FAMILIES
from training.inherit import inherit
from training.model import build
from training.schedule import Stage
from training.shown import EVEN, PAIRS, SEVERAL

SEED = 0

SHOWN = {"canvas": EVEN, "several": SEVERAL, "pairs": PAIRS, "inherited": PAIRS}
"""What the last stages show."""

STAGES = ("vision", "text", "joint", *SHOWN)

FROM_NOTHING = STAGES[:-1]
"""Those of a model that inherits nothing."""


def recipe(folder: Path) -> dict[str, Stage]:
    """Return the stages of training."""
    stages = (
        Stage("vision", folder, 1200, 1200, batch=16, lr=2e-3, first_seed=0, every=50),
        Stage("text", folder, 1800, 700, batch=8, lr=2e-3, first_seed=100_000_000),
        Stage("joint", folder, 200, 200, batch=8, lr=3e-4, first_seed=200_000_000),
        Stage("canvas", folder, 2600, 1800, batch=8, lr=1e-3, first_seed=300_000_000, warmup=20),
        Stage("several", folder, 1500, 1100, batch=12, lr=1e-3, first_seed=400_000_000, warmup=20),
        Stage("pairs", folder, 1150, 850, batch=12, lr=1e-3, first_seed=600_000_000, warmup=20),
        Stage("inherited", folder, 450, 350, batch=12, lr=1e-3, first_seed=700_000_000, warmup=20),
    )
    return {stage.name: stage for stage in stages}


def train(
    folder: Path, family: str, start: Path | None = None, wanted: Collection[str] = FROM_NOTHING
) -> None:
    """Run the stages that are wanted, keeping checkpoints and `log.jsonl` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = recipe(folder)
    model = build(SEED, family)
    if start is not None:
        print(f"initialized: {', '.join(inherit(model, start)) or 'nothing'}", flush=True)
    if "vision" in wanted:
        vision.train(model, stages["vision"])
    for name in ("text", "joint"):
        if name in wanted:
            text.train(model, stages[name], frozen=name == "text")
    canvases.train(model, {SHOWN[name]: stages[name] for name in SHOWN if name in wanted})
    torch.save(model.state_dict(), folder / "model.pt")


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--family", choices=FAMILIES, default="qwen2-vl")
    parser.add_argument("--start", type=Path, help="checkpoint of a trained model to begin with")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=FROM_NOTHING)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    train(arguments.out, arguments.family, arguments.start, arguments.stages)


if __name__ == "__main__":
    main()
