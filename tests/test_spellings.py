"""Checkpoints as others save them: every spelling compiles into what transformers computes."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.conftest import CONFIG, PREPROCESSOR, write_json
from vlmforge.calibrate.scenes import draw_scene
from vlmforge.config import CompileConfig
from vlmforge.images.layout import DYNAMIC
from vlmforge.original.reference import ReferenceModel
from vlmforge.pipeline import compile_model
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.processor import image_text_class

FINE = CompileConfig.parse({"bit": {"activation16Share": 1.0}, "hessianQuant": {"apply": False}})
"""Rounds so little that what is left is what was understood."""

NULLS = ("crop_size", "data_format", "device", "do_center_crop", "input_data_format")


@pytest.fixture
def model(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to write otherwise, as published: flat settings, older names.

    Its logits are halved, so that rounding alone costs little.
    """
    copied = Path(shutil.copytree(tiny_checkpoint, tmp_path / "Copy-VL"))
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"] /= 2
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    return copied


def published(model: Path) -> None:
    """As it is."""


def untied(model: Path) -> None:
    """As the 7B model is published: a head of its own."""
    write_json(model / "config.json", {**CONFIG, "tie_word_embeddings": False})
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].roll(1, 0)
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def saved_by_4(model: Path) -> None:
    """Settings flat and nested at once, nulls, dtypes inside, another spelling of RoPE."""
    rope = {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"}
    skipped = ("vision_config", "rope_scaling", "architectures", "image_token_id")
    text = {key: value for key, value in CONFIG.items() if key not in skipped}
    nested = {"model_type": "qwen2_vl_text", "sliding_window": None, "image_token_id": None}
    vision = {"hidden_act": "quick_gelu", "in_channels": 3, "torch_dtype": "bfloat16"}
    config = copy.deepcopy(CONFIG) | {
        "rope_scaling": rope,
        "text_config": text
        | nested
        | {"rope_scaling": rope, "layer_types": ["full_attention"] * 3},
        "vision_config": CONFIG["vision_config"] | vision | {"model_type": "qwen2_vl"},
        "transformers_version": "4.53.1",
    }
    write_json(model / "config.json", config)
    size = {"longest_edge": 12845056, "shortest_edge": 3136}
    steps = {"do_resize": True, "do_normalize": True, "do_rescale": True, "do_convert_rgb": True}
    fast = {"image_processor_type": "Qwen2VLImageProcessorFast", "size": size, "resample": 3}
    processor = PREPROCESSOR | dict.fromkeys(NULLS) | fast | steps
    write_json(model / "preprocessor_config.json", processor)


def saved_by_5(dtype: str) -> Callable[[Path], None]:
    """What ``save_pretrained`` of model and processor writes today."""

    def save(model: Path) -> None:
        original = Qwen2VLForConditionalGeneration.from_pretrained(model, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(model)
        images = Qwen2VLImageProcessorPil.from_pretrained(model)
        shutil.rmtree(model)
        original.save_pretrained(model)
        template = tokenizer.chat_template
        whole = image_text_class(Qwen2VLProcessor)
        whole(images, tokenizer, chat_template=template).save_pretrained(model)
        assert not (model / "preprocessor_config.json").exists()

    save.__name__ = f"saved_by_5_in_{dtype}"
    return save


def newer_names_and_mixed_dtypes(model: Path) -> None:
    """Names in memory of transformers 5, a stray buffer, and every dtype beside every other."""
    write_json(model / "config.json", Qwen2VLConfig.from_dict(CONFIG).to_dict() | _architecture())
    weights: dict[str, torch.Tensor] = {}
    dtypes = (torch.float16, torch.float32, torch.bfloat16)
    for index, (name, tensor) in enumerate(load_file(model / "model.safetensors").items()):
        renamed = f"model.{name}" if name.startswith("visual.") else name
        if name.startswith("model."):
            renamed = "model.language_model." + name.removeprefix("model.")
        weights[renamed] = tensor.to(dtypes[index % 3])
    weights["model.language_model.rotary_emb.inv_freq"] = torch.ones(8)
    save_file(weights, model / "model.safetensors", {"format": "pt"})


def yarn(model: Path) -> None:
    """RoPE stretched by a fixed factor."""
    config = Qwen2VLConfig.from_dict(CONFIG).to_dict() | _architecture()
    config["text_config"]["rope_parameters"] |= {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    config["text_config"]["max_position_embeddings"] = 256
    write_json(model / "config.json", config)


def _architecture() -> dict[str, Any]:
    return {"architectures": CONFIG["architectures"]}


def divergence(package: Path, model: Path) -> float:
    """KL(transformers ‖ package) in nats, the mean over answers of transformers to questions."""
    original, session = (
        ReferenceModel.load(Checkpoint.open(str(model)), layout=DYNAMIC),
        Session.open(package),
    )
    found = []
    for seed, question in ((1, "Describe the image."), (2, "How many shapes are there?")):
        image: Image.Image = draw_scene(seed).image
        prompt = original.inputs(question, [image])
        answer = original.generate(prompt, 8)
        embedded = original.embed(prompt.followed_by(answer[:-1]))
        expected = original.logits(
            embedded.inputs_embeds, embedded.position_ids, start=prompt.length - 1
        )
        parts = [{"type": "image", "image": image}, {"type": "text", "text": question}]
        logits = Conversation(session).teacher_forced([{"role": "user", "content": parts}], answer)
        p, q = expected.double().log_softmax(-1), torch.from_numpy(logits).double().log_softmax(-1)
        found.append((p.exp() * (p - q)).sum(-1).mean().item())
    return float(np.mean(found))


@pytest.mark.parametrize(
    "spell",
    [
        published,
        untied,
        saved_by_4,
        saved_by_5("bfloat16"),
        saved_by_5("float16"),
        saved_by_5("float32"),
        newer_names_and_mixed_dtypes,
        yarn,
    ],
    ids=lambda spell: spell.__name__,
)
def test_every_spelling_compiles(
    model: Path, tmp_path: Path, spell: Callable[[Path], None]
) -> None:
    spell(model)
    package = tmp_path / "package"
    summary = compile_model(
        str(model), package, images="synthetic", num_samples=4, max_new_tokens=8, config=FINE
    )
    assert json.loads((package / "config.json").read_text())["mxq_path"]
    assert max(summary.checks.values()) < 1e-4
    assert divergence(package, model) < 0.02
