"""Packages behind Hugging Face's model interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlmforge.decode.inputs import Inputs
from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError
from vlmforge.families.family import Family
from vlmforge.integrations.transformers.batch import positions, read_batch, token_mask
from vlmforge.integrations.transformers.cache import MobilintCache
from vlmforge.integrations.transformers.images import (
    IMAGE,
    remaining,
    repeated,
    select_images,
    type_ids,
    visuals,
)
from vlmforge.run.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self


class MobilintModel(PreTrainedModel, GenerationMixin):
    """Runs a package's programs; it has no torch parameters and computes on the CPU.

    Args:
        config: of the package.
        session: the opened package.
    """

    main_input_name = "input_ids"

    def __init__(self, config: PreTrainedConfig, session: Session) -> None:
        super().__init__(config)
        self.session = session

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *args: Any,
        config: PreTrainedConfig | None = None,
        **kwargs: Any,
    ) -> Self:
        """Open a package directory; options about dtypes and devices have no effect.

        Raises:
            PackageError: a file is missing, altered or of another model.
        """
        path = pretrained_model_name_or_path
        config = config or cls.config_class.from_pretrained(path)
        model = cls(config, Session.open(path))
        model.generation_config = _generation_config(path, config)
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
            mm_token_type_ids: int64 ``[batch, seq]``, 1 where a token stands for an image; by
                default all image tokens do.
            position_ids: not needed; the package's positions follow from the token ids.
            logits_to_keep: how many last positions, 0 for all, or their indexes.

        Raises:
            RunError: an input the package cannot serve.
        """
        _refuse(kwargs)
        cache = self._new_cache() if past_key_values is None else past_key_values
        if not isinstance(cache, MobilintCache):
            raise RunError("past_key_values is no MobilintCache", mend="leave it out")
        images = self._image_features(pixel_values, image_grid_thw)
        tokens, mask = input_ids.cpu().numpy(), token_mask(input_ids, attention_mask)
        wanted = positions(tokens.shape[1], logits_to_keep)
        contexts = cache.rows(len(tokens))
        seen = self._image_tokens(input_ids, mm_token_type_ids)
        inputs = [
            self._inputs(ids[keep], is_image[keep], images, context.length)
            for context, ids, is_image, keep in zip(contexts, tokens, seen, mask, strict=True)
        ]
        if images:
            raise RunError(f"there are {len(images)} images more than image tokens")
        rows = read_batch(cache, inputs, mask, wanted)
        cache.advance(tokens.shape[1])
        logits = torch.from_numpy(np.stack(rows)).to(input_ids.device)
        held = None if use_cache is False else cache
        return CausalLMOutputWithPast(logits=logits, past_key_values=held)

    def _new_cache(self) -> MobilintCache:
        return MobilintCache(self.session.new_context)

    def _image_tokens(self, input_ids: torch.Tensor, types: torch.Tensor | None) -> np.ndarray:
        """bool ``[batch, seq]``: which tokens stand for images."""
        token = self.session.prompts.image_token_id
        is_image = (type_ids(input_ids, types, token) == IMAGE) & (input_ids == token)
        found: np.ndarray = is_image.cpu().numpy()
        return found

    def _inputs(
        self, token_ids: np.ndarray, is_image: np.ndarray, images: list[ImageFeatures], past: int
    ) -> Inputs:
        """The tokens with as many of the images as they have room for; those are used up.

        A single token behind others is one the model generated, whatever its id.
        """
        if past > 0 and len(token_ids) == 1 and not images:
            return Inputs.plain(token_ids)
        used = int(is_image.sum()) // self.session.prompts.image_tokens
        taken, images[:used] = images[:used], []
        return Inputs.of(token_ids, is_image, taken)

    def _image_features(
        self, pixel_values: torch.Tensor | None, grids: torch.Tensor | None
    ) -> list[ImageFeatures]:
        if pixel_values is None:
            return []
        preprocess, vision = self.session.preprocess, self.session.vision
        if preprocess is None or vision is None:
            raise RunError("the package has no vision program", where=self.session.package.dir)
        return vision.many(visuals(pixel_values, grids, preprocess.pictures))

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
        images = _popped_images(kwargs)
        if images and input_ids is not None:
            kwargs["mm_token_type_ids"] = self._types(input_ids, kwargs.get("mm_token_type_ids"))
            order = repeated(self._images_in(kwargs["mm_token_type_ids"]), expand_size)
            images = select_images(images, order)
        ids, expanded = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )
        return ids, {**expanded, **images}

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        next_sequence_length: int | None = None,
        past_key_values: MobilintCache | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What :meth:`forward` is given in a step of ``generate``.

        Guesses behind the tokens so far stand for no images, and images that the cache holds are
        left out, as where an assistant is asked again.
        """
        held = 0 if past_key_values is None else past_key_values.get_seq_length()
        types = kwargs.get("mm_token_type_ids")
        if types is not None:
            types = kwargs["mm_token_type_ids"] = self._types(input_ids, types)
        if types is not None and held > 0 and (images := _popped_images(kwargs)):
            counts, read = self._images_in(types), self._images_in(types[:, :held])
            kwargs |= select_images(images, remaining(counts, read))
        if held == 0:  # what an assistant reads first is not called a first iteration
            kwargs["is_first_iteration"] = True
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, next_sequence_length, past_key_values, **kwargs
        )
        return inputs

    def _types(self, input_ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        return type_ids(input_ids, types, self.session.prompts.image_token_id)

    def _images_in(self, types: torch.Tensor) -> list[int]:
        """How many images each sequence has."""
        counts: list[int] = ((types == IMAGE).sum(1) // self.session.prompts.image_tokens).tolist()
        return counts


def model_class(family: Family, config: type[PreTrainedConfig]) -> type[MobilintModel]:
    """The model of a family's packages, called as their ``config.json`` does."""
    sees = family.tower is not None
    facts = {
        "__module__": __name__,
        "config_class": config,
        "input_modalities": ("image", "text") if sees else ("text",),
    }
    return type(family.package_architecture, (MobilintModel,), facts)


def _popped_images(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The images among the arguments of a model, taken out; empty if there are none."""
    images = {name: kwargs.pop(name, None) for name in ("pixel_values", "image_grid_thw")}
    return {} if any(value is None for value in images.values()) else images


def _refuse(kwargs: dict[str, Any]) -> None:
    """Raise RunError for inputs that would otherwise be silently ignored."""
    for name in ("inputs_embeds", "pixel_values_videos", "labels", "mm_encoder_outputs"):
        if kwargs.get(name) is not None:
            raise RunError(
                f"a package does not take {name}",
                mend="give input_ids, pixel_values and "
                "image_grid_thw as the package's processor does",
            )


def _generation_config(path: str | os.PathLike[str], config: PreTrainedConfig) -> GenerationConfig:
    if (Path(path) / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(path)
    return GenerationConfig.from_model_config(config)
