"""PromptEncoder: messages become token ids and what is shown with them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from vlmforge.errors import LengthError, RunError
from vlmforge.images.clip import UNSEEN
from vlmforge.images.reading import ImageSource
from vlmforge.images.video import Video
from vlmforge.images.visual import Frames, Visual
from vlmforge.prompt.image_root import ImageRoot
from vlmforge.prompt.messages import Message, Tool, characters, read_messages, shown_in
from vlmforge.prompt.quoting import Piece, Quoting
from vlmforge.prompt.spans import IMAGE, TEXT, VIDEO
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import Tokens
from vlmforge.text import well_formed

Look = Callable[[ImageSource | Video, int | None], Frames]
"""Prepares what is shown, which may have so many tokens at most."""


@dataclass(frozen=True)
class Prompt:
    """A conversation as a model reads it.

    Attributes:
        token_ids: int64 ``[seq]``; an image or video is a run of tokens, as many as its grid has.
        visuals: the images and videos, in the order of their tokens; of a video whose slices are
            shown one by one, each slice.
    """

    token_ids: np.ndarray
    visuals: tuple[Visual, ...]


@dataclass(frozen=True)
class Placeholders:
    """The tokens that stand for rows of features.

    Attributes:
        image, video: token ids; None where no videos are seen.
        around: what is put before the tokens of an image, and behind them.
    """

    image: int
    video: int | None
    around: tuple[str, str] = ("", "")

    @staticmethod
    def of(settings: Any, meta: Mapping[str, Any]) -> Placeholders:
        """Those that settings name, where a vision program's ``meta`` says what is seen."""
        video = None if meta.get("videos") == UNSEEN else settings.video_token_id
        before, behind = meta.get("around", ("", ""))
        return Placeholders(settings.image_token_id, video, (before, behind))

    def token(self, shown: ImageSource | Video) -> int:
        """The token that stands for it; RunError for a video where none are seen."""
        if not isinstance(shown, Video):
            return self.image
        if self.video is None:
            raise RunError("the package sees no videos", mend="show frames of it as images")
        return self.video

    def types(self, token_ids: np.ndarray) -> np.ndarray:
        """What each token of a prompt stands for, int8 ``[seq]``."""
        kinds = [token_ids == self.image, np.isin(token_ids, [self.video or []])]
        return np.select(kinds, [IMAGE, VIDEO], TEXT).astype(np.int8)


@dataclass(frozen=True)
class PromptRules:
    """What users may ask for.

    Attributes:
        max_length: most tokens of a prompt, None for any number; a text that cannot have so few
            is not rendered or tokenized.
        image_root: the directory below which files are named, None for any file.
        special_tokens_in_text: whether special tokens in users' texts are taken for such.
    """

    max_length: int | None = None
    image_root: str | os.PathLike[str] | None = None
    special_tokens_in_text: bool = False


