"""Servers beside each other, as clients see them: time to the first token, and tokens a second.

    python benchmarks/serving/compare.py IMAGE "vlmforge=vlmforge serve PACKAGE --port {port}" \\
        "llama.cpp=llama-server -m MODEL --mmproj MMPROJ --port {port}" --rounds 5 --json FILE

A server is a name and a command; ``{port}`` is a free one. Each round starts every server once, one
after another, and begins with another one; a ratio is that of two servers within a round. Prompts
begin with a number of their own, so that no cache knows them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shlex
import socket
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.serving.client import Heard, ask

TOKENS, WORDS, CLIENTS = 64, 400, 8
"""Tokens of an answer, words of a long prompt, clients at once."""

PATIENCE = 300.0
"""Seconds until a server must answer."""

Figures = dict[str, float]


class Prompts:
    """Requests that no cache knows.

    Args:
        image: a file.
        stops: tokens that end answers, which are barred.
    """

    def __init__(self, image: Path, stops: list[int]) -> None:
        self._image = f"data:image/png;base64,{b64encode(image.read_bytes()).decode()}"
        self._stops = {str(token): -100 for token in stops}
        self._numbers = itertools.count(int(time.time()))

    def text(self, words: int = 20) -> dict[str, Any]:
        """A question of so many words."""
        return self._request(f"{next(self._numbers)} {'word ' * words}")

    def picture(self) -> dict[str, Any]:
        """A question about the image, which no vision cache knows either: its system differs."""
        shown = {"type": "image_url", "image_url": {"url": self._image}}
        told = {"type": "text", "text": "What is it?"}
        system = {"role": "system", "content": f"{next(self._numbers)}"}
        asked = self._request("")
        return {**asked, "messages": [system, {"role": "user", "content": [shown, told]}]}

    def _request(self, text: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {
            "messages": messages,
            "max_tokens": TOKENS,
            "temperature": 0,
            "logit_bias": self._stops,
        }


def rate(heard: Heard) -> float:
    """Tokens a second behind the first."""
    return (heard.tokens - 1) / (heard.times[-1] - heard.times[0])


async def figures(address: str, prompts: Prompts) -> Figures:
    """Of one server in one round."""
    await ask(address, prompts.text())
    short = await ask(address, prompts.text())
    long = await ask(address, prompts.text(WORDS))
    picture = await ask(address, prompts.picture())
    start = time.perf_counter()
    side = await asyncio.gather(*(ask(address, prompts.text()) for _ in range(CLIENTS)))
    seconds = time.perf_counter() - start
    return {
        "decode": rate(short),
        "first_token": short.times[0],
        "first_token_long": long.times[0],
        "first_token_picture": picture.times[0],
        "decode_8": sum(each.tokens for each in side) / seconds,
    }


def measured(command: str, prompts: Prompts) -> Figures:
    """Start a server, ask it and end it."""
    port = _free_port()
    server = subprocess.Popen(
        shlex.split(command.format(port=port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        return asyncio.run(figures(f"http://127.0.0.1:{port}", prompts))
    finally:
        server.terminate()
        server.wait(60)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def table(rounds: list[dict[str, Figures]]) -> str:
    """Medians, and ratios of the first server to each other one within rounds."""
    first, *others = rounds[0]
    lines = _row("", first, *others) + _row(*["---"] * (len(others) + 2))
    for metric in rounds[0][first]:
        medians = [statistics.median(each[name][metric] for each in rounds) for name in rounds[0]]
        lines += _row(metric, *(f"{value:.4g}" for value in medians))
    lines += ["", *_row("ratio within a round", ""), *_row("---", "---")]
    for metric, name in itertools.product(rounds[0][first], others):
        ratios = sorted(each[first][metric] / each[name][metric] for each in rounds)
        middle = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        lines += _row(f"{metric}, {first} to {name}", middle)
    return "\n".join(lines)


def _row(*cells: str) -> list[str]:
    return [f"| {' | '.join(cells)} |"]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("servers", nargs="+", metavar="NAME=COMMAND")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stop-tokens", type=int, nargs="*", default=[151645, 151643])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    servers = dict(each.split("=", 1) for each in options.servers)
    prompts = Prompts(options.image, options.stop_tokens)
    rounds: list[dict[str, Figures]] = []
    for number in range(options.rounds):
        names = list(servers)
        turned = names[number % len(names) :] + names[: number % len(names)]
        found = {name: measured(servers[name], prompts) for name in turned}
        rounds.append({name: found[name] for name in names})
        print(json.dumps(rounds[-1]), file=sys.stderr)
        if options.json is not None:
            options.json.write_text(json.dumps(rounds, indent=2) + "\n", encoding="utf-8")
    print(table(rounds))


if __name__ == "__main__":
    main()
