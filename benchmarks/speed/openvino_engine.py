"""One round of OpenVINO GenAI; run by its own Python, prints one JSON object.

    PEERS/openvino/bin/python openvino_engine.py MODEL THREADS IMAGE QUESTION [PROPERTY=VALUE ...]

Times are those of the engine's own metrics. Prompts are one token repeated, as the pipeline takes
text; ``vision`` is the time until image and text are embedded. The pipeline keeps the prompts it
has read and does not read them again, so what warms it up shares no beginning with what counts.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import openvino as ov
import openvino_genai as genai
from PIL import Image

WORDS = {512: (" a", " the"), 128: (" of", " and")}
"""Tokens of Qwen2's tokenizer: to warm up with, and for the figures, by the prompt's length."""


def metrics(
    pipe: genai.VLMPipeline, prompt: str, new_tokens: int, **inputs: object
) -> genai.VLMPerfMetrics:
    config = pipe.get_generation_config()
    config.max_new_tokens, config.min_new_tokens = new_tokens, new_tokens
    config.ignore_eos, config.do_sample = True, False
    config.apply_chat_template = "images" in inputs
    return pipe.generate(prompt, generation_config=config, **inputs).perf_metrics


def main() -> None:
    model, threads, image, question, *properties = sys.argv[1:]
    options = dict(each.split("=", 1) for each in properties)
    pipe = genai.VLMPipeline(model, "CPU", INFERENCE_NUM_THREADS=int(threads), **options)
    pixels = np.asarray(Image.open(image))[None]
    for turn, new_tokens, picture in ((0, 9, pixels[:, ::-1]), (1, 65, pixels)):
        prefill = metrics(pipe, WORDS[512][turn] * 512, 1)
        decode = metrics(pipe, WORDS[128][turn] * 128, new_tokens)
        asked = metrics(pipe, question, 1, images=[ov.Tensor(np.ascontiguousarray(picture))])
    print(
        json.dumps(
            {
                "load": prefill.get_load_time() / 1e3,
                "prefill": prefill.get_num_input_tokens() / (prefill.get_ttft().mean / 1e3),
                "decode": 1e3 / decode.get_tpot().mean,
                "vision": asked.get_prepare_embeddings_duration().mean / 1e3,
                "first_token": asked.get_ttft().mean / 1e3,
                "tokens": [m.get_num_input_tokens() for m in (prefill, decode, asked)],
            }
        )
    )


if __name__ == "__main__":
    main()
