"""Settings files beside a model or in a package, as Hugging Face writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from vlmforge.errors import FormatError, SystemFailure
from vlmforge.formats.document import Document, parse_object, validate

MEND = "take over this file from the original model"

GENERATION_FILE = "generation_config.json"

LARGEST = 1 << 24
"""Most bytes of a settings file."""

MOST_TILES = 4096
"""Of an image."""

SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)


class Settings(Document):
    """Settings of which only a few matter here; null stands for the default."""

    model_config = ConfigDict(extra="ignore")


class NamedTemplate(Settings):
    """One of several chat templates."""

    name: str
    template: str


class AddedToken(Settings):
    """A special token with how it is matched."""

    content: str


class TokenizerSettings(Settings):
    """``tokenizer_config.json``: the special tokens and, in older files, the chat template."""

    bos_token: str | AddedToken | None = None
    eos_token: str | AddedToken | None = None
    unk_token: str | AddedToken | None = None
    sep_token: str | AddedToken | None = None
    pad_token: str | AddedToken | None = None
    cls_token: str | AddedToken | None = None
    mask_token: str | AddedToken | None = None
    chat_template: str | list[NamedTemplate] | dict[str, str] | None = None

    def special_tokens(self) -> dict[str, str]:
        """The text of each special token that is set."""
        tokens = {name: getattr(self, name) for name in SPECIAL_TOKENS}
        return {
            name: token if isinstance(token, str) else token.content
            for name, token in tokens.items()
            if token is not None
        }

    def template(self) -> str | None:
        """The chat template; that called ``default`` where there are several."""
        if isinstance(self.chat_template, list):
            named = {entry.name: entry.template for entry in self.chat_template}
            return named.get("default")
        if isinstance(self.chat_template, dict):
            return self.chat_template.get("default")
        return self.chat_template


class TemplateSettings(Settings):
    """``chat_template.json`` and ``processor_config.json``: where older files keep the template."""

    chat_template: str | None = None


class SizeSettings(Settings):
    """Bounds of an image's size: both mean pixels of an area, whatever they are called."""

    shortest_edge: PositiveInt | None = None
    longest_edge: PositiveInt | None = None


class TileSettings(Settings):
    """Size of a tile: the length of both sides in pixels."""

    longest_edge: PositiveInt = 364


class ProcessorSettings(Settings):
    """``preprocessor_config.json``: how pixels become numbers; the defaults are Qwen2-VL's.

    Attributes:
        min_pixels, max_pixels: of an image; they count before those of ``size``.
        resample: number of a Pillow filter.
        min_patches, max_patches: tiles of an image, where images are cut into as many as fit.
        max_image_size: of a tile, in pixels, where images are cut into as many as they fill.
        do_image_splitting: whether these are.
    """

    image_mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    image_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (
        0.26862954,
        0.26130258,
        0.27577711,
    )
    rescale_factor: float = 1 / 255
    do_rescale: bool = True
    do_normalize: bool = True
    do_resize: bool = True
    resample: int = Field(default=3, ge=0, le=5)
    min_pixels: PositiveInt | None = None
    max_pixels: PositiveInt | None = None
    size: SizeSettings = Field(default_factory=SizeSettings)
    min_patches: int = Field(default=1, ge=1, le=MOST_TILES)
    max_patches: int = Field(default=12, ge=1, le=MOST_TILES)
    max_image_size: TileSettings = Field(default_factory=TileSettings)
    do_image_splitting: bool = True

    @property
    def least_pixels(self) -> int | None:
        """Least pixels of an image, None where nothing is said of them."""
        return self.min_pixels or self.size.shortest_edge

    @property
    def most_pixels(self) -> int | None:
        """Most pixels of an image, None where nothing is said of them."""
        return self.max_pixels or self.size.longest_edge


