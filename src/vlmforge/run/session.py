"""Session: a package opened for running."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlmforge.config import InferenceScheme
from vlmforge.decode.context import Context, require_room
from vlmforge.decode.generate import Decoder, Options
from vlmforge.decode.grammar import Vocabulary
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.sampling import Sampling
from vlmforge.decode.vision import ImageFeatures, VisionEncoder
from vlmforge.errors import RunError
from vlmforge.formats.package import PROCESSOR_FILE, Package
from vlmforge.formats.settings import (
    GENERATION_FILE,
    GenerationSettings,
    SamplingSettings,
    VisualSettings,
    read_settings,
)
from vlmforge.hub.packages import open_found
from vlmforge.images.visual import Visual
from vlmforge.images.visual_preprocess import VisualPreprocessor
from vlmforge.machine.machine import Machine
from vlmforge.machine.scheme import open_scheme
from vlmforge.prompt.encoder import Placeholders, PromptEncoder, PromptRules, blind
from vlmforge.prompt.messages import Message, Tool
from vlmforge.prompt.spans import IMAGE, VIDEO
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import load_tokenizer


@dataclass(frozen=True)
class Session:
    """The machines of a package and what stands around them.

    Attributes:
        package: the files.
        text: machine of the text program.
        vision: runs the vision program, None in a package without one.
        preprocess: images and videos to the vision program's input.
        prompts: messages to token ids.
        stop_tokens: tokens that end an answer.
        max_length: most tokens of a conversation, images included.
    """

    package: Package
    text: Machine
    vision: VisionEncoder | None
    preprocess: VisualPreprocessor | None
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
        max_pixels: int | None = None,
        verify_key: str | os.PathLike[str] | None = None,
    ) -> Session:
        """Open a package.

        Args:
            package_dir: its directory; where there is none, its name on the Hugging Face Hub,
                ``owner/name`` or ``owner/name@revision``.
            max_length: most tokens of a conversation; by default, and at most, the cache length
                the text program was compiled for.
            scheme: how cores share the work; by default as each program was compiled for.
            image_root: the only directory below which messages may name files of images and
                videos; any file by default.
            special_tokens_in_text: whether special tokens in the texts of messages are taken for
                such, instead of text.
            max_pixels: most pixels of an image, or of a frame of a video, which has fewer tokens
                then; by default as many as the package takes. A package of one size ignores it.
            verify_key: file of the public key with which the package has to be signed; it is
                verified before anything of it is used.

        Raises:
            PackageError: a file is missing, altered or of another model; there is no such package
                on the Hub, or no way to it.
            SignatureError: it is not signed with the key, or not as it was signed.
            InstallError: the library that reaches the Hub, or that verifies, is missing.
            RunError: ``max_length`` or ``max_pixels`` is out of range.
        """
        package = open_found(package_dir, verify_key=verify_key)
        length = _max_length(package, max_length)
        rules = PromptRules(length, image_root, special_tokens_in_text)
        vision, preprocess = package.vision, _preprocess(package, max_pixels)
        return Session(
            package,
            open_scheme(package.text, scheme),
            VisionEncoder(open_scheme(vision, scheme)) if vision is not None else None,
            preprocess,
            _prompt_encoder(package, preprocess, rules),
            _stop_tokens(package),
            length,
        )

    def new_context(self) -> Context:
        """An empty KV cache of the session's maximum length."""
        return Context(self.text, self.package.embeddings, self.max_length)

    @cached_property
    def suggested(self) -> Sampling:
        """As Hugging Face's ``generate`` samples where nothing is asked of it; often greedily.

        Raises:
            FormatError: ``generation_config.json`` is malformed.
        """
        file = self.package.dir / GENERATION_FILE
        settings = read_settings(SamplingSettings, file, required=False)
        penalty = settings.repetition_penalty
        if not settings.do_sample:
            return Sampling(repetition_penalty=penalty)
        return Sampling(
            penalty, settings.temperature, settings.top_k, settings.top_p, settings.min_p
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tokens as grammars see them."""
        return Vocabulary(self.prompts.tokenizer, len(self.package.embeddings), self.stop_tokens)

    def new_decoder(self, options: Options, held: int) -> Decoder:
        """What continues a context that holds ``held`` tokens.

        Raises:
            RunError: the options' grammar is malformed, or they have a bias for no token.
        """
        tokens, grammar = len(self.package.embeddings), options.grammar
        if (last := max(options.sampling.logit_bias, default=0)) >= tokens:
            raise RunError(f"a bias for the token {last}", mend=f"tokens are 0 to {tokens - 1}")
        constraint = None if grammar is None else self.vocabulary.constraint(grammar)
        room = self.max_length - held + 1
        return Decoder(options, room, self.stop_tokens, self.prompts.tokenizer, constraint)

    def inputs(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Inputs:
        """The tokens of the messages up to the start of the answer, with image features.

        Raises:
            RunError: the messages are malformed or too long, an image or video is unreadable, or
                the package has no vision program.
        """
        token_ids, visuals = self.prepare(messages, tools)
        return self.join(token_ids, self.encode(visuals) if visuals else ())

    def prepare(
        self, messages: Sequence[Message], tools: Sequence[Tool] = ()
    ) -> tuple[np.ndarray, list[Visual]]:
        """What is known of :meth:`inputs` before the vision program has run.

        Returns:
            Token ids, int64 ``[seq]``, and images and videos as :meth:`encode` reads them.

        Raises:
            RunError: see :meth:`inputs`.
        """
        prompt = self.prompts.encode(messages, tools=tools)
        require_room(len(prompt.token_ids), 0, self.max_length)
        if prompt.visuals and self.preprocess is None:
            raise blind()
        return prompt.token_ids, list(prompt.visuals)

    def encode(self, visuals: Sequence[Visual]) -> list[ImageFeatures]:
        """The features of images and videos; RunError without a vision program."""
        if self.vision is None:
            raise blind()
        return self.vision.many(visuals)

    def encode_slice(self, visual: Visual, rows: list[np.ndarray]) -> ImageFeatures | None:
        """See :meth:`VisionEncoder.step`; RunError without a vision program."""
        if self.vision is None:
            raise blind()
        return self.vision.step(visual, rows)

    def recall(self, visual: Visual) -> ImageFeatures | None:
        """The features of an image or video that was encoded before, if they are remembered."""
        return None if self.vision is None else self.vision.recall(visual)

    def join(self, token_ids: np.ndarray, images: Sequence[ImageFeatures]) -> Inputs:
        """Tokens with the features of all images and videos, in order; RunError if they differ."""
        features = deque(images)
        types = self.prompts.placeholders.types(token_ids)
        return Inputs.of(token_ids, types, {IMAGE: features, VIDEO: features})


def _preprocess(package: Package, max_pixels: int | None) -> VisualPreprocessor | None:
    if max_pixels is not None and max_pixels < 1:
        raise RunError(f"max_pixels is {max_pixels}", mend="choose max_pixels 1 or more")
    if package.vision is None:
        return None
    settings = read_settings(VisualSettings, package.dir / PROCESSOR_FILE)
    return VisualPreprocessor.of(package.vision.meta, settings).bounded(max_pixels)


def _prompt_encoder(
    package: Package, preprocess: VisualPreprocessor | None, rules: PromptRules
) -> PromptEncoder:
    return PromptEncoder(
        load_tokenizer(package.dir),
        ChatTemplate.load(package.dir, processor=preprocess is not None),
        Placeholders.of(package.settings, package.vision.meta if package.vision else {}),
        preprocess,
        rules,
    )


def _stop_tokens(package: Package) -> frozenset[int]:
    file = package.dir / GENERATION_FILE
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
