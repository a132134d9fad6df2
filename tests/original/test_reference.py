"""The reference is the original model: merged embeddings, positions and answers agree with it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from vlmforge.errors import SourceError
from vlmforge.images.layout import Layout
from vlmforge.original.reference import ReferenceModel, torch_device
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def reference(tiny_checkpoint: Path) -> ReferenceModel:
    return ReferenceModel.load(Checkpoint.open(str(tiny_checkpoint)))


def noise(seed: int, height: int = 60, width: int = 90) -> Image.Image:
    """An RGB image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def original_logits(reference: ReferenceModel, inputs: object) -> torch.Tensor:
    """The logits of transformers' own forward from token ids and pixels."""
    with torch.inference_mode():
        output = reference.model(
            input_ids=inputs.input_ids,
            **inputs.pictures,
            mm_token_type_ids=inputs.token_types,
        )
    return output.logits[0]


def test_one_image(reference: ReferenceModel) -> None:
    inputs = reference.inputs("How many?", [noise(0)])
    embedded = reference.embed(inputs)
    assert embedded.inputs_embeds.shape == (1, inputs.length, 96)
    assert embedded.inputs_embeds.dtype == torch.float32
    assert embedded.position_ids.shape == (3, inputs.length)
    assert embedded.position_ids.dtype == torch.int64
    assert embedded.token_types.dtype == torch.int8
    assert embedded.token_types.sum() == 64
    image = embedded.position_ids[:, embedded.token_types == 1]
    assert torch.equal(image[1] - image[1, 0], torch.arange(8).repeat_interleave(8))
    assert torch.equal(image[2] - image[2, 0], torch.arange(8).repeat(8))


def test_embedding_feeds_the_same_decoder(reference: ReferenceModel) -> None:
    inputs = reference.inputs("Compare.", [noise(1), noise(2)])
    embedded = reference.embed(inputs)
    logits = reference.logits(embedded.inputs_embeds, embedded.position_ids)
    torch.testing.assert_close(logits, original_logits(reference, inputs), atol=1e-4, rtol=1e-4)
    rows = reference.logits(embedded.inputs_embeds, embedded.position_ids, start=10)
    torch.testing.assert_close(rows, logits[10:], atol=1e-4, rtol=1e-4)


def test_text_alone(reference: ReferenceModel) -> None:
    embedded = reference.embed(reference.inputs("Hello."))
    assert torch.equal(embedded.position_ids[0], torch.arange(embedded.position_ids.shape[1]))
    assert not embedded.token_types.any()


def test_logits_are_not_flat(reference: ReferenceModel) -> None:
    embedded = reference.embed(reference.inputs("Describe the image.", [noise(3)]))
    logits = reference.logits(embedded.inputs_embeds, embedded.position_ids)
    assert logits.std(dim=-1).min() > 1


def test_answer_is_greedy(reference: ReferenceModel, tmp_path: Path) -> None:
    noise(4).save(tmp_path / "image.png")
    answer = reference.answer(tmp_path / "image.png", "What is it?", max_new_tokens=12)
    assert len(answer.token_ids) == 12 or answer.token_ids[-1] in (298, 300)
    assert answer.logits.shape == (len(answer.token_ids), 320)
    assert answer.logits.argmax(-1).tolist() == answer.token_ids
    assert len(set(answer.token_ids)) > 1
    again = reference.answer(tmp_path / "image.png", "What is it?", max_new_tokens=12)
    assert again.token_ids == answer.token_ids


@torch.no_grad()
def test_an_answer_about_several_images(reference: ReferenceModel, tmp_path: Path) -> None:
    paths = [tmp_path / f"{color}.png" for color in ("red", "blue")]
    for path in paths:
        Image.new("RGB", (60, 60), path.stem).save(path)

    answer = reference.answer(paths, "Which?", max_new_tokens=4)

    prompt = reference.inputs("Which?", [Image.open(path) for path in paths])
    assert answer.token_ids == reference.generate(prompt, 4)


def test_an_answer_may_hold_image_tokens(reference: ReferenceModel) -> None:
    inputs = reference.inputs("Draw.", [noise(5)])
    token = reference.processor.image_token_id
    embedded = reference.embed(inputs.followed_by([token, 7]))
    row = reference.model.get_input_embeddings().weight[token].detach()
    assert torch.equal(embedded.inputs_embeds[0, -2], row)
    assert embedded.token_types[-2:].tolist() == [0, 0]
    assert embedded.position_ids[:, -1].unique().numel() == 1