class PromptEncoder:
    """The tokenizer and chat template of a package.

    Args:
        tokenizer: of the package's ``tokenizer.json``.
        template: of the package.
        placeholders: of the package.
        look: prepares what is shown; None in a package without a vision program.
        rules: what users may ask for.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        placeholders: Placeholders,
        look: Look | None = None,
        rules: PromptRules | None = None,
    ) -> None:
        self.tokenizer, self.template, self.placeholders = tokenizer, template, placeholders
        self._look = look
        ids = [i for i in (placeholders.image, placeholders.video) if i is not None]
        texts = {tokenizer.id_to_token(i): i for i in ids}
        self._texts: dict[str, int] = {text: i for text, i in texts.items() if text}
        self._placeholder = re.compile("|".join(map(re.escape, self._texts)) or "(?!)")
        self._tokens, rules = Tokens(tokenizer), rules or PromptRules()
        self._max_length = rules.max_length
        self._root = None if rules.image_root is None else ImageRoot(rules.image_root)
        self._quoting = Quoting(() if rules.special_tokens_in_text else self._special_tokens())

    def encode(
        self,
        messages: Iterable[Message],
        *,
        generation_prompt: bool = True,
        tools: Sequence[Tool] = (),
    ) -> Prompt:
        """The ids Hugging Face's ``processor.apply_chat_template(..., tokenize=True)`` gives.

        Special tokens in the messages' texts are tokenized as text, as with its
        ``sanitize_control_tokens``, unless the rules say otherwise. Half a character (a lone
        surrogate), which no tokenizer reads, becomes U+FFFD.

        Args:
            messages: the conversation.
            generation_prompt: whether to open the assistant's next message.
            tools: what the assistant may call.

        Raises:
            RunError: the messages are malformed, too long, or show what may not be seen, cannot be
                read or has too many tokens; or the template has no place for tools.
        """
        talk = read_messages(messages)
        shown = [self._allowed(each) for each in shown_in(talk)]
        if shown and self._look is None:
            raise blind()
        given = [talk, list(tools)]
        self._require_short(characters(given))
        quoted = self._quoting.quote(given)
        text = self._rendered(quoted[0], quoted[1], generation_prompt)
        pieces = self._quoting.pieces(text, quoted is not given)
        visuals = self._prepared(self._placed(pieces, shown))
        ids = self._encode(self._expanded(pieces, visuals))
        return Prompt(np.array(ids, np.int64), tuple(p for each in visuals for p in each.parts))

    def encode_text(self, text: str) -> np.ndarray:
        """The tokens of a text as it is, int64 ``[seq]``, with what the tokenizer puts around it.

        Special tokens within it are text, unless the rules say otherwise.

        Raises:
            RunError: the text is too long, or cannot be tokenized.
        """
        self._require_short(len(text))
        quoted = self._quoting.quote(text)
        pieces = self._quoting.pieces(well_formed(quoted), quoted is not text)
        before, behind = self._tokens.around
        return np.array([*before, *self._tokens.encode_pieces(pieces), *behind], np.int64)

    def _rendered(self, messages: list[Message], tools: list[Tool], generation_prompt: bool) -> str:
        text = self.template.render(messages, generation_prompt=generation_prompt, tools=tools)
        self._require_short(len(text))
        return well_formed(text)

    def _encode(self, pieces: list[Piece]) -> list[int]:
        bos, ids = self.template.special_tokens.get("bos_token"), self._tokens.encode_pieces(pieces)
        if bos is not None and pieces and not pieces[0].quoted and pieces[0].text.startswith(bos):
            return ids
        before, behind = self._tokens.around
        return [*before, *ids, *behind]

    @cached_property
    def special(self) -> dict[int, str]:
        """The special tokens by their ids."""
        added = self.tokenizer.get_added_tokens_decoder()
        return {token_id: token.content for token_id, token in added.items() if token.special}

    def _special_tokens(self) -> list[str]:
        """The tokens that are structure: special ones, and added ones the template writes."""
        written = self.template.literals
        added = [token for _, token in self.tokenizer.get_added_tokens_decoder().items()]
        found = [
            token.content
            for token in added
            if token.special or (token.content in written and not token.content.isspace())
        ]
        return [*found, *self._texts]

    def _allowed(self, shown: ImageSource | Video) -> ImageSource | Video:
        """The same with the files that its paths name; ImageError for one that may not be seen."""
        if self._root is None:
            return shown
        if not isinstance(shown, Video):
            return self._root.allowed(shown)
        if isinstance(shown.source, bytes):
            return shown
        if isinstance(shown.source, (str, os.PathLike)):
            return replace(shown, source=self._root.resolve(shown.source))
        return replace(shown, source=tuple(map(self._root.allowed, shown.source)))

    def _require_short(self, length: int) -> None:
        """Raise RunError if so many characters cannot be few enough tokens."""
        if self._max_length is not None and length > self._max_length * self._tokens.longest:
            raise LengthError(
                f"the messages have {length} characters, the maximum length is "
                f"{self._max_length} tokens of at most {self._tokens.longest} characters",
                mend="shorten the conversation, or open the session with a larger max_length "
                "(at most the compiled cache length)",
            )

    def _placed(
        self, pieces: list[Piece], shown: list[ImageSource | Video]
    ) -> tuple[ImageSource | Video, ...]:
        """What is shown, in the order of the placeholders; RunError unless there is one each."""
        found = [self._texts[text] for text in self._placeholders_in(pieces)]
        given: dict[int, list[ImageSource | Video]] = {i: [] for i in self._texts.values()}
        for each in shown:
            given.setdefault(self.placeholders.token(each), []).append(each)
        for token, own in given.items():
            if (count := found.count(token)) != len(own):
                name = "image" if token == self.placeholders.image else "video"
                raise RunError(
                    f"the prompt has {count} {name} placeholders and {len(own)} {name}s",
                    mend=f"attach {name}s as content parts, and do not write their placeholder as "
                    f"text; a chat template without a place for {name}s shows none",
                )
        order = {token: iter(own) for token, own in given.items()}
        return tuple(next(order[token]) for token in found)

    def _prepared(self, shown: Iterable[ImageSource | Video]) -> tuple[Frames, ...]:
        """What is shown, prepared one by one until its tokens are too many."""
        room, visuals = self._max_length, list[Frames]()
        for each in shown:
            assert self._look is not None
            visuals.append(self._look(each, room))
            room = None if room is None else room - visuals[-1].grid.tokens
        return tuple(visuals)

    def _expanded(self, pieces: list[Piece], visuals: Iterable[Frames]) -> list[Piece]:
        """The pieces with every placeholder replaced by what stands for its visual."""
        following, (before, behind) = iter(visuals), self.placeholders.around

        def run(match: re.Match[str]) -> str:
            return before + next(following).text(match.group()) + behind

        return [
            piece if piece.quoted else Piece(self._placeholder.sub(run, piece.text), False)
            for piece in pieces
        ]

    def _placeholders_in(self, pieces: list[Piece]) -> Iterator[str]:
        for piece in pieces:
            if not piece.quoted:
                yield from self._placeholder.findall(piece.text)


def blind() -> RunError:
    """The error about what is shown to a package without a vision program."""
    return RunError(
        "the package has no vision program",
        mend="ask without images, or take a package of a vision-language model",
    )
