"""Options that have no effect beside others are refused instead of ignored."""

from __future__ import annotations

import typer

GIVEN = ("COMMANDLINE", "ENVIRONMENT")


def refuse_beside(context: typer.Context, why: str, *names: str) -> None:
    """Refuse options that the user gave, though they have no effect.

    Args:
        context: of the command.
        why: ends the sentence "--x has no effect ...".
        names: of the command's parameters.

    Raises:
        typer.BadParameter: one of them was given.
    """
    options = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name in GIVEN:
            raise typer.BadParameter(f"{options[name]} has no effect {why}")


def refuse_idle_calibration(context: typer.Context, texts: bool) -> None:
    """Of two ways to calibrate, with images or with texts, only one's options may be given."""
    if texts:
        idle = ("images", "answers", "max_new_tokens", "dtype", "layout", "image_size")
        refuse_beside(context, "beside --calibration-text", *idle, "max_pixels")
    else:
        refuse_beside(context, "without --calibration-text", "calibration_length")
