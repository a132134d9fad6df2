"""Session: a package opened for running."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmforge.config import InferenceScheme
from vlmforge.decode.context import Context
from vlmforge.decode.generate import Decoder, Options
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.vision import ImageFeatures, VisionEncoder
from vlmforge.errors import RunError
from vlmforge.formats.package import PROCESSOR_FILE, Package, open_package
from vlmforge.formats.settings import GenerationSettings, ProcessorSettings, read_settings
from vlmforge.images.preprocess import ImagePreprocessor
from vlmforge.images.visual import Visual
from vlmforge.machine.machine import Machine
from vlmforge.machine.scheme import open_scheme
from vlmforge.prompt.encoder import PromptEncoder, PromptRules
from vlmforge.prompt.messages import Message
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import load_tokenizer


@dataclass(frozen=True)
class Session:
    """The machines of a package and what stands around them.

    Attributes:
        package: the files.
        text: machine of the text program.
        vision: runs the vision program, None in a package without one.
        preprocess: images to the vision program's input.
        prompts: messages to token ids.
        stop_tokens: tokens that end an answer.
        max_length: most tokens of a conversation, images included.
    """

    package: Package
    text: Machine
    vision: VisionEncoder | None
    preprocess: ImagePreprocessor | None
    prompts: PromptEncoder
    stop_tokens: frozenset[int]
    max_length: int

    @staticmethod
    def open(
        package_dir: str | os.PathLike[str],
        max_length: int | None = None,
        scheme: InferenceScheme | None = None,
        *,
        image_root: str | os.PathLike[str] | None = None,
        special_tokens_in_text: bool = False,
    ) -> Session:
        """Open a package directory.

        Args:
            package_dir: the directory.
            max_length: most tokens of a conversation; by default, and at most, the cache length
                the text program was compiled for.
            scheme: how cores share the work; by default as each program was compiled for.
            image_root: the only directory below which messages may name image files; any file
                by default.
            special_tokens_in_text: whether special tokens in the texts of messages are taken for
                such, instead of text.

        Raises:
            PackageError: a file is missing, altered or of another model.
            RunError: ``max_length`` is out of range.
        """
        package = open_package(Path(package_dir))
        length = _max_length(package, max_length)
        rules = PromptRules(length, image_root, special_tokens_in_text)
        vision = package.vision
        preprocess = None
        if vision is not None:
            settings = read_settings(ProcessorSettings, package.dir / PROCESSOR_FILE)
            preprocess = ImagePreprocessor.of(vision.meta, settings)
        return Session(
            package,
            open_scheme(package.text, scheme),
            VisionEncoder(open_scheme(vision, scheme)) if vision is not None else None,
            preprocess,
            _prompt_encoder(package, preprocess, rules),
            _stop_tokens(package),
            length,
        )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of an image's tokens; (0, 0) without a vision program."""
        return _grid(self.preprocess)

    def new_context(self) -> Context:
        """An empty KV cache of the session's maximum length."""
        return Context(self.text, self.package.embeddings, self.grid, self.max_length)

    def new_decoder(self, options: Options, held: int) -> Decoder:
        """What continues a context that holds ``held`` tokens."""
        room = self.max_length - held + 1
        return Decoder(options, room, self.stop_tokens, self.prompts.tokenizer)

    def inputs(self, messages: Sequence[Message]) -> Inputs:
        """The tokens of the messages up to the start of the answer, with image features.

        Raises:
            RunError: the messages are malformed, an image is unreadable, or the package has no
                vision program.
        """
        token_ids, visuals = self.prepare(messages)
        return self.join(token_ids, self.encode(visuals) if visuals else ())

    def prepare(self, messages: Sequence[Message]) -> tuple[np.ndarray, list[Visual]]:
        """What is known of :meth:`inputs` before the vision program has run.

        Returns:
            Token ids, int64 ``[seq]``, and the images as :meth:`encode` reads them.

        Raises:
            RunError: see :meth:`inputs`.
        """
        prompt = self.prompts.encode(messages)
        if not prompt.images:
            return prompt.token_ids, []
        if self.preprocess is None:
            raise self._blind()
        return prompt.token_ids, [self.preprocess(image) for image in prompt.images]

    def encode(self, visuals: Sequence[Visual]) -> list[ImageFeatures]:
        """The features of preprocessed images; RunError without a vision program."""
        if self.vision is None:
            raise self._blind()
        return self.vision.many(visuals)

    def recall(self, visual: Visual) -> ImageFeatures | None:
        """The features of an image, if it was encoded before and is remembered."""
        return None if self.vision is None else self.vision.recall(visual)

    def join(self, token_ids: np.ndarray, images: Sequence[ImageFeatures]) -> Inputs:
        """Tokens with the features of their images; RunError unless they fit."""
        return Inputs.of(token_ids, token_ids == self.prompts.image_token_id, images)

    def _blind(self) -> RunError:
        return RunError(
            "the package has no vision program",
            where=self.package.dir,
            mend="ask without images, or take a package of a vision-language model",
        )


def _grid(preprocess: ImagePreprocessor | None) -> tuple[int, int]:
    if preprocess is None:
        return 0, 0
    _, rows, columns = preprocess.layout.grid(1, *preprocess.pictures.size(1, 1))
    return rows, columns


def _prompt_encoder(
    package: Package, preprocess: ImagePreprocessor | None, rules: PromptRules
) -> PromptEncoder:
    rows, columns = _grid(preprocess)
    return PromptEncoder(
        load_tokenizer(package.dir),
        ChatTemplate.load(package.dir, processor=preprocess is not None),
        package.settings.image_token_id,
        rows * columns,
        rules,
    )


def _stop_tokens(package: Package) -> frozenset[int]:
    file = package.dir / "generation_config.json"
    generation = read_settings(GenerationSettings, file, required=False)
    for settings in (generation, package.settings, package.settings.text_config):
        stop = settings.stop_tokens()
        if stop is not None:
            return stop
    return frozenset()


def _max_length(package: Package, wanted: int | None) -> int:
    compiled = int(package.text.meta["cache_length"])
    if wanted is not None and not 1 <= wanted <= compiled:
        raise RunError(
            f"max_length is {wanted}, the text program's cache holds {compiled} tokens",
            where=package.dir,
            mend=f"choose max_length from 1 to {compiled}",
        )
    return wanted or compiled
