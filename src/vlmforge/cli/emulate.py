"""The command emulate."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import typer

from vlmforge import console
from vlmforge.cli.options import VerifyKey, app

AS_THEY_ARE = {"allow_interspersed_args": False, "ignore_unknown_options": True}
"""Whatever stands behind the script is the script's; options of the command stand before it."""


@app.command(context_settings=AS_THEY_ARE)
def emulate(
    script: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A Python script that uses an NPU.")
    ],
    arguments: Annotated[list[str] | None, typer.Argument(help="Of the script.")] = None,
    verify_key: VerifyKey = None,
) -> None:
    """Run a script for Mobilint's runtime, unchanged, with packages on this processor."""
    from vlmforge.integrations.qbruntime import install, run_script

    install(verify_key)
    try:
        run_script(script, arguments or [])
    except Exception as error:  # the script's own, which its author wants to see
        traceback.print_exc()
        raise typer.Exit(console.UNEXPECTED) from error
