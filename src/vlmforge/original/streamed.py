"""The original Hugging Face model, one module's weights in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear
from transformers import PreTrainedModel

from vlmforge.original.model import empty_model, read_generation
from vlmforge.source.checkpoint import Checkpoint

BLOCK = 1 << 24
"""Elements of a weight that are converted at once, where its products allow."""


def load_streamed(
    checkpoint: Checkpoint,
    dtype: torch.dtype = torch.float32,
    place: torch.device | None = None,
) -> PreTrainedModel:
    """The original model, its parameters read just before each module runs.

    The model is built on the ``meta`` device; hooks read a module's own parameters from the
    checkpoint and drop them after its forward, so no copy of the model is ever held. Of token
    embeddings only the rows asked for are read, and a large product, such as the logits', is
    computed some rows of its weight after others. Parameters stored in ``dtype`` are not even
    copied: pages of the file, which the system drops and reads again as memory allows.

    Args:
        checkpoint: of the model.
        dtype: of weights and arithmetic.
        place: where it computes; the CPU by default.

    Raises:
        SourceError: transformers can build no model of these settings, or not read them.
    """
    model = empty_model(checkpoint)
    read_generation(model, checkpoint)
    if place is not None and place.type != "cpu":
        _move_buffers(model, place)
    for path, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            _Streamed(checkpoint, checkpoint.family.canonical(path), dtype, place).attach(module)
    return model


@dataclass(frozen=True)
class _Streamed:
    """How the parameters of one module come into memory.

    Attributes:
        checkpoint: that holds them.
        path: of the module, canonical.
        dtype, place: of its arithmetic.
    """

    checkpoint: Checkpoint
    path: str
    dtype: torch.dtype
    place: torch.device | None

    def attach(self, module: nn.Module) -> None:
        """Let a module on the ``meta`` device read its parameters when it runs."""
        empty = {
            name: nn.Parameter(torch.empty_like(each, dtype=self.dtype), requires_grad=False)
            for name, each in module.named_parameters(recurse=False)
        }
        _assign(module, empty)
        if isinstance(module, nn.Embedding):
            module.forward = self._look_up  # type: ignore[method-assign, assignment]
        elif isinstance(module, nn.Linear) and _is_large(empty):
            module.forward = self._product  # type: ignore[method-assign, assignment]
        else:
            module.register_forward_pre_hook(lambda module, _: _assign(module, self._read(empty)))
            module.register_forward_hook(lambda module, *_: _assign(module, empty))

    def _read(self, names: Iterable[str]) -> dict[str, nn.Parameter]:
        return {name: nn.Parameter(self._converted(self._stored(name)), False) for name in names}

    def _stored(self, name: str) -> Tensor:
        return self.checkpoint.stored(f"{self.path}.{name}")

    def _converted(self, stored: Tensor) -> Tensor:
        return stored.to(self.place, self.dtype)

    def _look_up(self, ids: Tensor) -> Tensor:
        return self._converted(embedding(ids.cpu(), self._stored("weight")))

    def _product(self, value: Tensor) -> Tensor:
        stored = self._stored("weight")
        blocks = stored.split(max(1, BLOCK // stored.shape[1]))
        return torch.cat([linear(value, self._converted(rows)) for rows in blocks], -1)


def _is_large(parameters: Mapping[str, nn.Parameter]) -> bool:
    """Whether a product of these parameters is computed in blocks; one with a bias is not."""
    return parameters.keys() == {"weight"} and parameters["weight"].numel() > BLOCK


def _assign(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    for name, parameter in parameters.items():
        setattr(module, name, parameter)


def _move_buffers(model: nn.Module, place: torch.device) -> None:
    """What no checkpoint stores, such as the frequencies of RoPE."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if not buffer.is_meta:
                module.register_buffer(name, buffer.to(place), persistent=False)
