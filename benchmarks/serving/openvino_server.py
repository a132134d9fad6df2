"""OpenVINO GenAI behind the one route that is measured; run by its own Python.

    PEERS/openvino/bin/python benchmarks/serving/openvino_server.py MODEL PORT THREADS [NAME=VALUE]

``NAME=VALUE`` are properties of OpenVINO, such as ``DYNAMIC_QUANTIZATION_GROUP_SIZE=64``.
Streams chat completions of one client after another, as its pipeline answers them.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai as genai
from PIL import Image


class Handler(BaseHTTPRequestHandler):
    """Answers with the pipeline of its class."""

    pipe: genai.VLMPipeline
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Whether it runs."""
        self._begin("application/json")

    def do_POST(self) -> None:
        """One chat completion, as events."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._begin("text/event-stream")
        pieces = 0

        def told(text: str) -> bool:
            nonlocal pieces
            pieces += 1
            self._event(_choice({"content": text}))
            return False

        prompt, images = _read(asked["messages"])
        config = self.pipe.get_generation_config()
        config.max_new_tokens = config.min_new_tokens = asked["max_tokens"]
        config.ignore_eos, config.do_sample = True, False
        with self.lock:
            inputs = {"images": images} if images else {}
            self.pipe.generate(prompt, generation_config=config, streamer=told, **inputs)
        self._event(_choice({}, "length"))
        self._event({"choices": [], "usage": {"completion_tokens": asked["max_tokens"]}})

    def log_message(self, *arguments: object) -> None:
        """Nothing."""

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _event(self, told: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())
        self.wfile.flush()


def _choice(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _read(messages: list[dict[str, Any]]) -> tuple[str, list[ov.Tensor]]:
    texts, images = [], []
    for message in messages:
        content = message["content"]
        for part in content if isinstance(content, list) else [{"type": "text", "text": content}]:
            if part["type"] == "text":
                texts.append(part["text"])
                continue
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[None]
            images.append(ov.Tensor(np.ascontiguousarray(pixels)))
    return "\n".join(texts), images


def main() -> None:
    """Load the model and serve it."""
    model, port, threads, *given = sys.argv[1:]
    properties = {name: int(value) for name, value in (each.split("=") for each in given)}
    Handler.pipe = genai.VLMPipeline(model, "CPU", INFERENCE_NUM_THREADS=int(threads), **properties)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
