"""PromptEncoder: messages become token ids and the images that go with them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from vlmforge.errors import RunError
from vlmforge.images.reading import ImageSource
from vlmforge.prompt.image_root import ImageRoot
from vlmforge.prompt.messages import Message, characters, images_of, read_messages
from vlmforge.prompt.quoting import Piece, Quoting
from vlmforge.prompt.template import ChatTemplate
from vlmforge.prompt.tokens import Tokens
from vlmforge.text import well_formed


@dataclass(frozen=True)
class Prompt:
    """A conversation as a model reads it.

    Attributes:
        token_ids: int64 ``[seq]``; each image is a run of image tokens.
        images: one a run, in order.
    """

    token_ids: np.ndarray
    images: tuple[ImageSource, ...]


@dataclass(frozen=True)
class PromptRules:
    """What users may ask for.

    Attributes:
        max_length: most tokens of a prompt, None for any number; a text that cannot have so few
            is not rendered or tokenized.
        image_root: the directory below which images are named, None for any file.
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
        image_token_id: the token that stands for one row of image features.
        image_tokens: rows of image features an image has.
        rules: what users may ask for.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        image_token_id: int,
        image_tokens: int,
        rules: PromptRules | None = None,
    ) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.image_token_id, self.image_tokens = image_token_id, image_tokens
        self.image_token: str | None = tokenizer.id_to_token(image_token_id)
        self._tokens, rules = Tokens(tokenizer), rules or PromptRules()
        self._max_length = rules.max_length
        self._root = None if rules.image_root is None else ImageRoot(rules.image_root)
        self._quoting = Quoting(() if rules.special_tokens_in_text else self._special_tokens())

    def encode(self, messages: Iterable[Message], *, generation_prompt: bool = True) -> Prompt:
        """The ids Hugging Face's ``processor.apply_chat_template(..., tokenize=True)`` gives.

        Special tokens in the messages' texts are tokenized as text, as with its
        ``sanitize_control_tokens``, unless the rules say otherwise. Half a character (a lone
        surrogate), which no tokenizer reads, becomes U+FFFD.

        Raises:
            RunError: the messages are malformed, too long, or name an image that may not be seen.
        """
        given = read_messages(messages)
        images = tuple(self._allowed(image) for image in images_of(given))
        self._require_short(characters(given))
        quoted = self._quoting.quote(given)
        text = well_formed(self.template.render(quoted, generation_prompt=generation_prompt))
        self._require_short(len(text))
        pieces = self._expand(self._quoting.pieces(text, quoted is not given), len(images))
        return Prompt(np.array(self._encode(pieces), np.int64), images)

    def _encode(self, pieces: list[Piece]) -> list[int]:
        bos, ids = self.template.special_tokens.get("bos_token"), self._tokens.encode_pieces(pieces)
        if bos is not None and pieces and not pieces[0].quoted and pieces[0].text.startswith(bos):
            return ids
        before, behind = self._tokens.around
        return [*before, *ids, *behind]

    def _special_tokens(self) -> list[str]:
        """The tokens that are structure: special ones, and added ones the template writes."""
        written = self.template.literals
        added = [token for _, token in self.tokenizer.get_added_tokens_decoder().items()]
        found = [
            token.content
            for token in added
            if token.special or (token.content in written and not token.content.isspace())
        ]
        return found if self.image_token is None else [*found, self.image_token]

    def _allowed(self, image: ImageSource) -> ImageSource:
        if self._root is None or isinstance(image, Image.Image):
            return image
        return self._root.resolve(image)

    def _require_short(self, length: int) -> None:
        """Raise RunError if so many characters cannot be few enough tokens."""
        if self._max_length is not None and length > self._max_length * self._tokens.longest:
            raise RunError(
                f"the messages have {length} characters, the maximum length is "
                f"{self._max_length} tokens of at most {self._tokens.longest} characters",
                mend="shorten the conversation, or open the session with a larger max_length "
                "(at most the compiled cache length)",
            )

    def _expand(self, pieces: list[Piece], images: int) -> list[Piece]:
        """The pieces with every placeholder repeated; RunError unless there is one an image."""
        placeholder = self.image_token
        if placeholder is None:
            return pieces
        found = sum(piece.text.count(placeholder) for piece in pieces if not piece.quoted)
        if found != images:
            raise RunError(
                f"the prompt has {found} image placeholders and {images} images",
                mend=f"attach images as content parts; do not write {placeholder} as text",
            )
        run = placeholder * self.image_tokens
        return [
            piece if piece.quoted else Piece(piece.text.replace(placeholder, run), False)
            for piece in pieces
        ]
