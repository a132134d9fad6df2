"""What HTTP costs a package: PYTHONPATH=. python benchmarks/serving/overhead.py PACKAGE IMAGE.

Eight clients ask a server at once, and eight requests an engine of the same session's package, in
turn. Prints the tokens a second of both in each round, and the median, least and most of their
ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

from benchmarks.serving.client import ask
from benchmarks.serving.compare import CLIENTS, TOKENS, Prompts
from benchmarks.serving.process import Server
from vlmforge import Engine, Options, Sampling, Session


async def served(server: Server, prompts: Prompts) -> float:
    """Tokens a second of a server."""
    start = time.perf_counter()
    asked = [prompts.text() for _ in range(CLIENTS)]
    heard = await asyncio.gather(*(ask(server.address, each) for each in asked))
    return sum(each.tokens for each in heard) / (time.perf_counter() - start)


def bare(engine: Engine, prompts: Prompts) -> float:
    """Tokens a second of an engine without HTTP."""
    barred = Sampling(logit_bias=dict.fromkeys(engine.session.stop_tokens, -100.0))
    start = time.perf_counter()
    asked = [prompts.text()["messages"] for _ in range(CLIENTS)]
    found = list(engine.map(asked, Options(TOKENS, barred)))
    return sum(len(each.token_ids) for each in found) / (time.perf_counter() - start)


def measure(package: Path, image: Path, rounds: int) -> list[dict[str, float]]:
    """Both, in turn; the first round is not counted."""
    session, found = Session.open(package), []
    prompts = Prompts(image, [*session.stop_tokens])
    with Server(package) as server, Engine(session, CLIENTS) as engine:
        for _ in range(rounds + 1):
            with_http = asyncio.run(served(server, prompts))
            found.append({"server": with_http, "engine": bare(engine, prompts)})
    return found[1:]


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rounds = measure(options.package, options.image, options.rounds)
    ratios = sorted(each["server"] / each["engine"] for each in rounds)
    ends = {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
    print(json.dumps({"rounds": rounds, "ratios": ends}, indent=2))


if __name__ == "__main__":
    main()
