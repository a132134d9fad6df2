"""The command sign, and how keys are read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmforge import console
from vlmforge.cli.options import Json, app
from vlmforge.errors import SignatureError

if TYPE_CHECKING:
    from vlmforge.signing.keys import SigningKey

PASSWORD = "VLMFORGE_KEY_PASSWORD"
"""Environment variable with the password of an encrypted key, where nobody can be asked."""

KEY_HELP = "Private key, PEM: ECDSA on P-256, P-384 or P-521."

SignKey = Annotated[Path | None, typer.Option(metavar="KEY", help=f"Sign the package. {KEY_HELP}")]


@app.command("sign")
def sign_(
    package: Annotated[Path, typer.Argument(help="Directory of a package.")],
    key: Annotated[Path, typer.Option(metavar="KEY", help=KEY_HELP)],
    as_json: Json = False,
) -> None:
    """Sign a package, for whoever has the public key to verify."""
    from vlmforge.signing.package import sign_package

    signing = read_key(key)
    path = sign_package(package, signing)
    if as_json:
        console.print_json({"signature": str(path), "key": signing.fingerprint})
        return
    console.print_facts(str(package), {"signature": path.name, "key, SHA-256": signing.fingerprint})


def read_key(path: Path) -> SigningKey:
    """Read a private key; its password, if it has one, comes from the user or the environment."""
    from vlmforge.signing.keys import SigningKey

    return SigningKey.load(path, lambda: _password(path))


def _password(path: Path) -> str:
    given = os.environ.get(PASSWORD)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise SignatureError("the key is encrypted", where=path, mend=f"set {PASSWORD}")
    try:
        return str(typer.prompt(f"Password of {path}", hide_input=True, err=True))
    except typer.Abort:  # what Ctrl-C becomes at a prompt
        raise KeyboardInterrupt from None
