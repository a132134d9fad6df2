"""A package reads conversations as transformers does: proved before the work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from vlmforge.errors import SourceError, SystemFailure, VlmforgeError, is_failure
from vlmforge.formats.package import PROCESSOR_FILE
from vlmforge.formats.settings import VisualSettings, read_settings
from vlmforge.images.layout import Layout
from vlmforge.images.pictures import NativeResolution, Pictures
from vlmforge.images.received import processed
from vlmforge.images.visual_preprocess import VisualPreprocessor
from vlmforge.package.settings import write_settings
from vlmforge.prompt.encoder import Placeholders, PromptEncoder
from vlmforge.prompt.messages import shown_in
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import load_tokenizer
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.source.processor import load_processor, load_template
from vlmforge.source.processor import load_tokenizer as load_original

Messages = Sequence[Mapping[str, Any]]
Reader = Callable[[Messages], list[int]]

TEXTS = (
    "What color is the square?",
    "  Two  spaces,\ttabs\n\nand lines \u2028 of 1,234.50 \u20ac ",
    "\uc774\uac83\uc740 \ubb34\uc5c7\uc785\ub2c8\uae4c? \u5199\u771f \U0001f468\u200d\U0001f467 "
    "e\u0301 \ufb01",
)
"""Plain words; white space and numbers; other scripts."""

PICTURE, WIDE = (224, 224), (150, 420)
"""Height and width of the pictures shown."""

REPORT = "report it with the model's tokenizer and processor settings"


def require_agreement(checkpoint: Checkpoint, layout: Layout) -> None:
    """Compare the prompts, tokens and pixels of the package to be made with transformers'.

    Raises:
        SourceError: settings are missing or malformed, a plain question cannot be asked, or
            the package would read something else than transformers.
    """
    with TemporaryDirectory(prefix="vlmforge-") as name, _told_of_model(checkpoint):
        directory = Path(name)
        write_settings(checkpoint, directory)
        _require_same_texts(checkpoint, directory)
        if "vision" in checkpoint.components:
            _require_same_numbers(checkpoint)
            preprocess = _preprocessor(checkpoint, directory, layout)
            _require_same_pixels(checkpoint, preprocess)
            readers = _seeing_readers(checkpoint, directory, preprocess)
            _require_same_prompts(checkpoint, readers, [*_talks(), *_talks_of_pictures()])
        elif load_template(checkpoint.path, processor=False) is not None:
            _require_same_prompts(checkpoint, _plain_readers(checkpoint, directory), _talks())


def _require_same_texts(checkpoint: Checkpoint, directory: Path) -> None:
    tokenizer, original = load_tokenizer(directory), load_original(checkpoint.path)
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise SourceError(
                f"the tokenizer has no tokens for {text!r}",
                where=checkpoint.path,
                mend="put the model's tokenizer.json beside it",
            )
        with _transformers(checkpoint, "tokenizer", "tokenizer_config.json"):
            expected = original.encode(text, add_special_tokens=False)
        if ids != expected:
            raise _differs(checkpoint, f"the tokens of {text!r}")


def _require_same_numbers(checkpoint: Checkpoint) -> None:
    """What the settings of the model and those of its processor both say."""
    for key, ours, theirs in _numbers(checkpoint):
        if ours != theirs:
            raise SourceError(
                f"{key} is {ours} in config.json, and {theirs} by the settings of the processor",
                where=checkpoint.path / (PROCESSOR_FILE if "." in key else "config.json"),
                mend="take the settings that the model was published with",
            )


def _numbers(checkpoint: Checkpoint) -> Iterator[tuple[str, Any, Any]]:
    """The path of each in ``config.json``, what is there, and what the processor says."""
    settings, tower = checkpoint.settings, checkpoint.family.tower
    assert tower is not None, "the model sees"
    processor = load_processor(checkpoint.path, checkpoint.family.processor)
    vision, pictures = tower.part(settings), processor.image_processor
    yield "image_token_id", settings.image_token_id, processor.image_token_id
    sizes = tower.sizes(settings)
    if sizes.tile is not None:
        tokens = math.prod(sizes.tile) // (sizes.patch * sizes.merge) ** 2
        counted = checkpoint.family.processor.tokens
        yield f"{tower.settings}.image_size", sizes.tile, _tile(pictures)
        yield str(counted), tokens, getattr(processor, str(counted))
        return
    names = {"patch_size": "patch_size", "spatial_merge_size": "merge_size"}
    names["temporal_patch_size"] = "temporal_patch_size"
    for key, name in names.items():
        yield f"{tower.settings}.{key}", getattr(vision, key), getattr(pictures, name)


def _tile(processor: Any) -> tuple[int, int]:
    """Height and width in pixels of an image processor's tiles."""
    if (edge := getattr(processor, "max_image_size", None)) is not None:
        return edge["longest_edge"], edge["longest_edge"]
    return processor.size["height"], processor.size["width"]


def _require_same_pixels(checkpoint: Checkpoint, preprocess: VisualPreprocessor) -> None:
    original = load_processor(checkpoint.path, checkpoint.family.processor).image_processor
    pictures = preprocess.images.pictures
    for picture in (_picture(0), _picture(0, WIDE)):
        given, asked = _shown(pictures, picture)
        with _transformers(checkpoint, "image processor", PROCESSOR_FILE):
            found = processed(original, given, asked, pictures.layout)
        visual = preprocess(picture)
        if [each.grid.area for each in found] != [visual.grid.area] * visual.grid.frames:
            raise _differs(checkpoint, "the patches of an image")
        for index, each in enumerate(found):
            if not np.array_equal(visual.slice(index), each.patches):
                raise _differs(checkpoint, "the pixels of an image")


