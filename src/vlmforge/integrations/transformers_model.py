"""MobilintQwen2VLForConditionalGeneration: a package behind Hugging Face's model interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlmforge.errors import RunError
from vlmforge.integrations.transformers_cache import MobilintCache
from vlmforge.integrations.transformers_config import MobilintQwen2VLConfig
from vlmforge.run.context import Context
from vlmforge.run.inputs import Inputs
from vlmforge.run.reading import Reading, read_all
from vlmforge.run.session import Session
from vlmforge.run.vision import ImageFeatures


class MobilintQwen2VLForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Runs a package's programs; it has no torch parameters and computes on the CPU.

    Args:
        config: of the package.
        session: the opened package.
    """

    config_class = MobilintQwen2VLConfig
    main_input_name = "input_ids"
    input_modalities = ("image", "text")

    def __init__(self, config: MobilintQwen2VLConfig, session: Session) -> None:
        super().__init__(config)
        self.session = session

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *args: Any,
        config: MobilintQwen2VLConfig | None = None,
        **kwargs: Any,
    ) -> MobilintQwen2VLForConditionalGeneration:
        """Open a package directory; options about dtypes and devices have no effect.

        Raises:
            PackageError: a file is missing, altered or of another model.
        """
        path = pretrained_model_name_or_path
        model = cls(config or MobilintQwen2VLConfig.from_pretrained(path), Session.open(path))
        model.generation_config = _generation_config(path)
        return model.eval()

    @property
    def device(self) -> torch.device:
        """The CPU: inputs elsewhere are copied, logits go back to where the inputs are."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of the logits."""
        return torch.float32

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        past_key_values: MobilintCache | None = None,
        pixel_values: torch.Tensor | None = None,
        image_grid_thw: torch.Tensor | None = None,
        mm_token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the tokens.

        Args:
            input_ids: int64 ``[batch, seq]``; the sequences run side by side.
            attention_mask: ``[batch, past + seq]``, 0 where padded.
            past_key_values: read and extended.
            pixel_values: float32 ``[patches, channels * temporal * patch²]`` of the processor.
            image_grid_thw: int64 ``[images, 3]``.
            mm_token_type_ids, position_ids: not needed; the package's positions follow from the
                token ids.
            logits_to_keep: how many last positions, 0 for all, or their indexes.

        Raises:
            RunError: an input the package cannot serve.
        """
        _refuse(kwargs)
        cache = self._new_cache() if past_key_values is None else past_key_values
        if not isinstance(cache, MobilintCache):
            raise RunError("past_key_values is no MobilintCache", mend="leave it out")
        images = self._image_features(pixel_values, image_grid_thw)
        tokens, mask = input_ids.cpu().numpy(), _token_mask(input_ids, attention_mask)
        wanted = _positions(tokens.shape[1], logits_to_keep)
        contexts = cache.rows(len(tokens))
        inputs = [
            self._inputs(ids[keep], images, context.length)
            for context, ids, keep in zip(contexts, tokens, mask, strict=True)
        ]
        if images:
            raise RunError(f"there are {len(images)} images more than image tokens")
        rows = _read(cache, inputs, mask, wanted)
        cache.advance(tokens.shape[1])
        logits = torch.from_numpy(np.stack(rows)).to(input_ids.device)
        held = None if use_cache is False else cache
        return CausalLMOutputWithPast(logits=logits, past_key_values=held)

    def _new_cache(self) -> MobilintCache:
        return MobilintCache(self.session.new_context)

    def _inputs(self, token_ids: np.ndarray, images: list[ImageFeatures], past: int) -> Inputs:
        """The tokens with as many of the images as they have room for; those are used up.

        A single token behind others is one the model generated, whatever its id.
        """
        if past > 0 and len(token_ids) == 1 and not images:
            return Inputs.plain(token_ids)
        image_token = self.session.prompts.image_token_id
        used = int((token_ids == image_token).sum()) // self.session.prompts.image_tokens
        taken, images[:used] = images[:used], []
        return Inputs.of(token_ids, image_token, taken)

    def _image_features(
        self, pixel_values: torch.Tensor | None, grids: torch.Tensor | None
    ) -> list[ImageFeatures]:
        if pixel_values is None:
            return []
        preprocess, vision = self.session.preprocess, self.session.vision
        if preprocess is None or vision is None:
            raise RunError("the package has no vision program", where=self.session.package.dir)
        compiled = [1, *(cells * preprocess.merge_size for cells in preprocess.grid)]
        if grids is None or any(grid != compiled for grid in grids.tolist()):
            raise RunError(
                f"image_grid_thw is {None if grids is None else grids.tolist()}, the vision "
                f"program was compiled for {compiled}",
                mend="use AutoProcessor.from_pretrained(PACKAGE)",
            )
        patches = pixel_values.float().cpu().numpy().reshape(len(grids), -1, pixel_values.shape[-1])
        return vision.many([preprocess.arrange(image) for image in patches])

    def _prepare_cache_for_generation(
        self, generation_config: GenerationConfig, model_kwargs: dict[str, Any], *args: Any
    ) -> None:
        """Give ``generate`` a cache of this kind, unless the caller brought one or wants none."""
        if model_kwargs.get("past_key_values") is None and generation_config.use_cache:
            model_kwargs["past_key_values"] = self._new_cache()

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Repeat sequences for ``num_return_sequences`` and beams, each with its images."""
        pixels, grids = kwargs.pop("pixel_values", None), kwargs.pop("image_grid_thw", None)
        if pixels is not None and input_ids is not None and grids is not None:
            prompts = self.session.prompts
            counts = (input_ids == prompts.image_token_id).sum(1) // prompts.image_tokens
            order = _repeated(counts.tolist(), expand_size)
            pixels = pixels.reshape(len(grids), -1, pixels.shape[-1])[order].flatten(0, 1)
            grids = grids[order]
        ids, expanded = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )
        images = {"pixel_values": pixels, "image_grid_thw": grids}
        return ids, {**expanded, **{k: v for k, v in images.items() if v is not None}}


