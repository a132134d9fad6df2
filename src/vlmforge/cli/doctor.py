"""The command doctor."""

from __future__ import annotations

from dataclasses import asdict

import typer

from vlmforge import console
from vlmforge.cli.options import Json, app


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this computer has of what vlmforge needs, and how to mend the rest."""
    from vlmforge.doctor import can_compile, examine
    from vlmforge.libraries import MEND

    findings = examine()
    runs = all(finding.state != "broken" for finding in findings)
    compiles = can_compile(findings)
    if as_json:
        listed = [asdict(each) for each in findings]
        console.print_json({"packages_run": runs, "can_compile": compiles, "findings": listed})
    else:
        rows = [(each.name, each.state, each.found, each.mend or "") for each in findings]
        console.print_table("Doctor", ("", "state", "found", "to mend it"), rows)
        console.print_text("Packages run here." if runs else "Packages do not run here.")
        if not compiles:
            console.print_text(f"To compile models: {MEND}")
    if not runs:
        raise typer.Exit(console.FAILED)
