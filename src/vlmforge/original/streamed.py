"""The original Hugging Face model, one module's weights in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from vlmforge.capture.check import Observer
from vlmforge.capture.text import DEEPSTACK
from vlmforge.families.decoder import Decoder
from vlmforge.families.tower import Tower
from vlmforge.original.deepstack import deepstack_arguments
from vlmforge.original.model import empty_model
from vlmforge.source.checkpoint import Checkpoint


def load_streamed(checkpoint: Checkpoint) -> PreTrainedModel:
    """The original model in float32, its parameters read just before each module runs.

    The model is built on the ``meta`` device; hooks read a module's own parameters from the
    checkpoint and drop them after its forward, so no float copy of the model is ever held.
    """
    model = empty_model(checkpoint)
    for path, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            _stream(checkpoint, path, module)
    return model


def _stream(checkpoint: Checkpoint, path: str, module: nn.Module) -> None:
    names = [name for name, _ in module.named_parameters(recurse=False)]
    canonical = checkpoint.family.canonical(path)
    empty = {name: getattr(module, name) for name in names}

    def materialize(module: nn.Module, arguments: object) -> None:
        for name in names:
            weight = checkpoint.weight(f"{canonical}.{name}").load()
            setattr(module, name, nn.Parameter(weight, requires_grad=False))

    def release(module: nn.Module, arguments: object, output: object) -> None:
        for name in names:
            setattr(module, name, empty[name])

    module.register_forward_pre_hook(materialize)
    module.register_forward_hook(release)


@torch.no_grad()
def run_decoder(
    model: PreTrainedModel, decoder: Decoder, feeds: Mapping[str, Tensor], observe: Observer
) -> None:
    """Run the text side on ``inputs_embeds`` [1, seq, hidden] and ``position_ids`` [3, seq].

    The embeddings are as they enter the decoder; one that multiplies them gets what it multiplies.
    Feeds called ``deepstack_0`` and so on, like the embeddings, are added by the first layers.
    ``observe`` is called with each module's path and output, flattened to rows.
    """
    positions = feeds["position_ids"]
    factor = decoder.multipliers(decoder.part(model.config)).embedding
    added = [each for name, each in feeds.items() if name.startswith(DEEPSTACK)]
    with _Observed(model, observe):
        hidden = model.get_submodule(decoder.path)(
            inputs_embeds=feeds["inputs_embeds"] / factor,
            position_ids=positions[:1] if decoder.positions == "axis" else positions[:, None],
            use_cache=False,
            **deepstack_arguments(added),
        )
        model.lm_head(hidden.last_hidden_state)


@torch.no_grad()
def run_tower(
    model: PreTrainedModel,
    tower: Tower,
    pixel_values: Tensor,
    grid: Tensor,
    order: Tensor,
    observe: Observer,
) -> None:
    """Run the vision side on ``pixel_values`` [patches, 1176] with ``grid`` [images, 3].

    ``order`` [patches] says which patch stands at each place behind the patch embedding, whose own
    rows ``observe`` sees in it, too.
    """

    def observe_in_order(path: str, output: Tensor) -> None:
        embedding = path.startswith(f"{tower.path}.patch_embed")
        observe(path, output.reshape(len(order), -1)[order] if embedding else output)

    with _Observed(model, observe_in_order):
        model.get_submodule(tower.path)(pixel_values, grid_thw=grid)


class _Observed:
    def __init__(self, model: nn.Module, observe: Observer) -> None:
        self.model, self.observe = model, observe

    def __enter__(self) -> None:
        self.handles = [
            module.register_forward_hook(self._hook(path))
            for path, module in self.model.named_modules()
        ]

    def _hook(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if isinstance(tensor, Tensor):
                self.observe(path, tensor.flatten(0, -2))

        return hook

    def __exit__(self, *exception: object) -> None:
        for handle in self.handles:
            handle.remove()
