"""The package: a directory with everything a compiled model runs from."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt

from vlmforge.errors import FormatError, PackageError, SystemFailure
from vlmforge.formats.atomic import restore
from vlmforge.formats.document import MEND as DAMAGED
from vlmforge.formats.document import Document, is_printable, parse_object, validate
from vlmforge.formats.features import require_features
from vlmforge.formats.intact import first_altered
from vlmforge.formats.mxq import read_mxq
from vlmforge.formats.settings import LARGEST, MOST_TILES, PackageSettings, validate_settings
from vlmforge.formats.tensor_file import TensorFile
from vlmforge.formats.tensor_writer import TensorWriter
from vlmforge.program.core import Program

EMBEDDING = "model.embed_tokens.weight"
"""The token embedding in packages of plain decoders; in others a module stands between."""

EMBEDDINGS = ".embed_tokens.weight"
"""Ends the name of the token embedding, whatever the module is called."""

EMBEDDING_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
PROCESSOR_FILE = "preprocessor_config.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
"""Settings of tokenizer and answers; today's packages have the first two and the template."""

SIGNATURE_FILE = "model.sig"
"""Whose package it is, see :mod:`vlmforge.signing`; a package need not have one."""

PACKAGE_FILES = (CONFIG_FILE, EMBEDDING_FILE, PROCESSOR_FILE, SIGNATURE_FILE, *TOKENIZER_FILES)
"""Every file a package may have beside its programs."""

SHARED_FACTS = ("rotation", "model_fingerprint")
MEND = "make the package again with `vlmforge compile MODEL --out PACKAGE`, or copy it again"
COMPILE = "name a package; one is made with `vlmforge compile MODEL --out PACKAGE`"

RECENT = 0.0005
"""Seconds for which a look at a package's files holds."""

LONGEST_NAME = 255
"""Bytes of a file's name; file systems have none longer."""


MOST = 1 << 16
"""Cells of a window's side, and positions of a second."""


class _TextMeta(Document):
    """Facts the run time needs of a language program.

    Attributes:
        positions: their kind: with rows and columns of images, or one after another.
        stream_inputs: what layers add, beside the embeddings.
    """

    model_config = ConfigDict(extra="allow")

    model_fingerprint: str
    rotation: str | None
    hidden_size: PositiveInt
    cache_length: PositiveInt
    batch_size: PositiveInt | None = None
    positions: Literal["mrope", "axis"] = "mrope"
    stream_inputs: list[str] = Field(default_factory=list)


class _VisionMeta(Document):
    """Facts the run time needs of a vision program.

    Attributes:
        layout: whether every image has one size, ``image_size``, or its own within bounds:
            ``min_pixels``, ``max_pixels``, and ``max_patches`` along a side; or is cut into tiles.
        stream_inputs: what is added to the patches.
        tables: of these, the constant whose rows each is read between.
        videos: how they are shown, where not at once.
        around: what a prompt has before the tokens of an image, and behind them.
        window: cells along a side of a window; 0 for none.
        tokens_per_second: positions of a second of a video, where they tell the time.
    """

    model_config = ConfigDict(extra="allow")

    model_fingerprint: str
    rotation: str | None
    patch_size: PositiveInt
    merge_size: PositiveInt
    temporal_patch_size: PositiveInt
    layout: Literal["fixed", "dynamic", "tiles"] = "fixed"
    stream_inputs: list[str] = Field(default_factory=list)
    tables: dict[str, str] = Field(default_factory=dict)
    videos: Literal["timed", "unseen"] | None = None
    around: tuple[str, str] | None = None
    window: int = Field(default=0, ge=0, le=MOST)
    tokens_per_second: int | None = Field(default=None, ge=1, le=MOST)


class _FixedMeta(_VisionMeta):
    """Of a program for images of one size."""

    image_size: tuple[PositiveInt, PositiveInt]


