"""TextReference: the original model's predictions of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from vlmforge.families.decoder import Decoder
from vlmforge.original.model import load_model
from vlmforge.original.reference import torch_device
from vlmforge.source.checkpoint import Checkpoint


@dataclass(frozen=True)
class TextReference:
    """The original model reading plain text, in float32.

    Attributes:
        model: transformers' model, whole.
        decoder: of its family.
    """

    model: PreTrainedModel
    decoder: Decoder

    @staticmethod
    def load(checkpoint: Checkpoint, device: str = "cpu") -> TextReference:
        """Load the model on ``"cpu"`` or ``"gpu"``; raises :class:`SourceError`."""
        target = torch_device(device)
        return TextReference(load_model(checkpoint).to(target), checkpoint.family.decoder)

    def logits(
        self, token_ids: np.ndarray, spans: Sequence[tuple[int, int]]
    ) -> Iterator[np.ndarray]:
        """The logits of some rows of a sequence, float32 ``[stop - start, vocab]`` for each span.

        Args:
            token_ids: int64 ``[seq]``.
            spans: ``(start, stop)`` of rows; row t predicts token t + 1.
        """
        hidden = self._hidden(torch.from_numpy(token_ids))
        for start, stop in spans:
            yield self._head(hidden[start:stop]).numpy()

    @torch.inference_mode()
    def _hidden(self, token_ids: torch.Tensor) -> torch.Tensor:
        decoder = self.model.get_submodule(self.decoder.path)
        ids = token_ids[None].to(self.model.device)
        states: torch.Tensor = decoder(input_ids=ids, use_cache=False).last_hidden_state[0]
        return states

    @torch.inference_mode()
    def _head(self, hidden: torch.Tensor) -> torch.Tensor:
        factor = self.decoder.multipliers(self.decoder.part(self.model.config)).logits
        logits: torch.Tensor = self.model.lm_head(hidden) * factor
        return logits.float().cpu()
