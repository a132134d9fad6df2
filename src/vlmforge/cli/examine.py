"""Commands that measure a package: bench and diagnose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmforge import console
from vlmforge.cli.options import Compiling, Json, PackageName, Threads, VerifyKey, app
from vlmforge.cli.threads import use_threads


@app.command()
def bench(
    package: PackageName,
    prefill: Annotated[str, typer.Option(help="Lengths of prompts, in tokens.")] = "128,512",
    decode: Annotated[int, typer.Option(min=1, help="Tokens to generate.")] = 64,
    sessions: Annotated[int, typer.Option(min=1, help="Conversations side by side.")] = 4,
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 5,
    profile: Annotated[bool, typer.Option(help="Say where the time goes.")] = False,
    verify_key: VerifyKey = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a package runs, beside what this machine can do."""
    from vlmforge.bench import table
    from vlmforge.bench.report import Plan, benchmark
    from vlmforge.hub.packages import find_package
    from vlmforge.machine.cores import cores
    from vlmforge.run.session import Session

    count = threads or cores()
    use_threads(count)
    plan = Plan(_lengths(prefill), decode, sessions, count, rounds, profile)
    directory = find_package(package, verify_key=verify_key)
    report = benchmark(lambda: Session.open(directory), plan)
    if as_json:
        console.print_json(report)
        return
    console.print_table(package, table.COLUMNS, table.rows(report))
    for name, shares in (report["profile"] or {}).items():
        console.print_table(f"Profile: {name}", table.PROFILE_COLUMNS, table.profile_rows(shares))
    console.print_facts("Machine", table.facts(report))


def _lengths(text: str) -> list[int]:
    """The numbers of a list such as ``128,512``; it may be empty."""
    try:
        lengths = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        lengths = [0]
    if any(length < 1 for length in lengths):
        raise typer.BadParameter(f"--prefill is {text!r}, not numbers of tokens such as 128,512")
    return lengths


@app.command("diagnose", cls=Compiling)
def diagnose_(
    package: PackageName,
    reference: Annotated[str, typer.Option(help="The model that was compiled.")],
    questions: Annotated[Path | None, typer.Option(help="JSONL: image, question, answer.")] = None,
    images: Annotated[Path | None, typer.Option(help="Images to ask about.")] = None,
    text: Annotated[Path | None, typer.Option(help="Text to read, for any decoder.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Most inputs run.")] = 4,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Of an answer about --images.")] = 32,
    length: Annotated[int, typer.Option(min=2, help="Tokens of a piece of --text.")] = 256,
    work_dir: Annotated[Path | None, typer.Option(help="Of its compilation.")] = None,
    threads: Threads = None,
    culprits: Annotated[int, typer.Option(min=1, help="Culprits shown.")] = 10,
    verify_key: VerifyKey = None,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option(help="Write a report for a browser.")] = None,
) -> None:
    """Compare a package with its original value by value and name what hurts most."""
    from vlmforge.diagnose.cases import Wanted
    from vlmforge.diagnose.html import write_html
    from vlmforge.diagnose.report import diagnose_package
    from vlmforge.diagnose.tables import tables
    from vlmforge.formats.kinds import PAGE
    from vlmforge.formats.output import require_replaceable

    use_threads(threads)
    html = None if html is None else require_replaceable(html, PAGE)
    wanted = Wanted(questions, images, text, samples, max_new_tokens, length)
    with console.progress() as report:
        found = diagnose_package(package, reference, wanted, work_dir, report, verify_key)
    if html is not None:
        write_html(found, html)
    if as_json:
        console.print_json(found)
        return
    for table in tables(found, culprits):
        console.print_table(*table)
