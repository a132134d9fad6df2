"""The model card says what is known of a package, and nothing else."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from tests.packages import write_decoder_package
from vlmforge.formats.package import Package, open_package
from vlmforge.hub.names import PackageId
from vlmforge.publish.card import MARK, base_model, model_card

TARGET = PackageId("someone/tiny", "v1")
SIZES = {"config.json": 1000, "model.safetensors": 2_500_000}
COMPILE_CONFIG = {
    "equivalentTransformation": {
        "SpinR1": {"apply": True, "learn": False},
        "QK": {"apply": False},
        "SpinR4": {"apply": True, "block": 256},
    },
    "seed": 0,
}


@pytest.fixture(scope="module")
def package(tiny_package: Path) -> Package:
    return open_package(tiny_package)


def with_meta(package: Package, **facts: Any) -> Package:
    """The package with further facts about its text program."""
    return replace(package, text=replace(package.text, meta={**package.text.meta, **facts}))


def test_its_metadata(package: Package) -> None:
    license_ = {"license": "other", "license_name": "tongyi", "license_link": "LICENSE: #1"}
    card = ModelCard(model_card(package, TARGET, SIZES, license_))
    assert card.data.to_dict() == {
        **license_,
        "library_name": "vlmforge",
        "base_model": "tests/tiny",
        "base_model_relation": "quantized",
        "pipeline_tag": "image-text-to-text",
        "tags": ["vlmforge", "quantized", "int8"],
    }


def test_of_a_model_from_a_directory_no_id_is_claimed(package: Package) -> None:
    local = with_meta(package, model="Qwen2-VL")
    assert base_model(local) is None and base_model(package) == "tests/tiny"
    text = model_card(local, TARGET, SIZES, {})
    fields = ModelCard(text).data.to_dict()
    assert not {"base_model", "base_model_relation", "license"} & set(fields)
    assert "Qwen2\\-VL" in text


def test_what_it_tells(package: Package) -> None:
    compiled = with_meta(
        package,
        compile_config=COMPILE_CONFIG,
        calibration="c" * 64,
        aside={"SpinR4": {"layer_0": "the width is odd"}},
    )
    text = model_card(compiled, TARGET, SIZES, {}, {"questions": 400, "perplexity": 12.3456789})
    for told in (
        MARK,
        "| size on disk | 2\\.5 MB |",
        f"| {package.fingerprint} |",
        "| model | tests/tiny |",
        f"SHA\\-256 | {'1' * 64} |",
        "| architecture | MobilintQwen2VLForConditionalGeneration |",
        "| transformations | SpinR1, SpinR4 |  |",
        "| stepped aside, at least in part | SpinR4 |  |",
        f"| calibration data, SHA\\-256 | {'c' * 64} |  |",
        "| weights of products | int8\\: 5 | int8\\: 2 |",
        '"SpinR4": {',
        "| perplexity | 12\\.3457 |",
    ):
        assert told in text, told
    assert "## Figures" not in model_card(package, TARGET, SIZES, {})


def test_what_it_lets_run(package: Package, tiny_decoder: Path, tmp_path: Path) -> None:
    decoder = open_package(write_decoder_package(tmp_path / "decoder", tiny_decoder))
    for each, task in ((package, "image-text-to-text"), (decoder, "text-generation")):
        text = model_card(each, TARGET, SIZES, {})
        blocks = re.findall(r"^```(sh|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert [language for language, _ in blocks] == ["sh", "python", "python"]
        (_, shell), (_, ours), (_, theirs) = blocks
        assert shlex.split(shell.splitlines()[1])[:3] == ["vlmforge", "chat", "someone/tiny@v1"]
        assert ("--image" in shell) == ("photo.jpg" in ours) == (each is package)
        ast.parse(ours)
        assert 'Session.open("someone/tiny@v1")' in ours
        ast.parse(theirs)
        assert f'pipeline("{task}", model="someone/tiny", revision="v1")' in theirs


HOSTILE = "x`|\n---\n# <script>alert(1)</script> [a](javascript:b) ${{c}}: &amp; \x1b[31m"


def test_nothing_from_files_is_markup(package: Package) -> None:
    hostile = with_meta(
        replace(package, config={**package.config, "architectures": [HOSTILE]}),
        model=HOSTILE,
        calibration=HOSTILE,
        inference_scheme=HOSTILE,
        compile_config={"equivalentTransformation": {HOSTILE: {"apply": True}}, "```": "\n```\n#"},
        aside={HOSTILE: HOSTILE},
    )
    text = model_card(hostile, TARGET, SIZES, {"license": HOSTILE})
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["license"] == HOSTILE
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
    assert re.findall(r"<h1>(.*?)</h1>", page) == ["tiny"]
    assert set(re.findall(r"<h2>(.*?)</h2>", page)) == {"Settings", "Run it"}
    assert "<script" not in page and "<a" not in page and "\x1b" not in text
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6