def _shown(pictures: Pictures, picture: Image.Image) -> tuple[Image.Image, dict[str, Any]]:
    """What transformers' processor is given of a picture, and what it is asked for."""
    if not isinstance(pictures, NativeResolution):
        return pictures.given(picture), pictures.asked
    bounds = {"shortest_edge": pictures.min_pixels, "longest_edge": pictures.max_pixels}
    return picture, {"size": bounds}


@contextmanager
def _told_of_model(checkpoint: Checkpoint) -> Iterator[None]:
    """What a package would refuse is told of the model's file, which the user can mend."""
    try:
        yield
    except (SourceError, SystemFailure):
        raise
    except VlmforgeError as error:
        file = Path(str(error.where)).name
        found = checkpoint.path / file
        raise SourceError(
            f"a package could not read the model's settings: {error.what}",
            where=found if found.is_file() else checkpoint.path,
            mend="take the file that the model was published with",
        ) from error


@contextmanager
def _transformers(checkpoint: Checkpoint, what: str, file: str) -> Iterator[None]:
    """A part that transformers makes, but cannot use, is told with the file of its settings."""
    try:
        yield
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"transformers cannot use the {what}: {error}",
            where=checkpoint.path / file,
            mend=f"take the {file} that the model was published with",
        ) from error


def _require_same_prompts(
    checkpoint: Checkpoint, readers: tuple[Reader, Reader], talks: Sequence[Messages]
) -> None:
    """Each talk has the same tokens; a template may reject all but the first, if both do."""
    ours, theirs = readers
    for index, messages in enumerate(talks):
        expected = _read(theirs, messages)
        if index == 0 and not (isinstance(expected, list) and expected):
            raise SourceError(
                f"the chat template makes nothing of a plain question: {expected}",
                where=checkpoint.path,
                mend="correct the chat template, or choose an instruction-tuned model",
            )
        found = _read(ours, messages)
        if isinstance(found, BaseException) and not isinstance(expected, BaseException):
            raise _differs(checkpoint, "a conversation") from found
        if isinstance(expected, list) and found != expected:
            raise _differs(checkpoint, "the tokens of a conversation")


def _read(reader: Reader, messages: Messages) -> list[int] | BaseException:
    try:
        return reader(messages)
    except BaseException as error:  # templates raise what they like, and tokenizers panic
        if not is_failure(error):
            raise
        return error


def _seeing_readers(
    checkpoint: Checkpoint, directory: Path, preprocess: VisualPreprocessor
) -> tuple[Reader, Reader]:
    processor = load_processor(checkpoint.path, checkpoint.family.processor)
    encoder = PromptEncoder(
        load_tokenizer(directory),
        ChatTemplate.load(directory),
        Placeholders.of(checkpoint.settings, checkpoint.family.processor.facts()),
        preprocess,
    )

    def original(messages: Messages) -> list[int]:
        text = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        given = [picture for picture in shown_in(messages) if isinstance(picture, Image.Image)]
        shown = [_shown(preprocess.images.pictures, picture) for picture in given]
        asked = shown[0][1] if shown else {}
        batch = processor(text=[text], images=[each for each, _ in shown] or None, **asked)
        return list(batch["input_ids"][0])

    return lambda messages: encoder.encode(messages).token_ids.tolist(), original


def _plain_readers(checkpoint: Checkpoint, directory: Path) -> tuple[Reader, Reader]:
    tokenizer = load_original(checkpoint.path)
    template = ChatTemplate.load(directory, processor=False)
    package = load_tokenizer(directory)
    no_token = package.get_vocab_size()
    encoder = PromptEncoder(package, template, Placeholders(no_token, no_token))

    def original(messages: Messages) -> list[int]:
        text = tokenizer.apply_chat_template(
            messages,
            chat_template=load_template(checkpoint.path, processor=False),
            tokenize=False,
            add_generation_prompt=True,
        )
        return list(tokenizer.encode(text, add_special_tokens=False))

    return lambda messages: encoder.encode(messages).token_ids.tolist(), original


def _talks() -> list[Messages]:
    """A question, a question after a system message, and one after an answer."""
    question, answer, again = (
        {"role": role, "content": text}
        for role, text in zip(("user", "assistant", "user"), TEXTS, strict=True)
    )
    return [
        [question],
        [{"role": "system", "content": "Answer briefly."}, question],
        [question, answer, again],
    ]


def _talks_of_pictures() -> list[Messages]:
    """A question about a picture, and one about several in several turns."""

    def asked(*parts: str | int) -> Mapping[str, Any]:
        content = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image", "image": _picture(part)}
            for part in parts
        ]
        return {"role": "user", "content": content}

    answer = {"role": "assistant", "content": [{"type": "text", "text": TEXTS[1]}]}
    return [[asked(0, TEXTS[0])], [asked(TEXTS[2], 1, 2, TEXTS[0]), answer, asked(3, TEXTS[1])]]


def _picture(seed: int, size: tuple[int, int] = PICTURE) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return Image.fromarray(pixels)


def _preprocessor(checkpoint: Checkpoint, directory: Path, layout: Layout) -> VisualPreprocessor:
    meta = {**pictures_for(checkpoint, layout).facts(), **checkpoint.family.processor.facts()}
    file = directory / PROCESSOR_FILE
    return VisualPreprocessor.of(meta, read_settings(VisualSettings, file))


def _differs(checkpoint: Checkpoint, what: str) -> VlmforgeError:
    return SourceError(
        f"a package would read {what} otherwise than transformers does",
        where=checkpoint.path,
        mend=REPORT,
    )
