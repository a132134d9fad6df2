"""Many clients at a server: python benchmarks/serving/load.py PACKAGE [--seconds 60].

Clients ask with images, some leave before the end. Prints JSON: errors, answers that differ from
the same answer alone, times between tokens, memory, and throughput beside an engine without HTTP.
Exit status 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import random
import statistics
import sys
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from benchmarks.serving.client import Heard, ask
from benchmarks.serving.process import Server
from vlmforge import Engine, Options, Session
from vlmforge.sample import questions

TOKENS = 64
"""Most of an answer."""

SHIFTS = 8
"""Images of each question, which is asked about in three ways."""

ROUNDS = 5
"""Of servers and engines, in turn."""

LEAVING = 0.2
"""Share of the requests whose client leaves."""


def memory(server: Server) -> int:
    """Private bytes of a server."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def requests() -> list[dict[str, Any]]:
    """What clients ask: the demo's questions and two more, about images that no two share."""
    rows = [json.loads(line) for line in questions().read_text().splitlines()]
    rows = [row for row in rows if "image" in row]
    found = []
    for row, shift in itertools.product(rows, range(SHIFTS)):
        for text in (row["question"], "Describe this image.", f"Tell me: {row['question']}"):
            shown = Image.open(questions().parent / row["image"])
            data = _png(ImageChops.offset(shown, len(found) % 7, shift))
            image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
            content = [image, {"type": "text", "text": text}]
            messages = [{"role": "user", "content": content}]
            found.append({"messages": messages, "temperature": 0, "max_tokens": TOKENS})
    return found


def _png(image: Image.Image) -> str:
    data = io.BytesIO()
    image.save(data, "PNG")
    return b64encode(data.getvalue()).decode()


async def load(
    address: str, asked: Sequence[dict[str, Any]], clients: int, seconds: float
) -> list[tuple[int, Heard]]:
    """The answers of clients that ask one request after another for some seconds."""
    end, heard = time.monotonic() + seconds, list[tuple[int, Heard]]()

    async def client(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < end:
            index = rng.randrange(len(asked))
            leaves = rng.randrange(1, 4) if rng.random() < LEAVING else None
            heard.append((index, await ask(address, asked[index], leaves)))

    await asyncio.gather(*(client(number) for number in range(clients)))
    return heard


def judged(heard: Sequence[tuple[int, Heard]], alone: Sequence[Heard]) -> dict[str, Any]:
    """What the answers amount to."""
    finished = [(index, each) for index, each in heard if each.finish is not None]
    gaps = [b - a for _, each in finished for a, b in zip(each.times, each.times[1:], strict=False)]
    gaps.sort()
    return {
        "requests": len(heard),
        "finished": len(finished),
        "errors": sorted({each.error for _, each in heard if each.error})[:5],
        "different": sum(each.text != alone[index].text for index, each in finished),
        "first_token_median": statistics.median(each.times[0] for _, each in heard if each.times),
        "between_median": statistics.median(gaps),
        "between_p99": gaps[int(0.99 * len(gaps))],
        "tokens": sum(each.tokens for _, each in finished),
    }


async def throughput(address: str, asked: Sequence[dict[str, Any]], running: int) -> float:
    """Tokens a second of so many clients that ask everything once, and all together."""
    waiting = iter(asked)
    tokens, start = 0, time.perf_counter()

    async def client() -> None:
        nonlocal tokens
        for each in waiting:
            heard = await ask(address, each)
            tokens += heard.tokens

    await asyncio.gather(*(client() for _ in range(running)))
    return tokens / (time.perf_counter() - start)


def engine_throughput(package: Path, asked: Sequence[dict[str, Any]], running: int) -> float:
    """The same of an engine without HTTP, prompts and images read anew as a server does."""
    from vlmforge.serve.openai.chat_request import ChatRequest
    from vlmforge.serve.openai.media import Media
    from vlmforge.serve.openai.talk import shown

    bodies = [json.dumps({"model": "", **each}) for each in asked]
    with Engine(Session.open(package), running) as engine:

        def messages() -> Any:
            for body in bodies:
                request = ChatRequest.model_validate_json(body)
                yield shown(request.messages, Media(), sees=True)

        start = time.perf_counter()
        found = list(engine.map(messages(), Options(TOKENS)))
        return sum(len(each.token_ids) for each in found) / (time.perf_counter() - start)


def measure(package: Path, clients: int, seconds: float, running: int) -> dict[str, Any]:
    """Everything; takes a minute more than ``seconds``."""
    asked = requests()
    with Server(package, "--max-running", str(running)) as server:
        alone = [asyncio.run(ask(server.address, each)) for each in asked]
        began = asyncio.run(load(server.address, asked, clients, seconds / 2))
        half = memory(server)
        heard = asyncio.run(load(server.address, asked, clients, seconds / 2))
        found = judged([*began, *heard], alone)
        found["memory_half"], found["memory_end"] = half, memory(server)
    return found | compared(package, asked, running)


def compared(package: Path, asked: Sequence[dict[str, Any]], running: int) -> dict[str, Any]:
    """Throughput of servers and of engines in turn, none of which has seen the images before."""
    served, bare = [], []
    for _ in range(ROUNDS):
        with Server(package, "--max-running", str(running)) as server:
            served.append(asyncio.run(throughput(server.address, asked, running)))
        bare.append(engine_throughput(package, asked, running))
    return {
        "tokens_per_second": statistics.median(served),
        "engine_tokens_per_second": statistics.median(bare),
        "throughput_ratios": [one / other for one, other in zip(served, bare, strict=True)],
    }


def main() -> None:
    """Read the command line, measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--running", type=int, default=8)
    options = parser.parse_args()
    found = measure(options.package, options.clients, options.seconds, options.running)
    print(json.dumps(found, indent=2))
    bounds = {
        "no error": not found["errors"],
        "every finished answer as alone": found["different"] == 0,
        "memory within 5 %": found["memory_end"] <= 1.05 * found["memory_half"],
        "p99 between tokens within 3 medians": found["between_p99"] <= 3 * found["between_median"],
        "90 % of the engine": statistics.median(found["throughput_ratios"]) >= 0.9,
    }
    for name, holds in bounds.items():
        print(f"{name}: {'holds' if holds else 'BROKEN'}", file=sys.stderr)
    sys.exit(0 if all(bounds.values()) else 1)


if __name__ == "__main__":
    main()
