"""The model's tokenizer and image processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from vlmforge.errors import FormatError, SourceError, is_failure
from vlmforge.families.processor import Processor
from vlmforge.formats.chat_template import read_chat_template
from vlmforge.formats.document import parse_object
from vlmforge.formats.settings import VideoSettings, validate_settings

VIDEO_FILES = (
    ("processor_config.json", "video_processor"),
    ("video_preprocessor_config.json", None),
)
"""Where settings for videos may be kept, and under which key, in the order transformers looks."""

STEPS = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
"""What a processor does unless a setting is false or, which says the same, null."""


class NoVideos:
    """Stands for a video processor where one of text and images looks at its settings."""

    num_frames = fps = None


def image_text_class(processor: type[Any]) -> type[Any]:
    """A class of processors of Hugging Face for images and text, without videos.

    Without a video processor, and with the Pillow image processor, it needs no torchvision.
    """

    def create(
        self: Any, image_processor: Any = None, tokenizer: Any = None, **settings: Any
    ) -> None:
        processor.__init__(self, image_processor, tokenizer, video_processor=None, **settings)

    facts = {"__module__": __name__, "__init__": create}
    return type(processor.__name__, (processor,), facts)


def load_processor(path: Path, kind: Processor) -> Any:
    """The processor of the checkpoint in directory ``path``, as transformers finds its files.

    Args:
        path: of the checkpoint.
        kind: of its family.

    Raises:
        SourceError: the tokenizer, image processor or chat template is missing or unreadable.
    """
    tokenizer = load_tokenizer(path)
    template = load_template(path, processor=True)
    if template is None:
        raise SourceError(
            "the model has no chat template", where=path, mend="choose an instruction-tuned model"
        )
    images = load_image_processor(path, kind)
    own = whole_settings(path, kind)
    whole = image_text_class(kind.whole_class)
    if kind.shown == "unseen":
        whole.video_processor = NoVideos()
    try:
        return whole(images, tokenizer, chat_template=template, **own)
    except Exception as error:  # transformers raises what it likes, for a library that is missing
        raise SourceError(
            f"transformers cannot make the processor: {error}",
            where=path,
            mend='pip install "vlmforge[compile]", or take the files that the model was '
            "published with",
        ) from error


def whole_settings(path: Path, kind: Processor) -> dict[str, Any]:
    """What the checkpoint says of the settings of its processor of text and images.

    Raises:
        SourceError: the file that may hold them is malformed.
    """
    file = path / "processor_config.json"
    if kind.tokens is None or not file.is_file():
        return {}
    try:
        found = parse_object(file.read_bytes(), file.name, file)
    except (OSError, FormatError) as error:
        raise SourceError(
            f"the processor's settings cannot be read: {getattr(error, 'what', error)}",
            where=file,
            mend="take the file that the model was published with",
        ) from error
    return {kind.tokens: found[kind.tokens]} if kind.tokens in found else {}


def load_image_processor(path: Path, kind: Processor) -> Any:
    """The image processor of the checkpoint in directory ``path``; raises :class:`SourceError`."""
    try:
        return kind.image_class.from_pretrained(path, local_files_only=True)
    except Exception as error:  # transformers raises what it likes
        raise SourceError(
            f"the image processor cannot be read: {error}",
            where=path,
            mend="take the preprocessor_config.json that the model was published with",
        ) from error


def image_settings(path: Path, kind: Processor) -> dict[str, Any]:
    """The settings of the checkpoint's image processor in one spelling, every step a boolean.

    Raises:
        SourceError: it is missing or unreadable.
    """
    processor = load_image_processor(path, kind)
    steps = {step: bool(getattr(processor, step)) for step in STEPS}
    return {**processor.to_dict(), **steps}


def load_video_settings(path: Path, kind: Processor) -> dict[str, Any] | None:
    """The settings of the checkpoint's video processor, None if it has none of their own.

    They have the defaults of the family where nothing is said.

    Raises:
        SourceError: a file that may hold them is malformed.
    """
    for name, key in VIDEO_FILES:
        if (path / name).is_file():
            try:
                document = parse_object((path / name).read_bytes(), name, path / name)
                found = document if key is None else document.get(key)
                if isinstance(found, dict):
                    unsaid = [key for key in kind.videos if found.get(key) is None]
                    settings = {**found, **{key: kind.videos[key] for key in unsaid}}
                    validate_settings(VideoSettings, settings, path / name)
                    return settings
            except (OSError, FormatError) as error:
                raise SourceError(
                    f"the settings for videos cannot be read: {getattr(error, 'what', error)}",
                    where=path / name,
                    mend="take the file that the model was published with",
                ) from error
    return None


def load_template(path: Path, *, processor: bool) -> str | None:
    """The chat template of the checkpoint in directory ``path``; None where it has none.

    Raises:
        SourceError: a file that may hold it is malformed.
    """
    try:
        return read_chat_template(path, processor=processor)
    except FormatError as error:
        raise SourceError(
            f"the chat template cannot be read: {error.what}",
            where=error.where,
            mend="take the file that the model was published with",
        ) from error


def load_tokenizer(path: Path) -> Any:
    """The tokenizer transformers makes of the files in directory ``path``.

    Its ``backend_tokenizer`` is one of the tokenizers library, without truncation or padding.

    Raises:
        SourceError: there is no tokenizer, or none that this library can run.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        backend = tokenizer.backend_tokenizer
    except BaseException as error:  # transformers raises what it likes, and tokenizers panics
        if not is_failure(error):
            raise
        raise SourceError(
            f"the tokenizer cannot be read: {error}",
            where=path,
            mend="put tokenizer.json and tokenizer_config.json beside the model, or "
            "save the tokenizer there with save_pretrained()",
        ) from error
    backend.no_truncation()
    backend.no_padding()
    return tokenizer
