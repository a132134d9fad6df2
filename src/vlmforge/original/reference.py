"""ReferenceModel: the original model in floating point, run by transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vlmforge.arithmetic.order import StatedOrder
from vlmforge.capture.text import deepstack_inputs
from vlmforge.errors import SourceError
from vlmforge.families.decoder import Decoder
from vlmforge.families.tower import Tower
from vlmforge.images.layout import FIXED, Layout
from vlmforge.images.pictures import Pictures
from vlmforge.images.reading import read_image
from vlmforge.original.deepstack import deepstack_arguments
from vlmforge.original.greedy import Greedy
from vlmforge.original.inputs import PIXELS, Embedded, ReferenceInputs
from vlmforge.original.model import load_model
from vlmforge.original.streamed import load_streamed
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.source.pictures import pictures_for
from vlmforge.source.processor import load_processor

CPU = torch.device("cpu")

GPU = "cuda"
"""What torch calls ``"gpu"``."""


@dataclass(frozen=True)
class ReferenceAnswer:
    """What the original model says.

    Attributes:
        text: the answer, without special tokens.
        token_ids: of the answer; the end token, if it was reached, is the last.
        logits: float32 ``[len(token_ids), vocab]``: row t predicts ``token_ids[t]``.
    """

    text: str
    token_ids: list[int]
    logits: torch.Tensor


@dataclass
class ReferenceModel:
    """The original model and its processor; always greedy.

    Attributes:
        model: transformers' model.
        processor: makes token ids and pixels of text and images.
        pictures: the sizes of images.
        tower, decoder: of the model's family.
        deepstack: names of the inputs that the first layers of the captured decoder add.
        place: where it computes.
    """

    model: Any
    processor: Any
    pictures: Pictures
    tower: Tower
    decoder: Decoder
    deepstack: tuple[str, ...] = ()
    place: torch.device = CPU

    @staticmethod
    def load(
        checkpoint: Checkpoint,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        layout: Layout = FIXED,
        *,
        streamed: bool = False,
    ) -> ReferenceModel:
        """Load the model.

        Args:
            checkpoint: of the model.
            device: ``"cpu"`` or ``"gpu"``.
            dtype: of weights and arithmetic; bfloat16 halves the memory of float32.
            layout: the sizes of images.
            streamed: whether weights are read each time they are needed, instead of all at once:
                see :func:`vlmforge.original.streamed.load_streamed`.

        Raises:
            SourceError: a weight is missing, or there is no such device.
        """
        target = torch_device(device)
        processor = load_processor(checkpoint.path, checkpoint.family.processor)
        model: Any = (
            load_streamed(checkpoint, dtype, target)
            if streamed
            else load_model(checkpoint, dtype).to(target)
        )
        pictures = pictures_for(checkpoint, layout)
        family, added = checkpoint.family, deepstack_inputs(checkpoint)
        assert family.tower is not None, "the model sees"
        parts = (family.tower, family.decoder)
        return ReferenceModel(model, processor, pictures, *parts, added, target)

    @property
    def stop(self) -> list[int]:
        """The tokens that end an answer."""
        return _token_ids(self.model.generation_config.eos_token_id)

    @property
    def typed(self) -> bool:
        """Whether the model is told what each token stands for, and has three axes of positions."""
        return self.decoder.positions == "mrope"

    def inputs(self, prompt: str, images: Sequence[Image.Image] = ()) -> ReferenceInputs:
        """One user message: the images, resized, and then the prompt; ready to be answered."""
        parts = [{"type": "image"} for _ in images] + [{"type": "text", "text": prompt}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True
        )
        batch = self.processor(
            text=[text],
            images=[self.pictures.given(read_image(image)) for image in images] or None,
            return_tensors="pt",
            **(self.pictures.asked if images else {}),
        )
        types = (batch["input_ids"] == self.processor.image_token_id).long()
        shown = {name: batch[name] for name in PIXELS if name in batch}
        if self.tower.nested:
            shown = {name: values.flatten(0, 1) for name, values in shown.items()}
        return ReferenceInputs(batch["input_ids"], types, shown)

    @torch.inference_mode()
    def embed(self, inputs: ReferenceInputs) -> Embedded:
        """The sequence as the decoder receives it, image features merged."""
        embeds = self._token_rows(inputs.input_ids)
        deepstack = {name: torch.zeros_like(embeds) for name in self.deepstack}
        if inputs.pictures:
            shown = {name: each.to(self.place) for name, each in inputs.pictures.items()}
            with StatedOrder():
                features = self.model.get_image_features(**self.tower.given(shown))
            places = inputs.token_types.to(self.place) == 1
            embeds[places] = torch.cat(tuple(features.pooler_output))
            for name, further in zip(self.deepstack, _further(features), strict=True):
                deepstack[name][places] = torch.cat(tuple(further))
        types = inputs.token_types[0].to(torch.int8)
        added = {name: rows.float().cpu() for name, rows in deepstack.items()}
        return Embedded(embeds.float().cpu(), self._positions(inputs), types, added)

    def followed_by(self, prompt: Embedded, token_ids: Sequence[int]) -> Embedded:
        """A prompt and the text tokens behind it, as :meth:`embed` gives both in one."""
        rows = self._token_rows(torch.tensor([list(token_ids)], dtype=torch.int64))
        return prompt.followed_by(rows.float().cpu())

    @torch.inference_mode()
    def _token_rows(self, token_ids: torch.Tensor) -> torch.Tensor:
        rows: torch.Tensor = self.model.get_input_embeddings()(token_ids.to(self.place))
        return rows

    def _positions(self, inputs: ReferenceInputs) -> torch.Tensor:
        """int64 ``[3, seq]``; where the original has one axis, all three count up."""
        if not self.typed:
            return torch.arange(inputs.length).expand(3, -1)
        positions, _ = self.model.model.get_rope_index(
            inputs.input_ids,
            mm_token_type_ids=inputs.token_types,
            image_grid_thw=inputs.pictures.get("image_grid_thw"),
        )
        found: torch.Tensor = positions[:, 0]
        return found

    def generate(self, inputs: ReferenceInputs, max_new_tokens: int) -> list[int]:
        """The greedy answer's token ids, at most ``max_new_tokens``, the end token included."""
        return self.answers([self.embed(inputs)], max_new_tokens)[0]

    @torch.inference_mode()
    def answers(
        self,
        prompts: Sequence[Embedded],
        max_new_tokens: int,
        on_step: Callable[[int], None] | None = None,
    ) -> list[list[int]]:
        """The greedy answers to prompts read at once; each as :meth:`generate` gives it alone.

        Weights are read once for all of them, where one at a time would read them for each.

        Args:
            prompts: of any lengths, one at least.
            max_new_tokens: most of each answer.
            on_step: is told how many tokens of each answer there are.
        """
        writing = Greedy(prompts, self._decode, self.model.lm_head, self._token_rows)
        return writing.write(self.stop, max_new_tokens, on_step)

    def _decode(
        self,
        inputs_embeds: Tensor,
        position_ids: Tensor,
        mask: Tensor | None,
        deepstack: Sequence[Tensor],
        cache: Any = None,
        use_cache: bool = True,
    ) -> Any:
        """Transformers' output of the decoder for sequences ``[n, seq, hidden]``."""
        dtype, positions = self.model.dtype, position_ids if self.typed else position_ids[0]
        added = [rows.to(self.place, dtype) for rows in deepstack]
        return self.model.get_submodule(self.decoder.path)(
            inputs_embeds=inputs_embeds.to(self.place, dtype),
            position_ids=positions.to(self.place),
            attention_mask=None if mask is None else mask.to(self.place),
            past_key_values=cache,
            use_cache=use_cache,
            **deepstack_arguments(added),
        )

    @torch.inference_mode()
    def logits(
        self,
        inputs_embeds: torch.Tensor,
        position_ids: torch.Tensor,
        start: int = 0,
        deepstack: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Logits of rows ``start ...`` of a sequence: float32 ``[seq - start, vocab]``.

        Args:
            inputs_embeds: ``[1, seq, hidden]``.
            position_ids: int64 ``[3, seq]``.
            start: the first row wanted.
            deepstack: see :class:`Embedded`.
        """
        added = [*(deepstack or {}).values()]
        output = self._decode(inputs_embeds, position_ids[:, None], None, added, use_cache=False)
        logits: torch.Tensor = self.model.lm_head(output.last_hidden_state[0, start:])
        return logits.float().cpu()

    def answer(
        self, image: Path | str | Sequence[Path | str], question: str, max_new_tokens: int = 64
    ) -> ReferenceAnswer:
        """The greedy answer to a question about an image or several, and the logits it came from.

        Raises:
            SourceError: the image cannot be read.
        """
        paths = [image] if isinstance(image, (Path, str)) else image
        prompt = self.embed(self.inputs(question, [read_image(path) for path in paths]))
        (token_ids,) = self.answers([prompt], max_new_tokens)
        embedded = self.followed_by(prompt, token_ids[:-1])
        logits = self.logits(
            embedded.inputs_embeds, embedded.position_ids, prompt.length - 1, embedded.deepstack
        )
        return ReferenceAnswer(self.text(token_ids), token_ids, logits)

    def text(self, token_ids: Sequence[int]) -> str:
        """The tokens as text, without special tokens."""
        text: str = self.processor.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        return text


def _further(features: Any) -> Sequence[Sequence[Tensor]]:
    """The features of a tower that layers add: of each merger, those of each image."""
    return getattr(features, "deepstack_features", None) or ()


def torch_device(device: str) -> torch.device:
    """The torch device called ``"cpu"`` or ``"gpu"`` (also ``"cuda"``).

    Raises:
        SourceError: the name is another, or there is no usable GPU.
    """
    if device == "cpu":
        return torch.device("cpu")
    if device not in ("gpu", "cuda"):
        raise SourceError("there is no such device", where=device, mend="choose cpu or gpu")
    if not torch.cuda.is_available():
        raise SourceError(
            "no GPU can be used",
            where=f"device {device}",
            mend="use --device cpu, or install a CUDA build of PyTorch and its driver",
        )
    return torch.device(GPU)


def _token_ids(ids: int | list[int] | None) -> list[int]:
    if ids is None:
        return []
    return ids if isinstance(ids, list) else [ids]
