"""The command push."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmforge import console
from vlmforge.cli.options import Json, PackageName, VerifyKey, app

if TYPE_CHECKING:
    from vlmforge.publish.push import Pushed

CARDS = {
    "written": "written",
    "yours": "your own",
    "kept": "the one there, which was not written by vlmforge",
}


@app.command()
def push(
    package: PackageName,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the Hub.")],
    private: Annotated[bool, typer.Option("--private", help="For its owner alone.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", "--branch", help="Branch; main by default.")
    ] = None,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    card: Annotated[Path | None, typer.Option(help="Your own model card.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Figures for the card, of eval --json.")
    ] = None,
    verify_key: VerifyKey = None,
    as_json: Json = False,
) -> None:
    """Upload a package to the Hugging Face Hub, with a model card."""
    from vlmforge.publish.push import push as upload

    pushed = upload(
        package,
        repo,
        private=private,
        revision=revision,
        message=message,
        card=card,
        evaluation=evaluation,
        verify_key=verify_key,
    )
    if as_json:
        console.print_json(asdict(pushed))
    else:
        _print(pushed)


def _print(pushed: Pushed) -> None:
    size = console.human_size(sum(pushed.sizes.values()))
    facts = {
        "package": f"{len(pushed.sizes)} files, {size}",
        "commit": pushed.commit if pushed.changed else f"{pushed.commit}, unchanged",
        "model card": CARDS[pushed.card],
        "license of the original": pushed.license or "unknown",
        "deleted there": ", ".join(pushed.deleted),
        "not uploaded": ", ".join(pushed.left_out),
    }
    console.print_facts(pushed.package, {name: fact for name, fact in facts.items() if fact})
    console.print_text(f"It runs wherever the Hub is reached: vlmforge chat {pushed.package}")
