"""Qwen2.5-VL: windows, a gated tower, and the spellings of its checkpoints."""

from __future__ import annotations

import shutil
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from tests.conftest import write_json
from tests.dialogues import assistant, picture, user, video
from tests.families.models import settings_of, write_model
from tests.families.test_families import FINE
from tests.graphs import relative_error
from vlmforge.capture.check import check
from vlmforge.capture.component import capture
from vlmforge.capture.vision import capture_tower
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError, SourceError
from vlmforge.families.qwen2_5_vl import FAMILY
from vlmforge.formats.kv import Snapshot
from vlmforge.graph.core import Graph
from vlmforge.graph.evaluate import evaluate
from vlmforge.images.feeds import vision_feeds
from vlmforge.images.grid import Grid
from vlmforge.images.layout import DYNAMIC, Layout
from vlmforge.integrations.transformers import register
from vlmforge.machine.machine import IMPLEMENTATIONS, open_machine
from vlmforge.original.model import load_model
from vlmforge.original.observed import run_tower
from vlmforge.original.streamed import load_streamed
from vlmforge.pipeline import compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.stages.samples import original_picture

WIDE = Layout((112, 196))
"""4 x 7 cells in windows of 3."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(FAMILY, tmp_path_factory.mktemp("qwen2_5") / "Window-VL")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    directory = tmp_path_factory.mktemp("package") / "Window-VL"
    settings: dict[str, Any] = {"num_samples": 4, "max_new_tokens": 8, "config": FINE}
    compile_model(str(model), directory, images="synthetic", **settings)
    return directory


@pytest.fixture(scope="module")
def session(package: Path) -> Session:
    return Session.open(package)


@lru_cache(maxsize=2)
def captured(model: Path, layout: Layout = DYNAMIC) -> Graph:
    checkpoint = Checkpoint.open(str(model))
    return capture_tower(checkpoint, pictures_for(checkpoint, layout))


def pixels(grid: Grid) -> np.ndarray:
    return np.random.default_rng(grid.tokens).standard_normal((grid.tokens * 4, 1176), np.float32)


def feeds_of(graph: Graph, grid: Grid) -> dict[str, torch.Tensor]:
    ways = vision_feeds(graph.meta)
    return {name: torch.from_numpy(x) for name, x in ways(pixels(grid), grid).items()}


@pytest.mark.parametrize(
    "grid",
    [(1, 2), (2, 1), (3, 3), (4, 7), (9, 2), (5, 8), (6, 6), (7, 9)],
    ids=lambda grid: f"{grid[0]}x{grid[1]}",
)
def test_images_of_any_size_agree_with_the_original(model: Path, grid: tuple[int, int]) -> None:
    graph, cells = captured(model), Grid(1, *grid)
    require_agreement(model, graph, feeds_of(graph, cells), pixels(cells))


def test_a_fixed_size_agrees_with_the_original(model: Path) -> None:
    graph, cells = captured(model, WIDE), Grid(1, 4, 7)
    feeds = feeds_of(graph, cells)
    require_agreement(model, graph, feeds, pixels(cells))
    dynamic = captured(model)
    wanted = evaluate(dynamic, feeds_of(dynamic, cells))["model_merger_fc2"]
    assert relative_error(evaluate(graph, feeds)["model_merger_fc2"], wanted) < 1e-5


def require_agreement(
    model: Path, graph: Graph, feeds: dict[str, torch.Tensor], patches: np.ndarray
) -> None:
    shown = original_picture(graph, feeds)
    np.testing.assert_array_equal(shown.arguments["pixel_values"].numpy(), patches)
    tower, streamed = FAMILY.tower, load_streamed(Checkpoint.open(str(model)))
    report = check(graph, feeds, partial(run_tower, streamed, tower, shown))
    assert report["worst"]["relative"] < 1e-5
    assert report["compared"] == 1 + 3 * 11 + 4


def respelled(model: Path, directory: Path, newer: bool) -> Path:
    """The checkpoint in float32, with names in memory of transformers 5, or as it is published."""
    shutil.copytree(model, directory)
    if not newer:
        write_json(directory / "config.json", settings_of(FAMILY))
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in load_file(model / "model.safetensors").items():
        part, _, rest = name.partition(".")
        renamed = {"model": f"model.language_model.{rest}", "visual": f"model.visual.{rest}"}[part]
        weights[renamed if newer else name] = tensor.float()
    save_file(weights, directory / "model.safetensors", {"format": "pt"})
    return directory


@pytest.mark.parametrize("newer", [False, True])
def test_every_spelling_is_the_same_model(model: Path, tmp_path: Path, newer: bool) -> None:
    saved = Checkpoint.open(str(model))
    other = Checkpoint.open(str(respelled(model, tmp_path / "Other-VL", newer)))
    for component in saved.components:
        pictures = pictures_for(saved, DYNAMIC)
        one, two = (capture(each, component, pictures) for each in (saved, other))
        assert one.nodes == two.nodes and one.inputs == two.inputs
        for name, weight in one.weights.items():
            assert torch.equal(weight.load(), two.weights[name].load()), name


def test_windows_see_no_more_than_themselves(model: Path) -> None:
    graph, cells = captured(model), Grid(1, 6, 6)
    feeds = feeds_of(graph, cells)
    windowed = [n for n in graph.nodes.values() if n.op == "attention" and "visible" in n.inputs]
    assert [node.name for node in windowed] == [
        f"model_blocks_{block}_attn_attention" for block in (0, 2)
    ]
    changed = {**feeds, "patches": feeds["patches"].clone()}
    changed["patches"][36:72] += 1  # all of the second window
    seen: list[dict[str, torch.Tensor]] = [{}, {}]
    for found, given in zip(seen, (feeds, changed), strict=True):
        evaluate(graph, given, observe=found.__setitem__)
    before, after = (each["model_blocks_0/add_1"] for each in seen)
    assert torch.equal(before[:36], after[:36]) and torch.equal(before[72:], after[72:])
    before, after = (each["model_blocks_1/add_1"] for each in seen)
    assert not torch.isclose(before[:36], after[:36]).all(1).any()


def test_windows_that_no_block_has_are_no_windows(tmp_path: Path) -> None:
    settings = settings_of(FAMILY)
    settings["vision_config"] |= {"fullatt_block_indexes": [0, 1, 2, 7], "window_size": 1}
    graph = captured(write_model(FAMILY, tmp_path / "Whole-VL", settings))
    assert list(graph.inputs) == ["patches", "position_ids"] and "window" not in graph.meta


def test_windows_of_no_cells_are_refused(tmp_path: Path) -> None:
    settings = settings_of(FAMILY)
    settings["vision_config"]["window_size"] = 27
    directory = write_model(FAMILY, tmp_path / "Narrow-VL", settings)
    with pytest.raises(SourceError, match="window_size is 27, less than a group") as caught:
        captured(directory)
    assert caught.value.mend is not None and "a multiple of 28" in caught.value.mend


def test_every_machine_gives_every_code(session: Session) -> None:
    assert session.vision is not None
    program = session.vision.machine.program
    assert program.meta["window"] == 3 and program.meta["tokens_per_second"] == 2
    assert sum(step.op == "hadamard" for step in program.instructions) == 3
    ways = vision_feeds(program.meta)
    machines = [open_machine(program, "reference")]
    if "native" in IMPLEMENTATIONS:
        from vlmforge.machine.native.machine import NativeMachine, instruction_sets

        machines += [NativeMachine(program, 2, isa) for isa in instruction_sets()]
    for grid in (Grid(1, 4, 7), Grid(1, 1, 2)):
        seen: list[dict[str, np.ndarray]] = []
        for machine in machines:
            seen.append({})
            machine.run(ways(pixels(grid), grid), None, seen[-1].__setitem__)
        for name, codes in seen[0].items():
            for other in seen[1:]:
                np.testing.assert_array_equal(other[name], codes, err_msg=name)


TURNS = [
    user(picture(0, (150, 90)), "What is it?"),
    assistant("A star."),
    user(picture(1, (60, 230)), "And this, beside", video(2, 7, (60, 90)), "that?"),
]


def test_a_conversation_reads_as_the_original_does(model: Path, session: Session) -> None:
    answer = list(np.random.default_rng(0).permutation(256)[:20])
    prompt = session.prompts.encode(TURNS).token_ids
    logits = Conversation(session).teacher_forced(TURNS, answer)
    found = torch.from_numpy(logits).double().log_softmax(-1)
    ids = torch.from_numpy(np.concatenate([prompt, answer[:-1]]))[None]
    original: Any = load_model(Checkpoint.open(str(model)))
    given = shown_to(session, TURNS, ids)

    def divergence(**changes: torch.Tensor) -> float:
        with torch.inference_mode():
            logits = original(input_ids=ids, **{**given, **changes}).logits[0, len(prompt) - 1 :]
        expected = logits.double().log_softmax(-1)
        return float((expected.exp() * (expected - found)).sum(-1).mean())

    assert divergence() < 0.04
    assert divergence(second_per_grid_ts=torch.tensor([4.0])) > 0.06
    assert divergence(pixel_values=given["pixel_values"].flip(0)) > 0.06


def shown_to(session: Session, messages: Any, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """What transformers' model is given of what is shown, at the package's sizes."""
    _, visuals = session.prepare(messages)
    named: dict[str, torch.Tensor] = {}
    for kind, pixel, grids in (
        (1, "pixel_values", "image_grid_thw"),
        (2, "pixel_values_videos", "video_grid_thw"),
    ):
        own = [each for each in visuals if (each.grid.frames > 1) == (kind == 2)]
        slices = [each.slice(index) for each in own for index in range(each.grid.frames)]
        named[pixel] = torch.from_numpy(np.concatenate(slices))
        named[grids] = torch.tensor([each.grid.patches(2) for each in own])
    named["second_per_grid_ts"] = torch.tensor([2 / 24])
    types = session.prompts.placeholders.types(ids[0].numpy())
    return {**named, "mm_token_type_ids": torch.from_numpy(types.astype(np.int64))[None]}


def test_time_is_kept_with_a_conversation(session: Session, tmp_path: Path) -> None:
    slow = {**video(2, 8, (60, 90)), "sample_fps": 0.5}
    talk = [user(slow, "?")]
    first = Conversation(session)
    answer = first.generate(talk, Options(max_new_tokens=4))
    first.snapshot().save(tmp_path / "talk.kv")
    again = [*talk, assistant(answer.text), user("Why?")]
    restored = Conversation(session)

    restored.restore(Snapshot.load(tmp_path / "talk.kv"))

    assert Snapshot.load(tmp_path / "talk.kv").spans[0][4:] == (8.0,)
    found = restored.generate(again, Options(max_new_tokens=4))
    assert found == Conversation(session).generate(again, Options(max_new_tokens=4))


def test_hugging_faces_classes_answer_as_a_session(package: Path, session: Session) -> None:
    register()
    processor = AutoProcessor.from_pretrained(package)
    model: Any = AutoModelForImageTextToText.from_pretrained(package)
    talk = [user(picture(0, (150, 90)), video(3, 8, (60, 90)), "What?")]
    text = processor.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    image, frames = (part[part["type"]] for part in talk[0]["content"][:2])
    inputs = processor(text=[text], images=[image], videos=[frames], return_tensors="pt")
    assert inputs["second_per_grid_ts"].tolist() == [float(np.float32(2 / 24))]

    greedy = {"do_sample": False, "repetition_penalty": 1.0, "max_new_tokens": 6}
    output = model.generate(**inputs, **greedy)

    expected = Conversation(session).generate(talk, Options(max_new_tokens=6))
    found = output[0, inputs["input_ids"].shape[1] :].tolist()
    assert found[: len(expected.token_ids)] == list(expected.token_ids)
    with pytest.raises(RunError, match="second_per_grid_ts has 2 numbers for 1 videos"):
        model(**{**inputs, "second_per_grid_ts": [1.0, 2.0]})
    fast = model(**inputs).logits
    slow = model(**{**inputs, "second_per_grid_ts": torch.tensor([4.0])}).logits
    assert not torch.equal(fast, slow)
