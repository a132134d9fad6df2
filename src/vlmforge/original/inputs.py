"""ReferenceInputs: a question about images, as the original model reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch


@dataclass(frozen=True)
class Picture:
    """An image, or a tile of one, as the original vision encoder reads it.

    Attributes:
        arguments: of transformers' ``get_image_features``.
        order: int64 ``[rows]``: which of the original's rows stands at each place of the program.
        tokens: int64 ``[tokens]``: which token is that of each row of its output.
    """

    arguments: Mapping[str, torch.Tensor]
    order: torch.Tensor
    tokens: torch.Tensor


PIXELS = ("pixel_values", "image_grid_thw")
"""The arguments of an original that say what is shown, as its processor gives them."""


@dataclass(frozen=True)
class ReferenceInputs:
    """Token ids and the pixels that go with them, one sequence.

    Attributes:
        input_ids: int64 ``[1, seq]``; each image is a run of image tokens.
        token_types: int64 ``[1, seq]``: 0 text, 1 image.
        pictures: of :data:`PIXELS` those that the original takes; the first dimension of each
            runs through the images.
    """

    input_ids: torch.Tensor
    token_types: torch.Tensor
    pictures: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens in the sequence."""
        return self.input_ids.shape[1]

    def followed_by(self, token_ids: Sequence[int]) -> ReferenceInputs:
        """The sequence with text tokens appended, such as an answer."""
        added = torch.tensor([list(token_ids)], dtype=torch.int64)
        return replace(
            self,
            input_ids=torch.cat([self.input_ids, added], dim=1),
            token_types=torch.cat([self.token_types, torch.zeros_like(added)], dim=1),
        )


@dataclass(frozen=True)
class Embedded:
    """A sequence as the decoder receives it, on the CPU.

    Attributes:
        inputs_embeds: float32 ``[1, seq, hidden]``, image features in place of image tokens.
        position_ids: int64 ``[3, seq]``: time, height and width (M-RoPE).
        token_types: int8 ``[seq]``: 0 text, 1 image.
        deepstack: what the first layers add, by the name of the captured decoder's input: float32
            ``[1, seq, hidden]``, zero where no image is.
    """

    inputs_embeds: torch.Tensor
    position_ids: torch.Tensor
    token_types: torch.Tensor
    deepstack: Mapping[str, torch.Tensor] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Tokens in the sequence."""
        return self.inputs_embeds.shape[1]

    def followed_by(self, rows: torch.Tensor) -> Embedded:
        """The sequence with text tokens appended, whose embeddings are ``rows`` [1, more, hidden].

        Positions of text count up behind the highest before it.
        """
        count = rows.shape[1]
        positions = self.position_ids.max() + 1 + torch.arange(count).expand(3, -1)
        zeros = torch.zeros_like(rows)
        return Embedded(
            torch.cat([self.inputs_embeds, rows], 1),
            torch.cat([self.position_ids, positions], 1),
            torch.cat([self.token_types, torch.zeros(count, dtype=torch.int8)]),
            {name: torch.cat([each, zeros], 1) for name, each in self.deepstack.items()},
        )
