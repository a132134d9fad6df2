"""The command chat."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmforge import __version__, console
from vlmforge.cli.interrupt import Interrupt
from vlmforge.cli.lines import is_terminal, typed_lines
from vlmforge.cli.options import (
    MaxLength,
    MaxPixels,
    NewTokens,
    PackageName,
    RunScheme,
    Schema,
    SpecialTokens,
    Threads,
    VerifyKey,
    app,
)
from vlmforge.cli.schema import read_grammar
from vlmforge.cli.threads import use_threads
from vlmforge.text import shown

if TYPE_CHECKING:
    from vlmforge.run.chat import Chat
    from vlmforge.run.session import Session


@app.command()
def chat(
    package: PackageName,
    image: Annotated[list[Path] | None, typer.Option(help="Image to ask about.")] = None,
    video: Annotated[list[Path] | None, typer.Option(help="Video to ask about.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The question; a chat without.")] = None,
    max_new_tokens: NewTokens = 500,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="0 is off.")] = 0,
    top_p: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    frequency_penalty: Annotated[float, typer.Option(help="0 is off.")] = 0.0,
    presence_penalty: Annotated[float, typer.Option(help="0 is off.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Of sampling.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends an answer.")] = None,
    json_schema: Schema = None,
    max_length: MaxLength = None,
    max_pixels: MaxPixels = None,
    inference_scheme: RunScheme = None,
    threads: Threads = None,
    special_tokens_in_text: SpecialTokens = False,
    verify_key: VerifyKey = None,
) -> None:
    """Ask a package about images and videos, once or in a conversation."""
    from vlmforge.decode.generate import Options
    from vlmforge.decode.sampling import Sampling
    from vlmforge.run.chat import Chat
    from vlmforge.run.session import Session

    use_threads(threads)
    sampling = Sampling(
        repetition_penalty, temperature, top_k, top_p, seed=seed,
        frequency_penalty=frequency_penalty, presence_penalty=presence_penalty,
    )  # fmt: skip
    grammar = None if json_schema is None else read_grammar(json_schema)
    options = Options(max_new_tokens, sampling, tuple(stop or ()), grammar=grammar)
    session = Session.open(
        package,
        max_length,
        inference_scheme,
        special_tokens_in_text=special_tokens_in_text,
        max_pixels=max_pixels,
        verify_key=verify_key,
    )
    interrupt, talking = Interrupt(), is_terminal() and prompt is None
    conversation = Chat(
        session, _write, options, _tell, _tell_speed if talking else None, interrupt.pressed
    )
    _show(conversation, image or [], video or [])
    if prompt is not None:
        conversation.ask(prompt)
    elif talking:
        _tell(_banner(package, session))
        _talk(conversation, typed_lines(interrupt.pressed, _tell), interrupt)
    else:
        conversation.run(sys.stdin)


def _show(conversation: Chat, images: list[Path], videos: list[Path]) -> None:
    for image in images:
        conversation.show(image)
    for video in videos:
        conversation.show_video(video)


def _talk(conversation: Chat, lines: Iterable[str], interrupt: Interrupt) -> None:
    """Handle lines; Ctrl-C ends an answer and not the chat."""
    for line in lines:
        with interrupt.listening():
            goes_on = conversation.handle(line)
        if not goes_on:
            return


def _banner(package: str, session: Session) -> str:
    model = session.package.text.meta.get("model", "unknown")
    runs = getattr(session.text, "isa", None) or "the reference machine"
    return (
        f"vlmforge {__version__}: {package} (model {model}), on {runs}\n"
        "Type a question, or /image FILE, /video FILE, /system TEXT, /reset, /help, /exit.\n"
        "Ctrl-C ends an answer.\n"
    )


def _write(text: str) -> None:
    sys.stdout.write(shown(text))
    sys.stdout.flush()


def _tell(text: str) -> None:
    """Write what is not an answer, to standard error."""
    console.warn(text.removesuffix("\n"))


def _tell_speed(text: str) -> None:
    _tell(f"[{text}]")
