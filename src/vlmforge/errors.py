"""Every failure a user can cause or meet, as one family of exceptions.

Each message says what is wrong, where, and how to mend it. The command line prints the
message without a traceback and exits with status 2.
"""

from __future__ import annotations


class VlmforgeError(Exception):
    """An expected failure.

    Args:
        what: what is wrong, one sentence.
        where: the file, node or sample concerned.
        mend: the command or setting that mends it.
    """

    def __init__(self, what: str, *, where: object = None, mend: str | None = None) -> None:
        self.what, self.where, self.mend = what, where, mend
        lines = [what]
        if where is not None:
            lines.append(f"  where: {where}")
        if mend is not None:
            lines.append(f"  mend:  {mend}")
        super().__init__("\n".join(lines))


class ConfigError(VlmforgeError):
    """A configuration that cannot be meant: unknown key, unknown node, value out of range."""


class SourceError(VlmforgeError):
    """A model that cannot be found, read, or is of an unsupported architecture."""


class CalibrationError(VlmforgeError):
    """Calibration images or samples that are missing, unreadable or of another model."""


class FormatError(VlmforgeError):
    """A file that is truncated, altered, of an unknown version, or malformed."""


class GraphError(VlmforgeError):
    """A graph that breaks its own rules: unknown operator, shape mismatch, missing weight."""


class CaptureError(VlmforgeError):
    """A captured component that does not agree with the original model."""


class RotationError(VlmforgeError):
    """A rotation that is missing, not orthogonal, or belongs to another model."""


class PackageError(VlmforgeError):
    """A package with a missing, swapped or mismatching file."""


class RunError(VlmforgeError):
    """A request the compiled program cannot serve, such as a sequence longer than its cache."""