class _DynamicMeta(_VisionMeta):
    """Of a program for images of any size."""

    min_pixels: PositiveInt
    max_pixels: PositiveInt
    max_patches: PositiveInt


class _TilesMeta(_VisionMeta):
    """Of a program for tiles."""

    tile: tuple[PositiveInt, PositiveInt]
    class_token: bool = False


class _ShapeMeta(_TilesMeta):
    """Of one for tiles, of which an image has at least ``min_tiles``."""

    cut: Literal["shape"]
    min_tiles: int = Field(ge=1, le=MOST_TILES)
    max_tiles: int = Field(ge=1, le=MOST_TILES)


class _EdgeMeta(_TilesMeta):
    """Of one for tiles, of which an image has as many as it fills."""

    cut: Literal["edge"]
    longest_edge: PositiveInt | None = Field(le=MOST)
    split: bool


def _meta_kind(program: Program) -> type[Document]:
    if program.component == "language":
        return _TextMeta
    layout = program.meta.get("layout")
    if layout == "tiles":
        return _EdgeMeta if program.meta.get("cut") == "edge" else _ShapeMeta
    return _DynamicMeta if layout == "dynamic" else _FixedMeta


@dataclass(frozen=True)
class PackageFiles:
    """The files of a package directory.

    Attributes:
        dir: the directory.
        text: ``<name>_text_model.mxq``.
        vision: ``<name>_vision_transformer.mxq``, None in a package without one.
    """

    dir: Path
    text: Path
    vision: Path | None

    @staticmethod
    def of(directory: Path, settings: PackageSettings) -> PackageFiles:
        """The files a ``config.json`` names; raises :class:`PackageError`."""
        vision = settings.vision_config.mxq_path
        text_file = _inside(directory, "mxq_path", settings.mxq_path)
        if settings.text_config.mxq_path not in (None, settings.mxq_path):
            what = "mxq_path and text_config.mxq_path in config.json name two text programs"
            raise PackageError(what, where=directory / CONFIG_FILE, mend=MEND)
        if vision is None:
            return PackageFiles(directory, text_file, None)
        return PackageFiles(
            directory, text_file, _inside(directory, "vision_config.mxq_path", vision)
        )

    def required(self) -> list[Path]:
        """Every file the package cannot run without."""
        names = [EMBEDDING_FILE, "tokenizer.json", "tokenizer_config.json"]
        files = [self.text, *(self.dir / name for name in names)]
        return files if self.vision is None else [*files, self.vision, self.dir / PROCESSOR_FILE]


@dataclass(frozen=True)
class Package:
    """An open package whose files belong together.

    Attributes:
        dir: the directory.
        config: its ``config.json``.
        settings: the same, as far as running needs it.
        text: the language program; its guard, as that of the vision program, looks at all mapped
            files of the package.
        vision: the vision program, None in a package without one.
        embeddings: ``[vocab, hidden]`` float32, rotated by R1, a read-only view of the file.
        fingerprint: SHA-256 over the hashes of programs and embedding, in hex; packages that may
            give other bits have another one.
    """

    dir: Path
    config: dict[str, Any]
    settings: PackageSettings
    text: Program
    vision: Program | None
    embeddings: np.ndarray
    fingerprint: str


def program_files(config: Mapping[str, Any]) -> list[str]:
    """The names of the programs a ``config.json`` names; none if it is not that of a package."""
    vision = config.get("vision_config")
    named = [config.get("mxq_path"), vision.get("mxq_path") if isinstance(vision, dict) else None]
    return [n for n in named if isinstance(n, str) and n.endswith(".mxq") and Path(n).name == n]


