"""Tiny packages of hand-built integer programs with random weights, for tests of what runs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from vlmforge.dims import Dim
from vlmforge.families.family import Family
from vlmforge.families.registry import family_of
from vlmforge.formats.mxq import MxqWriter
from vlmforge.formats.package import write_embeddings
from vlmforge.package.config import package_config, text_file
from vlmforge.program.core import Buffer, Instruction, Program
from vlmforge.program.layout import pack

HIDDEN, VOCAB, CACHE_LENGTH = 96, 320, 512
HEADS, KV_HEADS, HEAD_DIM = 6, 2, 16
SECTIONS = [2, 3, 3]
ORIGIN = {"rotation": "0" * 64, "model_fingerprint": "1" * 64}
SIZES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
BOUNDS = {"min_pixels": 4 * 784, "max_pixels": 24 * 784}
"""Of images of the dynamic package: from 4 to 24 tokens."""
MAX_PATCHES = 50
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


class ProgramBuilder:
    """Collects instructions; every method returns the name of the buffer it writes."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.buffers: dict[str, Buffer] = {}
        self.instructions: list[Instruction] = []
        self.tensors: dict[str, np.ndarray] = {}

    def buffer(self, name: str, shape: tuple[Dim, ...], dtype: str) -> str:
        self.buffers[name] = Buffer(name, shape, dtype)
        return name

    def add(
        self,
        op: str,
        inputs: tuple[str, ...],
        shape: tuple[Dim, ...],
        dtype: str,
        tensors: dict[str, np.ndarray] | None = None,
        /,
        **attrs: object,
    ) -> str:
        name = f"{op}_{len(self.instructions)}"
        roles = {role: f"{name}.{role}" for role in tensors or {}}
        self.tensors |= {roles[role]: tensor for role, tensor in (tensors or {}).items()}
        self.instructions.append(Instruction(name, op, inputs, roles, dict(attrs)))
        return self.buffer(name, shape, dtype)

    def product(
        self, op: str, x: str, rows: Dim, k: int, n: int, dtype: str, **attrs: object
    ) -> str:
        """A linear or conv2d whose outputs spread over the codes of ``dtype``."""
        weight = self.random.integers(-127, 128, (n, k)).astype(np.int8)
        spread = {"int8": 30.0, "int16": 3000.0, "float32": 3.0}[dtype]
        multiplier = np.full(n, spread / (30 * 73 * np.sqrt(k)), np.float32)
        tensors = {"weight": pack(weight), "multiplier": multiplier}
        return self.add(op, (x,), (rows, n), dtype, tensors, in_features=k, out_features=n, **attrs)

    def rms_norm(self, x: str, rows: Dim, k: int) -> str:
        return self.add("rms_norm", (x,), (rows, k), "int8", epsilon=2.0**-10, multiplier=30.0)

    def program(self, component: str, inputs: tuple[str, ...], meta: dict[str, object]) -> Program:
        output = (self.instructions[-1].name,)
        instructions = tuple(self.instructions)
        provenance = {"model": "tests/tiny", **ORIGIN, "hidden_size": HIDDEN}
        return Program(
            component, inputs, output, self.buffers, instructions, self.tensors, provenance | meta
        )


def text_program(seed: int = 1) -> Program:
    """One attention layer and a head: every operation a session depends on."""
    build = ProgramBuilder(seed)
    embeds = build.buffer("inputs_embeds", (1, "seq", HIDDEN), "float32")
    positions = build.buffer("position_ids", (3, "seq"), "int64")
    index = build.buffer("logits_index", ("logits",), "int64")
    rows = build.add("reshape", (embeds,), ("seq", HIDDEN), "float32", shape=["seq", HIDDEN])
    x = build.add("quantize", (rows,), ("seq", HIDDEN), "int16", inverse_scale=4096.0)
    normed = build.rms_norm(x, "seq", HIDDEN)
    mixed = _attention(build, normed, positions, "seq", SECTIONS, CACHE_LENGTH, "layer_0")
    projected = build.product("linear", mixed, "seq", HEADS * HEAD_DIM, HIDDEN, "int16")
    x = build.add(
        "add", (x, projected), ("seq", HIDDEN), "int16", multiplier_a=1.0, multiplier_b=4.0
    )
    last = build.add("gather_rows", (x, index), ("logits", HIDDEN), "int16")
    normed = build.rms_norm(last, "logits", HIDDEN)
    build.product("linear", normed, "logits", HIDDEN, VOCAB, "float32")
    return build.program("language", (embeds, positions, index), {"cache_length": CACHE_LENGTH})


