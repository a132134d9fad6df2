"""Whatever files a checkpoint keeps its settings in, a package reads them as transformers does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.conftest import PREPROCESSOR, SPECIAL, TEMPLATE, special_id
from vlmforge.errors import SourceError, SystemFailure, VlmforgeError
from vlmforge.images.layout import DYNAMIC, FIXED
from vlmforge.package.settings import write_settings
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import load_tokenizer
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages import agreement
from vlmforge.stages.agreement import require_agreement

Change = Callable[[Path], None]


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to write otherwise."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "Copy-VL"))


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None removes a key."""
    value = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: v for key, v in value.items() if v is not None}))


def template_as_json(model: Path) -> None:
    edit(model / "tokenizer_config.json", chat_template=None)
    (model / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))


def template_as_jinja(model: Path) -> None:
    edit(model / "tokenizer_config.json", chat_template=None)
    (model / "chat_template.jinja").write_text(TEMPLATE)


def template_among_several(model: Path) -> None:
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": TEMPLATE}]
    edit(model / "tokenizer_config.json", chat_template=named)


def template_for_training(model: Path) -> None:
    marked = TEMPLATE.replace(
        "{{- message['content'] -}}",
        "{% if message['role'] == 'assistant' %}{% generation %}{{- message['content'] -}}"
        "{% endgeneration %}{% else %}{{- message['content'] -}}{% endif %}",
    )
    assert marked != TEMPLATE
    edit(model / "tokenizer_config.json", chat_template=marked)


def vocabulary_and_merges(model: Path) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    (model / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    (model / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    added = {str(token.pop("id")): token for token in tokenizer["added_tokens"]}
    edit(model / "tokenizer_config.json", added_tokens_decoder=added)
    (model / "tokenizer.json").unlink()


def tokens_in_a_file_of_their_own(model: Path) -> None:
    vocabulary_and_merges(model)
    edit(model / "tokenizer_config.json", added_tokens_decoder=None)
    (model / "added_tokens.json").write_text(json.dumps({t: special_id(t) for t in SPECIAL}))


def no_means(model: Path) -> None:
    edit(model / "preprocessor_config.json", image_mean=None, image_std=None)


def a_processor_of_transformers_5(model: Path) -> None:
    settings = json.loads((model / "preprocessor_config.json").read_text())
    (model / "preprocessor_config.json").unlink()
    document = {"image_processor": settings, "processor_class": "Qwen2VLProcessor"}
    (model / "processor_config.json").write_text(json.dumps(document))


def a_processor_that_skips(model: Path) -> None:
    file = model / "preprocessor_config.json"
    file.write_text(json.dumps({**PREPROCESSOR, "do_normalize": None, "rescale_factor": 0.5}))


def no_tokenizer_settings(model: Path) -> None:
    template_as_jinja(model)
    (model / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    "change",
    [
        template_as_json,
        template_as_jinja,
        template_among_several,
        template_for_training,
        vocabulary_and_merges,
        tokens_in_a_file_of_their_own,
        no_means,
        a_processor_of_transformers_5,
        a_processor_that_skips,
        no_tokenizer_settings,
    ],
    ids=lambda change: change.__name__,
)
def test_spellings_agree(copy: Path, change: Change) -> None:
    change(copy)
    for layout in (FIXED, DYNAMIC):
        require_agreement(Checkpoint.open(str(copy)), layout)


def test_what_transformers_saves_agrees(copy: Path, tiny_checkpoint: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"):
        (copy / file).unlink()
    AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(copy)
    Qwen2VLImageProcessorPil.from_pretrained(tiny_checkpoint).save_pretrained(copy)
    require_agreement(Checkpoint.open(str(copy)), DYNAMIC)


@pytest.mark.parametrize("template", ["{{ messages", "{{ raise_exception('no') }}", ""])
def test_a_template_that_answers_nothing_is_refused(copy: Path, template: str) -> None:
    edit(copy / "tokenizer_config.json", chat_template=template)
    with pytest.raises(VlmforgeError, match=r"template|conversation"):
        require_agreement(Checkpoint.open(str(copy)), DYNAMIC)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer_config.json", "[1]"),
        ("preprocessor_config.json", '{"image_mean": [1, 2]}'),
        ("preprocessor_config.json", '{"image_mean": "red"}'),
        ("generation_config.json", '{"eos_token_id": "end"}'),
        ("chat_template.json", "[]"),
        ("chat_template.json", '{"chat_template": 3}'),
    ],
)
def test_malformed_settings_are_refused(copy: Path, file: str, content: str) -> None:
    (copy / file).write_text(content)
    with pytest.raises(VlmforgeError):
        require_agreement(Checkpoint.open(str(copy)), DYNAMIC)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tokenizer_config.json", {"model_max_length": "1"}),
        ("preprocessor_config.json", {"temporal_patch_size": [2, 2, 2]}),
        ("preprocessor_config.json", {"rescale_factor": "large"}),
    ],
)
def test_settings_nothing_can_be_done_with_are_told_with_their_file(
    copy: Path, file: str, changes: dict[str, Any]
) -> None:
    edit(copy / file, **changes)
    with pytest.raises(SourceError) as told:
        require_agreement(Checkpoint.open(str(copy)), DYNAMIC)
    assert Path(str(told.value.where)) == copy / file


@pytest.mark.parametrize("file", ["tokenizer.json", "preprocessor_config.json"])
def test_missing_settings_are_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(VlmforgeError, match=r"cannot be read|no tokens for"):
        require_agreement(Checkpoint.open(str(copy)), DYNAMIC)


def test_a_decoder_needs_no_template(tiny_decoder: Path, tmp_path: Path) -> None:
    require_agreement(Checkpoint.open(str(tiny_decoder)), DYNAMIC)
    copy = shutil.copytree(tiny_decoder, tmp_path / "Copy-LM")
    edit(copy / "tokenizer_config.json", chat_template=None)
    require_agreement(Checkpoint.open(str(copy)), DYNAMIC)


def test_tokens_that_stand_elsewhere_reach_the_package(copy: Path, tmp_path: Path) -> None:
    tokens_in_a_file_of_their_own(copy)
    (tmp_path / "package").mkdir()
    write_settings(Checkpoint.open(str(copy)), tmp_path / "package")
    tokenizer = load_tokenizer(tmp_path / "package")
    assert tokenizer.encode("<|im_start|>a", add_special_tokens=False).ids[0] == special_id(
        "<|im_start|>"
    )
    assert ChatTemplate.load(tmp_path / "package").special_tokens["eos_token"] == "<|im_end|>"


def test_a_full_disk_is_not_told_of_the_model(
    tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SystemFailure("the disk is full")

    monkeypatch.setattr(agreement, "write_settings", full)
    with pytest.raises(SystemFailure, match="the disk is full"):
        require_agreement(Checkpoint.open(str(tiny_decoder)), DYNAMIC)