def open_package(directory: str | Path, verify: bool = True) -> Package:
    """Open a package directory.

    Args:
        directory: the package.
        verify: whether to compare every tensor with its hash, which reads all files that were not
            found intact before.

    Raises:
        PackageError: a file is missing, malformed, altered, swapped with another, or of another
            model or rotation than the rest.
    """
    directory = Path(directory)
    config = _read_config(directory)
    settings = _settings(config, directory / CONFIG_FILE)
    files = PackageFiles.of(directory, settings)
    for file in files.required():
        _require_file(file)
    text = _read_program(files.text, "language", verify)
    vision = _read_program(files.vision, "vision", verify) if files.vision else None
    embeddings = _open_embeddings(directory / EMBEDDING_FILE, verify)
    facts = {"the text model": text.meta, "the embedding": embeddings.metadata}
    if vision is not None:
        facts["the vision transformer"] = vision.meta
    _require_same_origin(facts, directory)
    (array,) = embeddings.arrays.values()
    _require_same_hidden_size(text, vision, array, directory)
    _require_vocabulary(text, array, directory)
    require_features(text, vision, directory)
    guard = _all_of(text.guard, embeddings.require_unchanged, *((vision.guard,) if vision else ()))
    text = replace(text, guard=guard)
    vision = replace(vision, guard=guard) if vision else None
    fingerprint = _fingerprint(files, embeddings)
    return Package(directory, config, settings, text, vision, array, fingerprint)


def _all_of(*guards: Callable[[], None]) -> Callable[[], None]:
    """Every mapped file of a package is looked at before any of its programs runs.

    A step of a batch asks for each request, and again for the program: once is enough.
    """
    looked = -math.inf

    def guard() -> None:
        nonlocal looked
        now = time.monotonic()
        if now - looked > RECENT:
            for each in guards:
                each()
            looked = now

    return guard


def write_embeddings(
    path: str | Path,
    rows: Iterable[np.ndarray],
    shape: tuple[int, ...],
    metadata: dict[str, str],
    name: str = EMBEDDING,
) -> None:
    """Write the package's ``model.safetensors`` as rows arrive.

    Args:
        path: the file.
        rows: pieces ``[n, hidden]`` float32 of the rotated embedding, in order.
        shape: ``(vocab, hidden)`` of the whole.
        metadata: ``rotation`` and ``model_fingerprint``; the hash is added.
        name: of the tensor.
    """
    with TensorWriter(path) as writer:
        writer.add_chunks(name, "F32", shape, rows)
        writer.finish({"format": "pt", **metadata, "sha256": writer.sha256[name]})


def _fingerprint(files: PackageFiles, embeddings: TensorFile) -> str:
    programs = [files.text] if files.vision is None else [files.text, files.vision]
    digests = [TensorFile.open(path).metadata["header_sha256"] for path in programs]
    return hashlib.sha256("\n".join([*digests, embeddings.metadata["sha256"]]).encode()).hexdigest()


def _inside(directory: Path, key: str, name: object) -> Path:
    """The file a key names; only files of the directory itself can be named."""
    named = is_printable(name) and Path(str(name)).name == name
    if not named or len(os.fsencode(str(name))) > LONGEST_NAME:
        what = f"{key} in config.json is {name!r}, not the name of a file in the package"
        raise PackageError(what, where=directory / CONFIG_FILE, mend=MEND)
    return directory / str(name)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise PackageError(f"the package's {path.name} is missing", where=path.parent, mend=MEND)


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG_FILE
    if not directory.is_dir():
        restore(directory)
    if not directory.is_dir():
        raise PackageError("the package directory does not exist", where=directory, mend=COMPILE)
    if not path.is_file():
        raise PackageError(
            "the directory is no package: it has no config.json", where=directory, mend=COMPILE
        )
    try:
        if path.stat().st_size > LARGEST:
            raise FormatError("it is too large", where=path)
        return parse_object(path.read_bytes(), "config.json", path)
    except (OSError, FormatError) as error:
        what = f"the package's config.json cannot be read: {getattr(error, 'what', error)}"
        mend = SystemFailure.of(error).mend if isinstance(error, OSError) else MEND
        raise PackageError(what, where=path, mend=mend or MEND) from error