def test_half_precision(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    reference = ReferenceModel.load(checkpoint, dtype=torch.bfloat16)
    embedded = reference.embed(reference.inputs("Hi.", [noise(6)]))
    assert reference.model.dtype == torch.bfloat16
    assert embedded.inputs_embeds.dtype == torch.float32
    logits = reference.logits(embedded.inputs_embeds, embedded.position_ids)
    assert logits.dtype == torch.float32


def test_other_image_sizes(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    reference = ReferenceModel.load(checkpoint, layout=Layout((56, 112)))
    assert reference.inputs("Hi.", [noise(7)]).token_types.sum() == 8


def test_images_of_their_own_size(tiny_checkpoint: Path, dynamic_session: Session) -> None:
    """As evaluation lets it see them: what the package sees, in the original's numbers."""
    assert dynamic_session.preprocess is not None
    loaded = ReferenceModel.load(Checkpoint.open(str(tiny_checkpoint)))
    reference = replace(loaded, pictures=dynamic_session.preprocess.images.pictures)
    picture = noise(7).resize((100, 60))

    inputs = reference.inputs("Hi.", [picture])

    visual = dynamic_session.preprocess(picture)
    grid, pixels = inputs.pictures["image_grid_thw"], inputs.pictures["pixel_values"]
    assert grid.tolist() == [list(visual.grid.patches(2))] != [[1, 16, 16]]
    assert np.array_equal(pixels.numpy(), visual.slice(0))


def test_missing_weights_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(SourceError, match=r"lacks weights, such as .*layers\.1\.mlp\.up_proj"):
        ReferenceModel.load(Checkpoint.open(str(copy)))


def test_weights_of_another_shape_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(97)
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(SourceError, match="cannot load the model"):
        ReferenceModel.load(Checkpoint.open(str(copy)))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch_device("cpu").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SourceError, match="no GPU"):
        torch_device("gpu")
    with pytest.raises(SourceError, match="no such device"):
        torch_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device("cuda") == torch_device("gpu") == torch.device("cuda")


def test_a_batch_answers_as_each_question_alone(reference: ReferenceModel) -> None:
    asked = ("Hi.", "Describe the image.", "How many shapes are there in the image, and why?", "?")
    questions = [
        reference.inputs(question, [noise(seed)] * (seed % 3))
        for seed, question in enumerate(asked)
    ]
    steps: list[int] = []
    together = reference.answers([reference.embed(each) for each in questions], 24, steps.append)
    assert together == [reference.generate(question, 24) for question in questions]
    assert len({question.length for question in questions}) == 4
    assert steps == sorted(steps) and steps[-1] == max(map(len, together))


def test_an_answer_ends_with_its_first_stop_token(reference: ReferenceModel) -> None:
    prompts = [reference.embed(reference.inputs("Hi.", [noise(seed)])) for seed in range(3)]
    free = reference.answers(prompts, 12)
    config = reference.model.generation_config
    stopped, config.eos_token_id = config.eos_token_id, [free[0][3], 7]
    try:
        assert reference.answers(prompts, 12)[0] == free[0][: free[0].index(free[0][3]) + 1]
    finally:
        config.eos_token_id = stopped


@torch.inference_mode()
def test_answers_are_those_of_transformers(reference: ReferenceModel) -> None:
    inputs = reference.inputs("What is it, and where?", [noise(8), noise(9)])
    ids = reference.model.generate(
        input_ids=inputs.input_ids,
        attention_mask=torch.ones_like(inputs.input_ids),
        mm_token_type_ids=inputs.token_types,
        **inputs.pictures,
        max_new_tokens=16,
        do_sample=False,
        repetition_penalty=1.0,
    )
    assert reference.generate(inputs, 16) == ids[0, inputs.length :].tolist()


def test_an_embedded_prompt_goes_on(reference: ReferenceModel) -> None:
    inputs = reference.inputs("What is it?", [noise(10)])
    whole = reference.embed(inputs.followed_by([7, 8, 300]))
    found = reference.followed_by(reference.embed(inputs), [7, 8, 300])
    assert torch.equal(found.inputs_embeds, whole.inputs_embeds)
    assert torch.equal(found.position_ids, whole.position_ids)
    assert torch.equal(found.token_types, whole.token_types)
