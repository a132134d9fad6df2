"""The last stage: the compiled parts of a workspace to a package directory."""

from __future__ import annotations

from pathlib import Path

from vlmforge.config import CompileConfig
from vlmforge.package.build import build_package
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.rotation import read_r1
from vlmforge.workspace import Workspace


def package(
    checkpoint: Checkpoint, space: Workspace, output: Path, config: CompileConfig | None = None
) -> Path:
    """Join the compiled parts of a workspace into a package directory."""
    rotated = config is None or config.equivalent_transformation.spin_r1.apply
    rotation = read_r1(checkpoint, space.rotation) if rotated else None
    vision = space.mxq("vision") if "vision" in checkpoint.components else None
    return build_package(checkpoint, space.mxq("language"), vision, rotation, output)