def _settings(config: dict[str, Any], path: Path) -> PackageSettings:
    if "mxq_path" not in config:
        what = "the directory is no package: its config.json names no compiled program"
        raise PackageError(what, where=path, mend=COMPILE)
    try:
        return validate_settings(PackageSettings, config, path)
    except FormatError as error:
        raise PackageError(
            f"the package's config.json: {error.what}", where=path, mend=MEND
        ) from error


def _read_program(path: Path, component: str, verify: bool) -> Program:
    try:
        program = read_mxq(path, verify)
        if program.component == component:
            validate(_meta_kind(program), program.meta, path)
    except FormatError as error:
        raise _malformed(path, error) from error
    if program.component != component:
        what = f"the file holds a {program.component} program where config.json says {component}"
        mend = (
            "exchange mxq_path and vision_config.mxq_path in config.json, or copy the package again"
        )
        raise PackageError(what, where=path, mend=mend)
    return program


def _open_embeddings(path: Path, verify: bool) -> TensorFile:
    try:
        file = TensorFile.open(path)
    except FormatError as error:
        raise _malformed(path, error) from error
    name, entry = next(iter(file.entries.items()), ("", None))
    if len(file.entries) != 1 or entry is None or not name.endswith(EMBEDDINGS):
        what = f"the file must hold the tensor {EMBEDDING}, or of a longer path, and no other"
        raise PackageError(what, where=path, mend=MEND)
    if entry.dtype != "F32" or len(entry.shape) != 2:
        what = f"the embedding is {entry.dtype}{list(entry.shape)}, not F32[vocab, hidden]"
        raise PackageError(what, where=path, mend=MEND)
    if "sha256" not in file.metadata:
        raise PackageError("the embedding has no hash", where=path, mend=MEND)
    if verify and first_altered(file, {name: file.metadata["sha256"]}) is not None:
        what = "the embedding was altered: it does not match its hash"
        raise PackageError(what, where=path, mend=MEND)
    file.expect_rows()
    return file


def _malformed(path: Path, error: FormatError) -> PackageError:
    where = path if error.where in (None, path) else f"{path}, {error.where}"
    mend = MEND if error.mend == DAMAGED else error.mend
    return PackageError(f"the package's {path.name}: {error.what}", where=where, mend=mend)


def _require_same_origin(facts: Mapping[str, Mapping[str, Any]], directory: Path) -> None:
    """All parts carry the same model and rotation fingerprints."""
    for fact in SHARED_FACTS:
        values = {part: str(meta.get(fact) or "none") for part, meta in facts.items()}
        if len(set(values.values())) != 1:
            shown = ", ".join(f"{part}: {value[:12]}" for part, value in values.items())
            raise PackageError(
                f"the package's files differ in their {fact.replace('_', ' ')} ({shown})",
                where=directory,
                mend="take all files of one compilation: `vlmforge compile MODEL --out PACKAGE`",
            )


def _require_same_hidden_size(
    text: Program, vision: Program | None, embeddings: np.ndarray, directory: Path
) -> None:
    sizes = {
        "the text model": text.meta["hidden_size"],
        "the embedding": embeddings.shape[1],
    }
    if vision is not None:
        widths = [vision.buffers[name].shape[-1] for name in vision.outputs]
        sizes["the vision transformer"] = widths[0] if len(set(widths)) == 1 else str(widths)
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{part}: {size}" for part, size in sizes.items())
        what = f"the package's files differ in their hidden size ({shown})"
        raise PackageError(what, where=directory, mend=MEND)


def _require_vocabulary(text: Program, embeddings: np.ndarray, directory: Path) -> None:
    """Every token the text model can answer has an embedding."""
    tokens = text.buffers[text.outputs[0]].shape[-1]
    if tokens != embeddings.shape[0]:
        what = f"the text model's vocabulary is {tokens}, the embedding's {embeddings.shape[0]}"
        raise PackageError(what, where=directory, mend=MEND)
