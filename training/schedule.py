"""The loop all training stages share: learning rate, checkpoints, reports."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.muon import optimizers

HELD_OUT = 900_000_000
"""First seed of the scenes that no stage trains on."""


@dataclass(frozen=True)
class Stage:
    """One training stage: how long, how fast, on which scenes, and where its state is kept."""

    name: str
    folder: Path
    total: int
    cooldown: int
    batch: int
    lr: float
    first_seed: int
    warmup: int = 50
    every: int = 100

    @property
    def checkpoint(self) -> Path:
        """Where the stage's resumable state is kept."""
        return self.folder / f"{self.name}.pt"

    def seeds(self, step: int) -> range:
        """Return the scene seeds of `step`; no two steps of a stage share one."""
        first = self.first_seed + step * self.batch
        return range(first, first + self.batch)

    def held_out(self, count: int) -> range:
        """Return `count` seeds of scenes kept for reports."""
        return range(HELD_OUT, HELD_OUT + count)

    def rate(self, step: int) -> float:
        """Return the learning rate of `step`: warmup, plateau, a half cosine to zero."""
        warm = min(1.0, (step + 1) / self.warmup)
        cooled = max(0, step - (self.total - self.cooldown)) / self.cooldown
        return self.lr * warm * 0.5 * (1 + math.cos(math.pi * cooled))

    def steps(self, module: nn.Module) -> Iterator[int]:
        """Yield step numbers; after the body's backward pass, update `module` and go on."""
        chosen = optimizers(module, self.lr)
        for step in range(self._resume(module, chosen), self.total):
            for optimizer in chosen:
                for group in optimizer.param_groups:
                    group["lr"] = self.rate(step)
            yield step
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            for optimizer in chosen:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            if self.reporting(step):
                self._save(step + 1, module, chosen)

    def reporting(self, step: int) -> bool:
        """Tell whether to report and save after `step`."""
        return (step + 1) % self.every == 0 or step + 1 == self.total

    def report(self, step: int, numbers: dict[str, float]) -> None:
        """Print one JSON line and append it to the stage's log."""
        rounded = {name: round(number, 4) for name, number in numbers.items()}
        moment = {"stage": self.name, "step": step + 1, "time": int(time.time())}
        line = json.dumps(moment | rounded)
        print(line, flush=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    def _save(self, step: int, module: nn.Module, chosen: list[torch.optim.Optimizer]) -> None:
        state = {"step": step, "module": module.state_dict()}
        state["optimizers"] = [optimizer.state_dict() for optimizer in chosen]
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _resume(self, module: nn.Module, chosen: list[torch.optim.Optimizer]) -> int:
        if not self.checkpoint.exists():
            return 0
        state = torch.load(self.checkpoint, weights_only=True)
        module.load_state_dict(state["module"])
        for optimizer, saved in zip(chosen, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return state["step"]