class VideoSettings(ProcessorSettings):
    """What a processor does to videos: which frames are taken, and their size.

    Attributes:
        fps: frames a second; None for what is usual.
        num_frames: of a video, whatever its length.
        min_frames, max_frames: bounds where ``fps`` says how many.
        cap_pixels_per_frame: whether all frames together have at most 90 % of ``max_video_tokens``.
    """

    fps: PositiveFloat | None = None
    num_frames: PositiveInt | None = None
    min_frames: PositiveInt = 4
    max_frames: PositiveInt = 768
    cap_pixels_per_frame: bool = False
    max_video_tokens: PositiveInt = 128000


class VisualSettings(ProcessorSettings):
    """``preprocessor_config.json`` of a package.

    Attributes:
        video_processor: what is done to videos; where it is missing, the same as to images.
    """

    video_processor: VideoSettings | None = None

    @property
    def videos(self) -> VideoSettings:
        """What is done to videos."""
        return self.video_processor or VideoSettings(**ProcessorSettings.model_dump(self))


class GenerationSettings(Settings):
    """Which tokens end an answer, as ``generation_config.json`` and ``config.json`` say it."""

    eos_token_id: NonNegativeInt | list[NonNegativeInt] | None = None

    def stop_tokens(self) -> frozenset[int] | None:
        """The tokens that end an answer; None where nothing is said of them."""
        stop = self.eos_token_id
        if stop is None:
            return None
        return frozenset(stop if isinstance(stop, list) else [stop])


class SamplingSettings(Settings):
    """How ``generation_config.json`` suggests to choose tokens; the defaults are transformers'."""

    do_sample: bool = False
    temperature: NonNegativeFloat = 1.0
    top_k: NonNegativeInt = 50
    top_p: float = Field(default=1.0, gt=0, le=1)
    min_p: float = Field(default=0.0, ge=0, le=1)
    repetition_penalty: PositiveFloat = 1.0


class VisionSettings(Settings):
    """What a package's ``config.json`` says of its vision program."""

    mxq_path: str | None = None


class TextSettings(GenerationSettings):
    """What a package's ``config.json`` says of its text program, where it has a part for it.

    Attributes:
        mxq_path: its file name once more, for clients that look for it here.
    """

    mxq_path: str | None = None


class PackageSettings(GenerationSettings):
    """``config.json`` of a package, as far as running it needs it.

    Attributes:
        mxq_path: file name of the text program.
        vision_config: names the vision program, in a package that has one.
        image_token_id, video_token_id: stand for one row of features of an image or video.
        text_config: tells what ends an answer where the root does not.
    """

    mxq_path: str
    vision_config: VisionSettings = Field(default_factory=VisionSettings)
    image_token_id: int = Field(default=151655, ge=0, lt=1 << 31)
    video_token_id: int = Field(default=151656, ge=0, lt=1 << 31)
    text_config: TextSettings = Field(default_factory=TextSettings)


Kind = TypeVar("Kind", bound=Settings)


def read_settings(kind: type[Kind], path: Path, *, required: bool = True) -> Kind:
    """The settings in a file; all defaults where a file that is not required is missing.

    Raises:
        FormatError: the file is missing, too large, no JSON object, or a setting is malformed.
    """
    if not required and not path.exists():
        return kind()
    try:
        if path.stat().st_size > LARGEST:
            raise FormatError(
                f"the settings file is larger than {LARGEST >> 20} MB",
                where=path,
                mend=MEND,
            )
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(
            f"a settings file cannot be read: {error.strerror}",
            where=path,
            mend=SystemFailure.of(error).mend if path.exists() else MEND,
        ) from error
    try:
        return validate_settings(kind, parse_object(data, path.name, path), path)
    except FormatError as error:
        raise FormatError(error.what, where=path, mend=MEND) from error


def validate_settings(kind: type[Kind], value: dict[str, Any], path: Path) -> Kind:
    """Settings that were read from ``path``; raises :class:`FormatError`."""
    parts = {key: _without_null(part) for key, part in _without_null(value).items()}
    return validate(kind, parts, path)


def _without_null(value: Any) -> Any:
    """An object without the keys whose value is null; any other value as it is."""
    if isinstance(value, dict):
        return {key: inner for key, inner in value.items() if inner is not None}
    return value
