"""The original model run part by part, with the output of every module observed."""

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
from vlmforge.original.inputs import Picture


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
def run_tower(model: PreTrainedModel, tower: Tower, picture: Picture, observe: Observer) -> None:
    """Run the vision side on a picture; ``observe`` sees rows in the order of the program."""
    scaled = {
        f"{tower.path}.{tower.original(f'blocks.{block}.{product}')}": parameter
        for block in range(tower.sizes(model.config).depth)
        for product, parameter in tower.scales.items()
    }

    def seen(path: str, rows: Tensor) -> None:
        if path in scaled:
            rows = rows * _parameter(model, path, scaled[path])
        if path.startswith(f"{tower.path}.{tower.raw}") and len(rows) == len(picture.order):
            rows = rows[picture.order]
        observe(path, rows)

    with _Observed(model, seen, beside=tower.class_token is not None):
        model.model.get_image_features(**tower.given(picture.arguments))


def _parameter(model: PreTrainedModel, path: str, name: str) -> Tensor:
    """The parameter of the nearest module around another that has one of this name."""
    while not hasattr(module := model.get_submodule(path), name):
        path = path.rpartition(".")[0]
    found: Tensor = getattr(module, name)
    return found


class _Observed:
    """Observes the modules of a model while it runs.

    Args:
        model: whose modules.
        observe: is called with each module's path and output, flattened to rows.
        beside: whether the rows of a convolution stand behind that of a patch of zeros.
    """

    def __init__(self, model: nn.Module, observe: Observer, *, beside: bool = False) -> None:
        self.model, self.observe, self.beside = model, observe, beside

    def __enter__(self) -> None:
        self.handles = [
            module.register_forward_hook(self._hook(path), prepend=True)
            for path, module in self.model.named_modules()
        ]

    def _hook(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            if isinstance(tensor, Tensor):
                self.observe(path, self._rows(module, tensor))

        return hook

    def _rows(self, module: nn.Module, output: Tensor) -> Tensor:
        if not isinstance(module, (nn.Conv2d, nn.Conv3d)):
            return output.flatten(0, -2)
        rows = output.flatten(2).transpose(1, 2).flatten(0, 1)
        if not self.beside:
            return rows
        zeros = torch.zeros_like(rows[:1]) if module.bias is None else module.bias[None]
        return torch.cat([zeros, rows])

    def __exit__(self, *exception: object) -> None:
        for handle in self.handles:
            handle.remove()
