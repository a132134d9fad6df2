"""The command serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmforge import console
from vlmforge.cli.options import (
    MaxLength,
    MaxPixels,
    PackageName,
    RunScheme,
    Threads,
    VerifyKey,
    app,
)
from vlmforge.cli.threads import use_threads
from vlmforge.errors import ConfigError, SystemFailure
from vlmforge.libraries import SERVING, require


@app.command()
def serve(
    ctx: typer.Context,
    package: PackageName,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    model_name: Annotated[
        str | None, typer.Option(help="As clients name it; that of the original by default.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="Keys that clients need, one a line.")
    ] = None,
    max_running: Annotated[
        int | None, typer.Option(min=1, help="Answers in the making; as compiled by default.")
    ] = None,
    max_waiting: Annotated[int, typer.Option(min=0, help="Requests before others get 429.")] = 128,
    max_request_mb: Annotated[int, typer.Option(min=1, help="Of a request, in MB.")] = 64,
    image_root: Annotated[
        Path | None, typer.Option(help="Directory below which requests may name files.")
    ] = None,
    allow_remote_images: Annotated[
        bool, typer.Option("--allow-remote-images", help="Fetch images of requests by https.")
    ] = False,
    drain_seconds: Annotated[int, typer.Option(min=0, help="For answers when it is ended.")] = 60,
    max_length: MaxLength = None,
    max_pixels: MaxPixels = None,
    inference_scheme: RunScheme = None,
    threads: Threads = None,
    verify_key: VerifyKey = None,
) -> None:
    """Serve a package to OpenAI's clients, and a page to chat with it."""
    require(ctx.command_path, SERVING, "serve")
    from vlmforge.run.session import Session
    from vlmforge.serve.openai.server import Serving, run

    use_threads(threads)
    keys = [] if api_key_file is None else _keys(api_key_file)
    if image_root is not None and not image_root.is_dir():
        raise SystemFailure("there is no such directory", where=image_root, mend="check the path")
    serving = Serving(
        host,
        port,
        model_name,
        keys,
        max_running,
        max_waiting,
        max_request_mb << 20,
        image_root,
        allow_remote_images,
        drain_seconds,
    )
    session = Session.open(
        package, max_length, inference_scheme, max_pixels=max_pixels, verify_key=verify_key
    )
    run(session, serving, console.warn)


def _keys(path: Path) -> list[str]:
    """The keys in a file; lines that are empty or begin with # are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        failure = error if isinstance(error, OSError) else OSError(str(error))
        raise SystemFailure.of(failure, path) from error
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise ConfigError("the file holds no key", where=path, mend="write one key a line")
    return keys