def _repeated(counts: list[int], times: int) -> list[int]:
    """Indexes of images when each sequence, with its count of them, is repeated in place."""
    ends = np.cumsum(counts)
    spans = [range(end - count, end) for end, count in zip(ends, counts, strict=True)]
    return [int(index) for span in spans for _ in range(times) for index in span]


def _read(
    cache: MobilintCache, inputs: list[Inputs], mask: np.ndarray, wanted: np.ndarray
) -> list[np.ndarray]:
    """Read a batch, equal sequences once; the logits of each row, float32 ``[wanted, vocab]``."""
    first: dict[object, int] = {}
    same = [
        first.setdefault(_identity(*row), at)
        for at, row in enumerate(zip(cache.contexts, inputs, mask, strict=True))
    ]
    readings = {
        at: Reading(cache.contexts[at], inputs[at], _span(mask[at], wanted))
        for at in first.values()
    }
    logits = dict(zip(readings, read_all(list(readings.values())), strict=True))
    for row, of in enumerate(same):
        if row != of:
            cache.share(row, of)
    return [_scatter(logits[of], mask[of], wanted) for of in same]


def _identity(context: Context, inputs: Inputs, keep: np.ndarray) -> object:
    """Equal for sequences that begin now and read the same in the same places."""
    if context.length > 0:
        return id(context)
    return inputs.keys.tobytes(), keep.tobytes()


def _from_end(keep: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The wanted tokens, padding left out, counted from the end: 1 is the last."""
    return keep.sum() + 1 - np.cumsum(keep)[wanted[keep[wanted]]]


def _span(keep: np.ndarray, wanted: np.ndarray) -> int:
    """How many last tokens the wanted ones are among."""
    return int(_from_end(keep, wanted).max(initial=1))


def _scatter(rows: np.ndarray, keep: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Logits of the last tokens at the wanted positions, ``[wanted, vocab]``, zero at padding."""
    logits = np.zeros((len(wanted), rows.shape[1]), np.float32)
    logits[keep[wanted]] = rows[-_from_end(keep, wanted)]
    return logits


def _token_mask(input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> np.ndarray:
    """bool ``[batch, seq]``, false at padding."""
    if attention_mask is None:
        return np.ones(tuple(input_ids.shape), bool)
    return attention_mask[:, -input_ids.shape[1] :].cpu().numpy().astype(bool)


def _positions(length: int, logits_to_keep: int | torch.Tensor) -> np.ndarray:
    """int64 indexes of the positions whose logits are wanted."""
    if isinstance(logits_to_keep, int):
        return np.arange(length)[-logits_to_keep:]
    return np.arange(length)[logits_to_keep.cpu().numpy()]


def _refuse(kwargs: dict[str, Any]) -> None:
    """Raise RunError for inputs that would otherwise be silently ignored."""
    for name in ("inputs_embeds", "pixel_values_videos", "labels", "mm_encoder_outputs"):
        if kwargs.get(name) is not None:
            raise RunError(
                f"a package does not take {name}",
                mend="give input_ids, pixel_values and "
                "image_grid_thw as the package's processor does",
            )


def _generation_config(path: str | os.PathLike[str]) -> GenerationConfig:
    if (Path(path) / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(path)
    return GenerationConfig.from_model_config(MobilintQwen2VLConfig.from_pretrained(path))