def _attention(
    build: ProgramBuilder,
    normed: str,
    positions: str,
    rows: Dim,
    sections: list[int],
    longest: int,
    cache: str | None,
) -> str:
    """Attention over ``[rows, HIDDEN]``; causal with a cache, among all rows without one."""
    angles = np.outer(np.arange(longest), 100.0 ** -np.linspace(0, 1, HEAD_DIM // 2))
    tables = {"cos": np.cos(angles).astype(np.float32), "sin": np.sin(angles).astype(np.float32)}
    turns = build.add(
        "rope_lookup", (positions,), (rows, 2, HEAD_DIM), "float32", tables, sections=sections
    )
    turned = []
    for heads in (HEADS, KV_HEADS):
        width = heads * HEAD_DIM
        x = build.product("linear", normed, rows, HIDDEN, width, "int16")
        scale = {"multiplier": np.full(width, 0.01, np.float32)}
        turned.append(
            build.add("rope", (x, turns), (rows, width), "int8", scale, head_dim=HEAD_DIM)
        )
    value = build.product("linear", normed, rows, HIDDEN, KV_HEADS * HEAD_DIM, "int8")
    scales = {
        "score_multiplier": np.full(HEADS, 0.0005, np.float32),
        "multiplier": np.full(HEADS * HEAD_DIM, 1.0, np.float32),
    }
    return build.add(
        "attention", (*turned, value), (rows, HEADS * HEAD_DIM), "int8", scales,
        heads=HEADS, kv_heads=KV_HEADS, head_dim=HEAD_DIM, causal=cache is not None, cache=cache,
    )  # fmt: skip


def vision_program(seed: int = 2) -> Program:
    """A patch convolution and a projection of each merge group."""
    build = ProgramBuilder(seed)
    images = build.buffer("images", (896, 56, 6), "float32")
    codes = build.add("quantize", (images,), (896, 56, 6), "int8", inverse_scale=48.0)
    patches = build.product("conv2d", codes, 256, 14 * 14 * 6, 16, "int8", kernel=[14, 14])
    groups = build.add("reshape", (patches,), (64, 64), "int8", shape=[64, 64])
    build.product("linear", groups, 64, 64, HIDDEN, "float32")
    return build.program("vision", (images,), {**SIZES, "image_size": [224, 224]})


def dynamic_vision_program(seed: int = 4) -> Program:
    """An attention layer over the patches of an image of any size, and a merger."""
    build = ProgramBuilder(seed)
    values = build.buffer("patches", (PATCHES, 1176), "float32")
    positions = build.buffer("position_ids", (3, PATCHES), "int64")
    codes = build.add("quantize", (values,), (PATCHES, 1176), "int8", inverse_scale=48.0)
    x = build.product("linear", codes, PATCHES, 1176, HIDDEN, "int16")
    normed = build.rms_norm(x, PATCHES, HIDDEN)
    halves = [HEAD_DIM // 4, HEAD_DIM // 4]
    mixed = _attention(build, normed, positions, PATCHES, halves, MAX_PATCHES, None)
    shape: tuple[Dim, ...] = ("groups", 4 * HEADS * HEAD_DIM)
    merged = build.add("reshape", (mixed,), shape, "int8", shape=list(shape))
    build.product("linear", merged, "groups", 4 * HEADS * HEAD_DIM, HIDDEN, "float32")
    meta = {**SIZES, **BOUNDS, "layout": "dynamic", "max_patches": MAX_PATCHES}
    return build.program("vision", (values, positions), meta)


PATCHES = "4*groups"
"""Rows of what a dynamic vision program computes for each patch."""


def write_package(directory: Path, checkpoint: Path, *, dynamic: bool = False) -> Path:
    """Write a package with the tokenizer and processor settings of ``checkpoint``."""
    directory.mkdir()
    _write_mxq(directory / "tiny_text_model.mxq", text_program())
    vision = dynamic_vision_program() if dynamic else vision_program()
    _write_mxq(directory / "tiny_vision_transformer.mxq", vision)
    for name in TOKENIZER_FILES:
        shutil.copy(checkpoint / name, directory)
    config = _write_config(directory, checkpoint, vision)
    _write_preprocessor_config(directory, checkpoint, dynamic)
    _write_embeddings(directory, family_of(config))
    return directory


def write_decoder_package(directory: Path, checkpoint: Path) -> Path:
    """Write a package of a plain decoder with the tokenizer of ``checkpoint``."""
    directory.mkdir()
    _write_mxq(directory / text_file("tiny"), text_program())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(checkpoint / name, directory)
    original = _write_config(directory, checkpoint)
    _write_embeddings(directory, family_of(original))
    return directory


def _write_embeddings(directory: Path, family: Family) -> None:
    table = np.random.default_rng(3).normal(size=(VOCAB, HIDDEN)).astype(np.float32)
    name = family.package_embedding
    write_embeddings(directory / "model.safetensors", [table], table.shape, ORIGIN, name)


def _write_mxq(path: Path, program: Program) -> None:
    with MxqWriter(path) as writer:
        for name, tensor in program.tensors.items():
            writer.add(name, tensor)
        writer.finish(program)


def _write_config(
    directory: Path, checkpoint: Path, vision: Program | None = None
) -> dict[str, Any]:
    """Write ``config.json``; the original's."""
    original: dict[str, Any] = json.loads((checkpoint / "config.json").read_text())
    meta = None if vision is None else vision.meta
    config = package_config(original, "tiny", family_of(original), meta)
    (directory / "config.json").write_text(json.dumps(config))
    return original


def _write_preprocessor_config(directory: Path, checkpoint: Path, dynamic: bool) -> None:
    settings = json.loads((checkpoint / "preprocessor_config.json").read_text())
    if dynamic:
        settings |= {**BOUNDS, "layout": "dynamic"}
    if not dynamic:
        del settings["processor_class"]
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
