"""Packages: files that are missing, altered, swapped or made for something else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.formats.test_mxq import write
from tests.packages import (
    HIDDEN,
    ORIGIN,
    VOCAB,
    dynamic_vision_program,
    text_program,
    vision_program,
    write_package,
)
from vlmforge.errors import PackageError
from vlmforge.formats.package import EMBEDDING, open_package, write_embeddings
from vlmforge.program.core import Program

TEXT, VISION = "tiny_text_model.mxq", "tiny_vision_transformer.mxq"
TABLE = np.ones((VOCAB, HIDDEN), np.float32)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    return write_package(tmp_path_factory.mktemp("packages") / "package", tiny_checkpoint)


@pytest.fixture
def package(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "package"))


def edit(package: Path, **changes: Any) -> None:
    path = package / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def with_meta(program: Program, **changes: Any) -> Program:
    return dataclasses.replace(program, meta={**program.meta, **changes})


def mapping_flags(path: Path) -> set[str]:
    """How the system has been told that this process reads a file: ``rr``, at random."""
    try:
        mappings = Path("/proc/self/smaps").read_text()
    except OSError:
        pytest.skip("only Linux tells how files are mapped")
    _, found, rest = mappings.partition(f"{path}\n")
    assert found, f"{path} is not mapped"
    return set(rest.partition("VmFlags:")[2].partition("\n")[0].split())


@pytest.mark.parametrize("fact", ["min_pixels", "max_pixels", "max_patches", "patch_size"])
@pytest.mark.parametrize("value", [None, 0, "large"])
def test_a_dynamic_program_says_its_bounds(package: Path, fact: str, value: object) -> None:
    meta = {**dynamic_vision_program().meta, fact: value}
    if value is None:
        del meta[fact]
    write(package / VISION, dataclasses.replace(dynamic_vision_program(), meta=meta))

    refused(package, fact)


TILED = {"layout": "tiles", "tile": [28, 28], "cut": "shape", "min_tiles": 1, "max_tiles": 2}


@pytest.mark.parametrize(
    ("program", "file", "changes", "what"),
    [
        (text_program(), TEXT, {"positions": "spiral"}, "positions"),
        (vision_program(), VISION, {"layout": "spiral"}, "layout"),
        (vision_program(), VISION, {"layout": "tiles"}, "tile"),
        (vision_program(), VISION, {**TILED, "max_tiles": 1 << 20}, "max_tiles"),
        (vision_program(), VISION, TILED, "does not read tiles of 28 × 28"),
        (vision_program(), VISION, {"layout": "dynamic"}, "min_pixels"),
        (dynamic_vision_program(), VISION, {"layout": "fixed"}, "image_size"),
        (vision_program(), VISION, {"window": -1}, "window"),
        (vision_program(), VISION, {"window": "a"}, "window"),
        (vision_program(), VISION, {"tokens_per_second": 10**400}, "tokens_per_second"),
        (vision_program(), VISION, {"tables": {"rows": "patches"}}, "no table for 'rows'"),
    ],
)
def test_kinds_nobody_knows(
    package: Path, program: Program, file: str, changes: dict[str, Any], what: str
) -> None:
    write(package / file, with_meta(program, **changes))

    refused(package, what)


def refused(package: Path, message: str) -> PackageError:
    with pytest.raises(PackageError, match=message) as caught:
        open_package(package)
    return caught.value


def test_a_package_opens(original: Path) -> None:
    package = open_package(original)
    assert package.dir == original
    assert package.config["mxq_path"] == TEXT
    assert package.text.component == "language"
    assert package.vision is not None
    assert package.vision.component == "vision"
    assert package.embeddings.shape == (VOCAB, HIDDEN)
    assert package.embeddings.dtype == np.float32
    assert not package.embeddings.flags.writeable


def test_rows_of_the_embedding_are_read_alone(package: Path) -> None:
    opened = open_package(package)
    assert "rr" in mapping_flags(package / "model.safetensors")
    assert "rr" not in mapping_flags(package / TEXT)
    del opened


def test_a_package_without_vision_opens(package: Path) -> None:
    edit(package, vision_config={})
    (package / VISION).unlink()
    (package / "preprocessor_config.json").unlink()
    assert open_package(package).vision is None


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none", "directory does not exist")


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        TEXT,
        VISION,
    ],
)
def test_a_missing_file_is_named_with_the_command_that_makes_it(package: Path, name: str) -> None:
    (package / name).unlink()
    error = refused(package, f"the package's {name} is missing")
    assert error.mend is not None
    assert "vlmforge compile MODEL" in error.mend


def test_a_directory_that_is_no_package_is_named(package: Path, tiny_checkpoint: Path) -> None:
    shutil.copyfile(tiny_checkpoint / "config.json", package / "config.json")
    error = refused(package, "no package: its config.json names no compiled program")
    assert error.mend is not None and "vlmforge compile" in error.mend
    (package / "config.json").unlink()
    error = refused(package, "no package: it has no config.json")
    assert error.mend is not None and "vlmforge compile" in error.mend


@pytest.mark.parametrize("content", ["", "[]", "{", '{"mxq_path": "a", "mxq_path": "b"}'])
def test_a_malformed_config_is_refused(package: Path, content: str) -> None:
    (package / "config.json").write_text(content)
    refused(package, "config.json cannot be read")


@pytest.mark.parametrize(
    "name", [None, 1, "../a.mxq", "/etc/passwd", "a/b.mxq", "a\0b", "a" * 256, "é" * 128]
)
def test_only_files_of_the_package_can_be_named(package: Path, name: object) -> None:
    edit(package, mxq_path=name)
    refused(package, "mxq_path|names no compiled program")


def test_swapped_programs_are_named(package: Path) -> None:
    edit(package, mxq_path=VISION, vision_config={"mxq_path": TEXT})
    error = refused(package, "a vision program where config.json says language")
    assert error.mend is not None
    assert "exchange" in error.mend


@pytest.mark.parametrize("name", [TEXT, VISION, "model.safetensors"])
def test_an_altered_file_is_refused(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[-1] ^= 1
    (package / name).write_bytes(content)
    refused(package, "was altered")
    open_package(package, verify=False)


@pytest.mark.parametrize("name", [TEXT, VISION, "model.safetensors"])
def test_a_truncated_file_is_refused(package: Path, name: str) -> None:
    content = (package / name).read_bytes()
    (package / name).write_bytes(content[: len(content) // 2])
    refused(package, f"the package's {name}: the file is truncated")


@pytest.mark.parametrize("fact", ["rotation", "model_fingerprint"])
def test_parts_of_another_model_or_rotation_are_refused(package: Path, fact: str) -> None:
    message = f"differ in their {fact.replace('_', ' ')} "
    write(package / VISION, with_meta(vision_program(), **{fact: "2" * 64}))
    refused(package, message)
    write(package / VISION, vision_program())
    write_embeddings(
        package / "model.safetensors", [TABLE], TABLE.shape, {**ORIGIN, fact: "2" * 64}
    )
    refused(package, message)


def test_an_embedding_without_fingerprints_is_refused(package: Path) -> None:
    write_embeddings(package / "model.safetensors", [TABLE], TABLE.shape, {})
    refused(package, r"differ in their rotation .*the embedding: none")


def test_parts_without_rotation_belong_together(package: Path) -> None:
    write(package / TEXT, with_meta(text_program(), rotation="none"))
    write(package / VISION, with_meta(vision_program(), rotation="none"))
    origin = {**ORIGIN, "rotation": "none"}
    write_embeddings(package / "model.safetensors", [TABLE], TABLE.shape, origin)
    open_package(package)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("hidden_size", "96"), ("hidden_size", None), ("rotation", [1]), ("model_fingerprint", 1)],
)
def test_malformed_facts_are_refused(package: Path, fact: str, value: object) -> None:
    write(package / TEXT, with_meta(text_program(), **{fact: value}))
    refused(package, f"'{fact}' is malformed")


def test_another_hidden_size_is_refused(package: Path) -> None:
    table = np.ones((VOCAB, HIDDEN + 1), np.float32)
    write_embeddings(package / "model.safetensors", [table], table.shape, ORIGIN)
    refused(package, f"hidden size .*the embedding: {HIDDEN + 1}")


def test_a_table_shorter_than_the_vocabulary_is_refused(package: Path) -> None:
    table = np.ones((VOCAB - 1, HIDDEN), np.float32)
    write_embeddings(package / "model.safetensors", [table], table.shape, ORIGIN)
    refused(package, "vocabulary")


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"other": TABLE}, "must hold the tensor"),
        ({"embed_tokens.weight": TABLE}, "must hold the tensor"),
        ({EMBEDDING: TABLE, "other": TABLE}, "must hold the tensor"),
        ({EMBEDDING: TABLE.astype(np.float16)}, "F16"),
        ({EMBEDDING: TABLE[0]}, r"F32\[96\]"),
        ({EMBEDDING: TABLE}, "has no hash"),
    ],
)
def test_a_malformed_embedding_is_refused(
    package: Path, tensors: dict[str, np.ndarray], message: str
) -> None:
    save_file(tensors, package / "model.safetensors", ORIGIN)
    refused(package, message)


@pytest.mark.parametrize("name", [EMBEDDING, "model.text_model.embed_tokens.weight"])
def test_the_embedding_is_found_by_any_path(package: Path, name: str) -> None:
    write_embeddings(package / "model.safetensors", [TABLE], TABLE.shape, ORIGIN, name)

    np.testing.assert_array_equal(open_package(package).embeddings, TABLE)


def test_two_names_of_the_text_program_are_refused(package: Path) -> None:
    path = package / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "text_config": {"mxq_path": TEXT}}))
    open_package(package)

    path.write_text(json.dumps({**config, "text_config": {"mxq_path": VISION}}))
    refused(package, "text_config.mxq_path in config.json name two text programs")


def test_embeddings_are_written_as_rows_arrive(tmp_path: Path) -> None:
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    for step, name in ((10, "whole"), (3, "pieces")):
        chunks = (rows[start : start + step] for start in range(0, 10, step))
        write_embeddings(tmp_path / name, chunks, rows.shape, ORIGIN)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "pieces").read_bytes()
