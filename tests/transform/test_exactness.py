"""Every transformation alone, and all together, leave the function as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.graphs import captured, language_feeds, relative_error, rotated, vision_feeds
from vlmforge.config import EquivalentTransformationConfig
from vlmforge.errors import GraphError
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.transform.hadamard import hadamard, random_rotation
from vlmforge.transform.head_rotation import rotate_head
from vlmforge.transform.norm_folding import NORMS, fold_norms
from vlmforge.transform.order import language_passes, transform, vision_passes
from vlmforge.transform.residual_rotation import rotate_residual
from vlmforge.transform.value_rotation import attentions, rotate_values

NOISE = 2e-5
ALL = EquivalentTransformationConfig.model_validate({"SpinR2": {"apply": True}})


def value_rotations(graph: Graph) -> dict[str, torch.Tensor]:
    return {n.name: random_rotation(n.attrs["head_dim"], 1) for n in attentions(graph)}


def test_norm_folding(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    for graph, feeds in ((language, language_feeds(language)), (vision, vision_feeds())):
        folded = fold_norms(graph)
        assert not any(n.weights for n in folded.nodes.values() if n.op in NORMS)
        (name,) = graph.outputs
        assert relative_error(evaluate(folded, feeds)[name], evaluate(graph, feeds)[name]) < NOISE


def test_r1(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    folded, feeds = fold_norms(graph), language_feeds(graph)
    matrix = random_rotation(96, 0)
    got = evaluate(rotate_residual(folded, matrix), rotated(feeds, matrix))["lm_head"]
    assert relative_error(got, evaluate(folded, feeds)["lm_head"]) < NOISE


def test_r1_refuses_norms_with_weights(tiny_checkpoint: Path) -> None:
    _, graph, _ = captured(tiny_checkpoint)
    with pytest.raises(GraphError, match="fold norms first"):
        rotate_residual(graph, random_rotation(96, 0))


def test_r2(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    for graph, feeds in ((language, language_feeds(language)), (vision, vision_feeds())):
        turned = rotate_values(graph, value_rotations(graph))
        (name,) = graph.outputs
        assert relative_error(evaluate(turned, feeds)[name], evaluate(graph, feeds)[name]) < NOISE


def test_head_rotation(tiny_checkpoint: Path) -> None:
    _, _, graph = captured(tiny_checkpoint)
    matrix, feeds = random_rotation(96, 0), vision_feeds()
    want = (evaluate(graph, feeds)["model_merger_fc2"].double() @ matrix).float()
    got = evaluate(rotate_head(graph, matrix), feeds)["model_merger_fc2"]
    assert relative_error(got, want) < NOISE


def test_all_together(tiny_checkpoint: Path) -> None:
    _, language, vision = captured(tiny_checkpoint)
    matrix, feeds = random_rotation(96, 0), language_feeds(language)
    turned = transform(language, language_passes(ALL, matrix, 0))
    got = evaluate(turned, rotated(feeds, matrix))["lm_head"]
    assert relative_error(got, evaluate(language, feeds)["lm_head"]) < NOISE

    pixels = vision_feeds()
    seen = evaluate(transform(vision, vision_passes(ALL, matrix, 0)), pixels)["model_merger_fc2"]
    want = (evaluate(vision, pixels)["model_merger_fc2"].double() @ matrix).float()
    assert relative_error(seen, want) < NOISE


@pytest.mark.parametrize("size", [1, 2, 12, 64, 96, 320, 896, 1280, 1536, 140])
def test_hadamard_matrices_are_orthogonal(size: int) -> None:
    matrix = hadamard(size)
    assert matrix is not None
    assert torch.equal(matrix @ matrix.T, size * torch.eye(size, dtype=torch.float64))
    assert set(matrix.unique().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("size", [6, 7, 18, 100])
def test_other_sizes_take_an_orthogonal_matrix(size: int) -> None:
    assert hadamard(size) is None
    matrix = random_rotation(size, 3)
    assert (matrix @ matrix.T - torch.eye(size)).abs().max() < 1e-12
    assert torch.equal(matrix, random_rotation(size, 3))
    assert not torch.equal(matrix, random_rotation(size, 4))
