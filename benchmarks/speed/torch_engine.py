"""One round of PyTorch with transformers in bfloat16; prints one JSON object.

python torch_engine.py MODEL THREADS IMAGE QUESTION
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2VLForConditionalGeneration

DECODED = 16
"""Tokens generated: fewer than by other engines, for each takes long, and as long as the next."""


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def greedy(model: Any, output: Any, count: int) -> Any:
    for _ in range(count):
        token = output.logits[:, -1:].argmax(-1)
        output = model(input_ids=token, past_key_values=output.past_key_values, use_cache=True)
    return output


def question_inputs(model: str, image: str, question: str) -> dict[str, torch.Tensor]:
    """Token ids with the image's place opened up, and its patches."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    processor = AutoImageProcessor.from_pretrained(model, backend="pil")
    pixels = processor(images=[Image.open(image)], return_tensors="pt")
    content = [{"type": "image"}, {"type": "text", "text": question}]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    places = int(pixels["image_grid_thw"].prod()) // processor.merge_size**2
    text = text.replace("<|image_pad|>", "<|image_pad|>" * places)
    tokens = tokenizer(text, return_tensors="pt")
    is_image = tokens["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    return {**tokens, "mm_token_type_ids": is_image.long(), **pixels}


@torch.inference_mode()
def main() -> None:
    name, threads, image, question = sys.argv[1:]
    torch.set_num_threads(int(threads))
    load, model = seconds(
        lambda: Qwen2VLForConditionalGeneration.from_pretrained(name, dtype=torch.bfloat16)
    )
    asked = question_inputs(name, image, question)
    model(**asked, logits_to_keep=1)  # warms up
    prompt = torch.randint(0, model.config.text_config.vocab_size, (1, 512))
    prefill, _ = seconds(lambda: model(input_ids=prompt, logits_to_keep=1))
    output = model(input_ids=prompt[:, :127], use_cache=True, logits_to_keep=1)
    output = greedy(model, output, 1)
    decode, _ = seconds(lambda: greedy(model, output, DECODED))
    pixels = asked["pixel_values"].to(torch.bfloat16)
    vision, _ = seconds(lambda: model.model.visual(pixels, grid_thw=asked["image_grid_thw"]))
    first, _ = seconds(lambda: model(**asked, logits_to_keep=1).logits.argmax())
    print(
        json.dumps(
            {
                "load": load,
                "prefill": 512 / prefill,
                "decode": DECODED / decode,
                "vision": vision,
                "first_token": first,
                "tokens": [512, 128, asked["input_ids"].shape[1]],
            }
        )
    )


if __name__ == "__main__":
    main()
