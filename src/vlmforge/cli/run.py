"""Commands that run a package: chat and eval."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmforge import console

if TYPE_CHECKING:
    from vlmforge.run.session import Session

from vlmforge.cli.options import Device, Json, NewTokens, RunScheme, app


@app.command()
def chat(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    image: Annotated[list[Path] | None, typer.Option(help="Image to ask about.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The question; a chat without.")] = None,
    max_new_tokens: NewTokens = 500,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="0 is off.")] = 0,
    top_p: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    repetition_penalty: Annotated[float, typer.Option(help="1 is off.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Of sampling.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Size of the KV cache.")] = None,
    inference_scheme: RunScheme = None,
) -> None:
    """Ask a package about images, once or in a conversation."""
    from vlmforge.run.chat import Chat
    from vlmforge.run.generate import Options
    from vlmforge.run.sampling import Sampling
    from vlmforge.run.session import Session

    sampling = Sampling(repetition_penalty, temperature, top_k, top_p, seed=seed)
    options = Options(max_new_tokens, sampling)
    conversation = Chat(Session.open(package, max_length, inference_scheme), _write, options)
    for file in image or []:
        conversation.show(file)
    if prompt is not None:
        conversation.ask(prompt)
    else:
        conversation.run(_typed_lines())


@app.command("eval")
def evaluate(
    package: Annotated[Path, typer.Argument(help="Package directory.")],
    questions: Annotated[Path | None, typer.Option(help="JSONL: image, question, answer.")] = None,
    text: Annotated[list[Path] | None, typer.Option(help="Text to predict instead.")] = None,
    reference: Annotated[str | None, typer.Option(help="Original model to compare with.")] = None,
    max_new_tokens: NewTokens = 64,
    context: Annotated[int, typer.Option(help="Tokens of a window of text.")] = 512,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Tokens between windows; the context by default.")
    ] = None,
    min_context: Annotated[int, typer.Option(help="Tokens before one that counts.")] = 1,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens read of the texts.")] = None,
    device: Annotated[Device, typer.Option(help="Where the reference computes.")] = Device.CPU,
    inference_scheme: RunScheme = None,
    as_json: Json = False,
) -> None:
    """Answer questions greedily and count exact matches, or predict texts."""
    from vlmforge.run.session import Session

    if (questions is None) == (not text):
        raise typer.BadParameter("name either --questions FILE or --text FILE")
    if text:
        windowing = (context, stride, min_context, max_tokens)
        _evaluate_text(package, text, reference, windowing, device, as_json)
    elif questions is not None:
        session = Session.open(package, scheme=inference_scheme)
        _evaluate_questions(session, questions, reference, max_new_tokens, device, as_json)


def _evaluate_text(
    package: Path,
    texts: list[Path],
    reference: str | None,
    windowing: tuple[int, int | None, int, int | None],
    device: Device,
    as_json: bool,
) -> None:
    from vlmforge.evaluation import evaluate_package
    from vlmforge.run.windows import Windowing

    with console.progress() as report:
        facts = evaluate_package(
            package, texts, Windowing(*windowing), reference, device.value, report
        )
    if as_json:
        console.print_json(facts)
        return
    console.print_facts("Evaluation", facts)


def _evaluate_questions(
    session: Session,
    questions: Path,
    reference: str | None,
    max_new_tokens: int,
    device: Device,
    as_json: bool,
) -> None:
    from vlmforge.run.evaluate import evaluate as run
    from vlmforge.run.evaluate import read_questions

    asked = read_questions(questions)
    original = _reference(reference, device) if reference else None
    answered: list[tuple[str, str, str]] = []
    with console.progress() as report:

        def on_answer(question: Any, text: str) -> None:
            right = "yes" if question.is_answered_by(text) else "no"
            answered.append((question.question, text, right))
            report("answering", len(answered), len(asked))

        facts = run(
            session,
            asked,
            max_new_tokens=max_new_tokens,
            reference=original,
            on_answer=on_answer,
        )
    if as_json:
        console.print_json(facts)
        return
    console.print_table("Answers", ("question", "answer", "right"), answered)
    console.print_facts("Evaluation", {k: v for k, v in facts.items() if k != "kinds"})


def _reference(model: str, device: Device) -> Any:
    from vlmforge.source.checkpoint import Checkpoint
    from vlmforge.source.reference import ReferenceModel

    return ReferenceModel.load(Checkpoint.open(model), device.value)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _typed_lines() -> Any:
    while True:
        try:
            yield input("> ")
        except EOFError:
            return
