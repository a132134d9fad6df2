"""R1 between the components: who writes it, and who reads it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vlmforge.config import CompileConfig
from vlmforge.errors import ConfigError
from vlmforge.families.family import LANGUAGE
from vlmforge.formats.rotation import Rotation, read_rotation, write_rotation
from vlmforge.graph.core import Graph
from vlmforge.source.checkpoint import EMBEDDING, Checkpoint


def component_rotation(
    graph: Graph, config: CompileConfig, rotation_path: Path | str | None, residual: Tensor | None
) -> Rotation | None:
    """R1 of the language model: written when it is compiled, read for a vision encoder.

    Args:
        graph: the component.
        config: names another file for a vision encoder in ``matrixPath``.
        rotation_path: where R1 is kept.
        residual: the rotation of this component's own stream ``[hidden, hidden]``, float64; None
            where it has none, which for a language model counts as one that turns nothing.

    Raises:
        RotationError: the vision encoder's R1 is missing or of another model.
        ConfigError: nobody says where R1 is.
    """
    asked, meta = config.equivalent_transformation, graph.meta
    head, language = asked.head_out_ch_rotation, graph.component == LANGUAGE
    written = asked.spin_r1.apply or (head.matrix_path is not None and not language)
    if not written or not (language or head.apply):
        return None
    path = rotation_path if language else head.matrix_path or rotation_path
    if path is None:
        raise ConfigError(
            "nobody says where the rotation R1 is kept", mend="give --spin-weight-dir"
        )
    identity = {"model_fingerprint": meta["model_fingerprint"]}
    if language:
        matrix = residual if residual is not None else torch.eye(meta["hidden_size"]).double()
        write_rotation(path, Rotation.of(matrix), model=meta["model"], **identity)
    return read_rotation(path, size=meta["hidden_size"], **identity)


def read_r1(checkpoint: Checkpoint, path: Path | str) -> Rotation:
    """The rotation a language model's compilation wrote; raises :class:`RotationError`."""
    size = checkpoint.shape(EMBEDDING)[1]
    return read_rotation(path, size=size, model_fingerprint=checkpoint.fingerprint())
