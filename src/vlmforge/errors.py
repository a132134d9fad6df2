"""Every failure a user can cause or meet, as one family of exceptions.

Each message says what is wrong, where, and how to mend it. The command line prints the
message without a traceback and exits with status 2.
"""

from __future__ import annotations

import errno


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


def is_failure(error: BaseException) -> bool:
    """Whether a library has failed, if only with a panic of Rust code; not a request to stop."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


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


class SignatureError(PackageError):
    """A package without the signature asked for, or whose files are not the signed; a wrong key."""


class RunError(VlmforgeError):
    """A request the compiled program cannot serve, such as a sequence longer than its cache."""


class LengthError(RunError):
    """A prompt longer than the program's cache, or than the session allows."""


class BusyError(RunError):
    """A request that comes when too many others are waiting."""


class ClosedError(RunError):
    """A request to an engine that takes no more."""


class ImageError(SourceError, RunError):
    """An image that is missing, unreadable or too large, of a request as of a source."""


class VideoError(ImageError):
    """A video that is missing, cannot be decoded, has no frames or is too long."""


class OutputError(VlmforgeError):
    """An output path that holds what is not this project's, or that nothing can be written to."""


class InstallError(VlmforgeError, ImportError):
    """A library that is missing, too old or broken, though the work asked for needs it."""


class ClusterError(VlmforgeError):
    """A Ray cluster that does not answer, or whose machines are not alike or too small."""


class SystemFailure(VlmforgeError):
    """What the computer refuses: a full disk, a missing permission, too little memory."""

    @staticmethod
    def of(error: OSError, where: object = None) -> SystemFailure:
        """The failure in words; ``where`` defaults to the file the system names."""
        known = _SYSTEM.get(error.errno or 0)
        said = f"the system refuses: {error.strerror}" if error.strerror else str(error)
        what, mend = known or (said or type(error).__name__, None)
        return SystemFailure(what, where=error.filename if where is None else where, mend=mend)


_FULL = ("the disk is full", "free space there, or name an output on another disk")
_DENIED = ("permission is denied", "choose a path that is yours, or change its permissions")
_SYSTEM = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: ("the disk quota is used up", _FULL[1]),
    errno.EFBIG: (
        "a file would be larger than is allowed",
        "raise the limit (ulimit -f), or name an output on a file system without it",
    ),
    errno.EROFS: ("the file system is read-only", "name an output on a disk that can be written"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ENAMETOOLONG: ("a file name is too long", "choose a shorter name"),
    errno.ENOENT: ("there is no such file or directory", "check the path"),
    errno.ENOTDIR: ("a file stands where a directory is wanted", "choose another path"),
    errno.EEXIST: ("a file stands where a directory is wanted", "choose another path"),
    errno.EISDIR: ("a directory stands where a file is wanted", "name a file"),
    errno.ELOOP: ("symbolic links lead in a circle", "choose another path, or mend the links"),
    errno.EBUSY: ("the path is in use by the system", "name a directory inside it"),
    errno.EMFILE: ("too many files are open", "raise the limit: ulimit -n 4096"),
    errno.ENOMEM: ("the memory does not suffice", "close other programs, or use a larger machine"),
}
"""Number of an error to what is wrong, and how to mend it."""
