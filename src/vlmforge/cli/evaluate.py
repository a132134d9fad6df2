"""The command eval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmforge import console

if TYPE_CHECKING:
    from vlmforge.run.session import Session

from vlmforge.cli.combinations import refuse_beside
from vlmforge.cli.options import (
    Device,
    Json,
    NewTokens,
    PackageName,
    RunScheme,
    SpecialTokens,
    Threads,
    VerifyKey,
    app,
)
from vlmforge.cli.threads import use_threads
from vlmforge.libraries import require_libraries


@app.command("eval")
def evaluate(
    ctx: typer.Context,
    package: PackageName,
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
    threads: Threads = None,
    special_tokens_in_text: SpecialTokens = False,
    verify_key: VerifyKey = None,
    as_json: Json = False,
) -> None:
    """Answer questions greedily and count exact matches, or predict texts."""
    from vlmforge.run.session import Session

    if reference is not None:
        require_libraries(f"{ctx.command_path} --reference")
    use_threads(threads)

    if (questions is None) == (not text):
        raise typer.BadParameter("name either --questions FILE or --text FILE")
    if reference is None:
        refuse_beside(ctx, "without --reference", "device")
    if text:
        refuse_beside(
            ctx,
            "beside --text",
            "max_new_tokens",
            "inference_scheme",
            "special_tokens_in_text",
        )
        windowing = (context, stride, min_context, max_tokens)
        _evaluate_text(package, text, reference, windowing, device, verify_key, as_json)
    elif questions is not None:
        refuse_beside(ctx, "without --text", "context", "stride", "min_context", "max_tokens")
        session = Session.open(
            package,
            scheme=inference_scheme,
            special_tokens_in_text=special_tokens_in_text,
            verify_key=verify_key,
        )
        _evaluate_questions(session, questions, reference, max_new_tokens, device, as_json)


def _evaluate_text(
    package: str,
    texts: list[Path],
    reference: str | None,
    windowing: tuple[int, int | None, int, int | None],
    device: Device,
    verify_key: Path | None,
    as_json: bool,
) -> None:
    from vlmforge.evaluation.package import evaluate_package
    from vlmforge.evaluation.windows import Windowing

    with console.progress() as report:
        facts = evaluate_package(
            package, texts, Windowing(*windowing), reference, device.value, report, verify_key
        )
    if as_json:
        console.print_json(facts)
        return
    _print_evaluation(facts)


def _evaluate_questions(
    session: Session,
    questions: Path,
    reference: str | None,
    max_new_tokens: int,
    device: Device,
    as_json: bool,
) -> None:
    from vlmforge.evaluation.questions import evaluate as run
    from vlmforge.evaluation.questions import read_questions

    asked = read_questions(questions)
    original = _reference(reference, device, session) if reference else None
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
    for name in ("kinds", "sizes"):
        _print_groups(name, facts.pop(name, {}))
    _print_evaluation(facts)


def _print_groups(name: str, groups: Mapping[str, Mapping[str, Any]]) -> None:
    """A row a group, of all that is known of each."""
    if groups:
        columns = max((list(facts) for facts in groups.values()), key=len)
        rows = [
            (group, *(_figure(facts[column]) if column in facts else "" for column in columns))
            for group, facts in groups.items()
        ]
        console.print_table(f"By {name}", (name, *columns), rows)


def _print_evaluation(facts: Mapping[str, Any]) -> None:
    console.print_facts("Evaluation", {key: _figure(value) for key, value in facts.items()})


def _figure(value: object) -> str:
    """A result as people read it: six digits suffice, and lists need no brackets."""
    if isinstance(value, float):
        return str(float(f"{value:.6g}"))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _reference(model: str, device: Device, session: Session) -> Any:
    """The original model, which sees images at the sizes that the package sees them at."""
    from vlmforge.original.reference import ReferenceModel
    from vlmforge.source.checkpoint import Checkpoint

    reference = ReferenceModel.load(Checkpoint.open(model), device.value)
    if session.preprocess is None:
        return reference
    return replace(reference, pictures=session.preprocess.images.pictures)
