"""ReferenceInputs: a question about images, as the original model reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch


@dataclass(frozen=True)
class ReferenceInputs:
    """Token ids and the pixels that go with them, one sequence.

    Attributes:
        input_ids: int64 ``[1, seq]``; each image is a run of image tokens.
        token_types: int64 ``[1, seq]``: 0 text, 1 image.
        pixel_values: float32 ``[patches, channels * temporal * patch * patch]``, if any image.
        grid: int64 ``[images, 3]``: time, rows and columns of patches, if any image.
    """

    input_ids: torch.Tensor
    token_types: torch.Tensor
    pixel_values: torch.Tensor | None = None
    grid: torch.Tensor | None = None

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
