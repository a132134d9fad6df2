"""Checkpoints are read by rows under canonical names, and broken ones are refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2VLConfig

from vlmforge.errors import SourceError
from vlmforge.source.checkpoint import Checkpoint

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "Copy-VL"))


@pytest.fixture
def sharded(copy: Path) -> Path:
    """A checkpoint of two shards, under the names transformers 5 has in memory."""
    weights = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    shards: tuple[dict[str, torch.Tensor], ...] = ({}, {})
    for index, (name, tensor) in enumerate(weights.items()):
        renamed = "model.visual." + name.removeprefix("visual.")
        if name.startswith("model."):
            renamed = "model.language_model." + name.removeprefix("model.")
        shards[index % 2][renamed] = tensor
    for file, shard in zip(SHARDS, shards, strict=True):
        save_file(shard, copy / file)
    files = {name: file for file, shard in zip(SHARDS, shards, strict=True) for name in shard}
    (copy / INDEX).write_text(json.dumps({"weight_map": files}))
    return copy


def rewrite(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None removes a key."""
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: v for key, v in value.items() if v is not None}))


def test_facts(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    assert checkpoint.name == checkpoint.model_id == "Tiny-VL"
    assert checkpoint.family.architecture == "Qwen2VLForConditionalGeneration"
    assert checkpoint.config["hidden_size"] == 96


def test_rows_are_the_stored_rows(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    stored = load_file(tiny_checkpoint / "model.safetensors")
    name = "language_model.layers.1.mlp.down_proj.weight"
    rows = checkpoint.rows(name, 5, 9)
    assert rows.dtype == torch.float32
    assert torch.equal(rows, stored["model.layers.1.mlp.down_proj.weight"][5:9].float())
    assert checkpoint.shape(name) == (96, 160)
    assert checkpoint.dtype(name) == "bfloat16"


def test_weight_reads_lazily(copy: Path) -> None:
    checkpoint = Checkpoint.open(str(copy))
    weight = checkpoint.weight("visual.patch_embed.proj.weight")
    assert weight.shape == (64, 3, 2, 14, 14)
    assert weight.dtype == "bfloat16"
    stored = load_file(copy / "model.safetensors")["visual.patch_embed.proj.weight"]
    assert torch.equal(weight.load(), stored.float())


def test_tied_head_is_the_embedding(tiny_checkpoint: Path) -> None:
    checkpoint = Checkpoint.open(str(tiny_checkpoint))
    assert "lm_head.weight" in checkpoint.names()
    embedding = checkpoint.rows("language_model.embed_tokens.weight", 0, 320)
    assert torch.equal(checkpoint.rows("lm_head.weight", 0, 320), embedding)
    assert {*checkpoint.names()} - {*checkpoint.distinct()} == {"lm_head.weight"}


def test_untied_head_must_be_stored(copy: Path) -> None:
    rewrite(copy / "config.json", tie_word_embeddings=False)
    with pytest.raises(SourceError, match=r"no weight lm_head\.weight"):
        Checkpoint.open(str(copy)).weight("lm_head.weight")


def test_stored_head_wins(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"] = torch.ones(320, 96)
    save_file(weights, copy / "model.safetensors")
    checkpoint = Checkpoint.open(str(copy))
    assert checkpoint.rows("lm_head.weight", 0, 2).eq(1).all()
    assert checkpoint.distinct() == checkpoint.names()


def test_a_head_alone_is_the_embedding_too(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["lm_head.weight"] = weights.pop("model.embed_tokens.weight")
    save_file(weights, copy / "model.safetensors")
    checkpoint = Checkpoint.open(str(copy))
    head = checkpoint.weight("lm_head.weight").load()
    assert torch.equal(checkpoint.weight("language_model.embed_tokens.weight").load(), head)


@pytest.mark.parametrize(("root", "inside"), [(False, True), (True, False), (None, True)])
def test_one_tie_is_enough(copy: Path, root: bool | None, inside: bool) -> None:
    text = Qwen2VLConfig.from_dict(json.loads((copy / "config.json").read_text())).text_config
    nested = {**text.to_dict(), "tie_word_embeddings": inside}
    rewrite(copy / "config.json", tie_word_embeddings=root, text_config=nested)
    assert "lm_head.weight" in Checkpoint.open(str(copy)).names()


def test_one_file_goes_before_an_index(sharded: Path, tiny_checkpoint: Path) -> None:
    shutil.copyfile(tiny_checkpoint / "model.safetensors", sharded / "model.safetensors")
    for file in SHARDS:
        (sharded / file).write_bytes(b"left over")
    checkpoint = Checkpoint.open(str(sharded))
    assert checkpoint.shards.files == (sharded / "model.safetensors",)


def test_shards_and_newer_names_read_the_same(tiny_checkpoint: Path, sharded: Path) -> None:
    whole, parts = Checkpoint.open(str(tiny_checkpoint)), Checkpoint.open(str(sharded))
    assert whole.names() == parts.names()
    for name in whole.names():
        assert torch.equal(whole.weight(name).load(), parts.weight(name).load()), name


def test_fingerprint_is_of_the_content(copy: Path, tiny_checkpoint: Path) -> None:
    told: list[tuple[str, int, int]] = []
    fingerprint = Checkpoint.open(str(copy)).fingerprint(lambda *told_now: told.append(told_now))
    assert fingerprint == Checkpoint.open(str(tiny_checkpoint)).fingerprint()
    assert told[-1][1] == told[-1][2]
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, copy / "model.safetensors")
    assert fingerprint != Checkpoint.open(str(copy)).fingerprint()


def test_fingerprint_is_computed_once(copy: Path) -> None:
    checkpoint = Checkpoint.open(str(copy))
    first = checkpoint.fingerprint()
    rewrite(copy / "config.json", hidden_size=97)
    assert checkpoint.fingerprint() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "GemmaForCausalLM are not supported"),
        ({"architectures": None}, "names no architecture"),
        ({"architectures": "Qwen2VLForConditionalGeneration"}, "names no architecture"),
        ({"quantization_config": {"bits": 4}}, "quantized already"),
    ],
)
def test_unsupported_models_are_refused(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    rewrite(copy / "config.json", **changes)
    with pytest.raises(SourceError, match=message) as caught:
        Checkpoint.open(str(copy))
    if "architectures" in changes:
        assert "Qwen2VLForConditionalGeneration" in (caught.value.mend or "")


@pytest.mark.parametrize("text", ["{", "[]", "\x00", '{"a": ' * 100_000])
def test_bad_configs_are_refused(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(SourceError, match=r"config\.json"):
        Checkpoint.open(str(copy))


def test_missing_config(copy: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(SourceError, match=r"no config\.json"):
        Checkpoint.open(str(copy))


def test_missing_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(SourceError, match="no safetensors weights"):
        Checkpoint.open(str(copy))


@pytest.mark.parametrize("keep", [0, 4, 100, 5000, -1])
def test_truncated_weights_are_named(copy: Path, keep: int) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceError, match="cannot be read") as caught:
        Checkpoint.open(str(copy))
    assert caught.value.where == path


def test_missing_shard_is_named(sharded: Path) -> None:
    (sharded / SHARDS[1]).unlink()
    with pytest.raises(SourceError, match=SHARDS[1]):
        Checkpoint.open(str(sharded))


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"weight_map": 1}', '{"weight_map": {"a": 1}}'])
def test_bad_index_is_refused(sharded: Path, text: str) -> None:
    (sharded / INDEX).write_text(text)
    with pytest.raises(SourceError, match="index of the weight files"):
        Checkpoint.open(str(sharded))


def test_index_may_not_leave_the_directory(sharded: Path) -> None:
    save_file({"a": torch.zeros(1)}, sharded.parent / "other.safetensors")
    rewrite(sharded / INDEX, weight_map={"a": "../other.safetensors"})
    with pytest.raises(SourceError, match="is missing"):
        Checkpoint.open(str(sharded))


def test_index_must_be_fulfilled(sharded: Path) -> None:
    files = json.loads((sharded / INDEX).read_text())["weight_map"]
    rewrite(sharded / INDEX, weight_map={**files, "model.absent": SHARDS[0]})
    with pytest.raises(SourceError, match=r"such as model\.absent"):
        Checkpoint.open(str(sharded))


def test_integer_weights_are_refused(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = torch.zeros(96, dtype=torch.int8)
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(SourceError, match="stored as I8"):
        Checkpoint.open(str(copy)).weight("language_model.norm.weight")
