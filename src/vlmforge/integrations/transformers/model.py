"""Packages behind Hugging Face's model interface."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from vlmforge.decode.context import require_room
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.vision import ImageFeatures
from vlmforge.errors import RunError
from vlmforge.families.family import Family
from vlmforge.images.pictures import Pictures
from vlmforge.integrations.transformers.batch import positions, read_batch, token_mask
from vlmforge.integrations.transformers.cache import MobilintCache
from vlmforge.integrations.transformers.images import (
    MODALITIES,
    Modality,
    Shown,
    as_patches,
    popped,
    type_ids,
    visuals,
)
from vlmforge.integrations.transformers.verified import package_directory, verifying
from vlmforge.prompt.encoder import blind
from vlmforge.prompt.spans import VIDEO
from vlmforge.run.session import Session

if TYPE_CHECKING:
    from typing_extensions import Self


@verifying
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
        """Open a package, by its directory or its name on the Hub.

        ``revision`` and the options of :data:`DOWNLOAD` are those of other models; ``verify_key``
        is the file of a public key. Options about dtypes and devices have no effect.

        Raises:
            PackageError: a file is missing, altered or of another model.
            SignatureError: it is not signed with the key, or not as it was signed.
        """
        path = package_directory(pretrained_model_name_or_path, kwargs)
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
        pixel_values_videos: torch.Tensor | None = None,
        video_grid_thw: torch.Tensor | None = None,
        second_per_grid_ts: torch.Tensor | None = None,
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
            pixel_values: float32 ``[patches, channels * temporal * patch²]`` of the processor, or
                of tiles ``[tiles, 3, height, width]``.
            image_grid_thw: int64 ``[images, 3]``, not of tiles: 1, rows and columns of patches.
            pixel_values_videos, video_grid_thw: the same of videos, of each the slices first.
            second_per_grid_ts: float32 ``[videos]``: seconds a slice, for models that ask; else 1.
            mm_token_type_ids: int64 ``[batch, seq]``, 1 where a token stands for an image, 2 for a
                video; by default all image and video tokens do.
            position_ids: not needed; the package's positions follow from the token ids.
            logits_to_keep: how many last positions, 0 for all, or their indexes.

        Raises:
            RunError: an input the package cannot serve.
        """
        _refuse(kwargs)
        cache = self._new_cache() if past_key_values is None else past_key_values
        if not isinstance(cache, MobilintCache):
            raise RunError("past_key_values is no MobilintCache", mend="leave it out")
        tokens, mask = input_ids.cpu().numpy(), token_mask(input_ids, attention_mask)
        wanted = positions(tokens.shape[1], logits_to_keep)
        contexts = cache.rows(len(tokens))
        for context, keep in zip(contexts, mask, strict=True):
            require_room(int(keep.sum()), context.length, context.capacity)
        videos = (pixel_values_videos, video_grid_thw, second_per_grid_ts)
        shown = ((pixel_values, image_grid_thw, None), videos)
        features = {m.kind: self._features(m, *s) for m, s in zip(MODALITIES, shown, strict=True)}
        types = self._token_types(input_ids, mm_token_type_ids)
        inputs = [
            self._inputs(ids[keep], kinds[keep], features, context.length)
            for context, ids, kinds, keep in zip(contexts, tokens, types, mask, strict=True)
        ]
        if left := sum(map(len, features.values())):
            raise RunError(f"there are {left} images more than image tokens")
        rows = read_batch(cache, inputs, mask, wanted)
        cache.advance(tokens.shape[1])
        logits = torch.from_numpy(np.stack(rows)).to(input_ids.device)
        held = None if use_cache is False else cache
        return CausalLMOutputWithPast(logits=logits, past_key_values=held)

    def _new_cache(self) -> MobilintCache:
        return MobilintCache(self.session.new_context)

    def _token_types(self, input_ids: torch.Tensor, types: torch.Tensor | None) -> np.ndarray:
        """``[batch, seq]``: what each token stands for, by its id and by what is said of it."""
        by_id = self.session.prompts.placeholders.types(input_ids.cpu().numpy())
        return by_id * (by_id == self._types(input_ids, types).cpu().numpy())

    def _inputs(
        self,
        token_ids: np.ndarray,
        types: np.ndarray,
        features: dict[int, deque[ImageFeatures]],
        past: int,
    ) -> Inputs:
        """The tokens with as many of the images as they have room for; those are used up.

        A single token behind others is one the model generated, whatever its id.
        """
        if past > 0 and len(token_ids) == 1 and not any(features.values()):
            return Inputs.plain(token_ids)
        return Inputs.of(token_ids, types, features)

    def _features(
        self,
        modality: Modality,
        pixels: torch.Tensor | None,
        grids: torch.Tensor | None,
        seconds: torch.Tensor | None = None,
    ) -> deque[ImageFeatures]:
        if pixels is None:
            return deque()
        shown: dict[str, Any] = {modality.pixels: pixels, modality.grids: grids}
        shown = as_patches(shown, modality, self._pictures.layout)
        paces = self._paces(grids, seconds) if modality.seconds else None
        given = (shown[modality.pixels], shown[modality.grids])
        found = visuals(*given, self._pictures, modality.grids, paces)
        if modality.kind == VIDEO and self._timed:
            found = [part for each in found for part in each.slices]
        return deque(self.session.encode(found))

    def _paces(self, grids: torch.Tensor | None, seconds: torch.Tensor | None) -> list[float]:
        """Of each video; RunError if there are not as many seconds."""
        videos = 0 if grids is None else len(grids)
        given = [1.0] * videos if seconds is None else torch.as_tensor(seconds).float().tolist()
        if len(given) != videos:
            raise RunError(
                f"second_per_grid_ts has {len(given)} numbers for {videos} videos",
                mend="give one a video, as the package's processor does, or leave it out",
            )
        preprocess = self.session.preprocess
        return [1.0] * videos if preprocess is None else list(map(preprocess.videos.pace, given))

    @property
    def _timed(self) -> bool:
        """Whether slices of videos are shown one by one."""
        preprocess = self.session.preprocess
        return preprocess is not None and preprocess.videos.clip is not None

    @property
    def _pictures(self) -> Pictures:
        """Those that the vision program reads; RunError if there is none."""
        if self.session.preprocess is None:
            raise blind()
        return self.session.preprocess.images.pictures

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
        """Repeat sequences for ``num_return_sequences`` and beams, each with what it shows."""
        repeated: dict[str, Any] = {}
        for modality in MODALITIES:
            if (values := self._popped(kwargs, modality)) and input_ids is not None:
                types = self._types(input_ids, kwargs.get("mm_token_type_ids"))
                kwargs["mm_token_type_ids"] = types
                repeated |= self._shown(modality, values, types).repeated(expand_size)
        ids, expanded = super()._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )
        return ids, {**expanded, **repeated}

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        next_sequence_length: int | None = None,
        past_key_values: MobilintCache | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """What :meth:`forward` is given in a step of ``generate``.

        Guesses behind the tokens so far stand for nothing shown, and what the cache holds is left
        out, as where an assistant is asked again.
        """
        held = 0 if past_key_values is None else past_key_values.get_seq_length()
        types = kwargs.get("mm_token_type_ids")
        if types is not None:
            types = self._types(input_ids, types)
            kwargs |= {"mm_token_type_ids": types, **self._unread(kwargs, types, held)}
        if held == 0:  # what an assistant reads first is not called a first iteration
            kwargs["is_first_iteration"] = True
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, next_sequence_length, past_key_values, **kwargs
        )
        return inputs

    def _unread(self, kwargs: dict[str, Any], types: torch.Tensor, held: int) -> dict[str, Any]:
        """What of the images and videos, taken from the arguments, the cache does not hold."""
        unread: dict[str, Any] = {}
        for modality in MODALITIES:
            if values := self._popped(kwargs, modality):
                shown = self._shown(modality, values, types)
                unread |= shown.remaining(types[:, :held]) if held else values
        return unread

    def _popped(self, kwargs: dict[str, Any], modality: Modality) -> dict[str, Any]:
        """What is shown of a modality, taken from the arguments; tiles as patches."""
        if kwargs.get(modality.pixels) is not None:
            kwargs |= as_patches(kwargs, modality, self._pictures.layout)
        return popped(kwargs, modality)

    def _types(self, input_ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        return type_ids(input_ids, types, self.session.prompts.placeholders)

    def _shown(self, modality: Modality, values: dict[str, Any], types: torch.Tensor) -> Shown:
        return Shown(modality, values, types, self._pictures.layout.merge_size)


def model_class(family: Family, config: type[PreTrainedConfig]) -> type[MobilintModel]:
    """The model of a family's packages, called as their ``config.json`` does."""
    facts = {
        "__module__": __name__,
        "config_class": config,
        "input_modalities": _modalities(family),
    }
    return type(family.package_architecture, (MobilintModel,), facts)


def _modalities(family: Family) -> tuple[str, ...]:
    if family.tower is None:
        return ("text",)
    return ("image", "text") if family.processor.shown == "unseen" else ("image", "video", "text")


def _refuse(kwargs: dict[str, Any]) -> None:
    """Raise RunError for inputs that would otherwise be silently ignored."""
    for name in ("inputs_embeds", "labels", "mm_encoder_outputs"):
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
