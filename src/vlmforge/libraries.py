"""Libraries: those that every installation has, and those that the compiler needs besides."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from packaging.version import InvalidVersion, Version

from vlmforge.errors import InstallError


def install(extra: str) -> str:
    """What installs the libraries of an extra."""
    return f"pip install 'vlmforge[{extra}]'"


MEND = install("compile")
"""What installs the compiler's libraries."""

MISSING, UNKNOWN = "not installed", "of unknown version"


@dataclass(frozen=True)
class Library:
    """A library that vlmforge imports.

    Attributes:
        name: as pip knows it.
        least: the first release that serves.
        module: what is imported, if that goes by another name.
    """

    name: str
    least: str
    module: str | None = None

    @property
    def requirement(self) -> str:
        """As pip takes it, such as ``"torch>=2.9"``."""
        return f"{self.name}>={self.least}"

    def version(self) -> str | None:
        """The release installed, None if there is none; nothing is imported."""
        try:
            return metadata.version(self.name) if find_spec(self.module or self.name) else None
        except metadata.PackageNotFoundError:
            return UNKNOWN
        except (ImportError, ValueError):  # what looking for a module may raise where it is barred
            return None

    def lack(self) -> str | None:
        """Why what is installed does not serve, None if it may; nothing is imported."""
        found = self.version()
        if found is None:
            return MISSING
        try:
            old = Version(found).release < Version(self.least).release
        except InvalidVersion:
            return None
        return f"{found} is older than {self.least}" if old else None

    def defect(self) -> str | None:
        """Why it cannot be imported, None if it can."""
        try:
            __import__(self.module or self.name)
        except Exception as error:  # whatever a broken installation raises
            return str(error).partition("\n")[0] or type(error).__name__
        return None


RUNNING = (
    Library("filelock", "3.12"),
    Library("jinja2", "3.1.6"),
    Library("llguidance", "1.3"),
    Library("numpy", "2.0"),
    Library("packaging", "23.0"),
    Library("pillow", "10.0", "PIL"),
    Library("pydantic", "2.7"),
    Library("rich", "13.0"),
    Library("tokenizers", "0.22"),
    Library("typer", "0.15"),
)
"""What every installation has: the ``dependencies`` of ``pyproject.toml``."""

HUB = Library("huggingface_hub", "1.0")
TORCH = Library("torch", "2.9")

COMPILING = (
    HUB,
    Library("num2words", "0.5"),
    Library("safetensors", "0.5"),
    TORCH,
    Library("transformers", "5.4"),
)
"""What compiling needs besides: the extra ``compile``."""

SHARING = (HUB,)
"""What packages on the Hugging Face Hub need besides: the extra ``hub``."""

PHOTOS = (Library("datasets", "3.0"), HUB)
"""What photos of COCO need besides: the extra ``coco``."""


SERVING = (
    Library("fastapi", "0.115"),
    Library("httptools", "0.6"),
    Library("prometheus-client", "0.20", "prometheus_client"),
    Library("uvicorn", "0.30"),
)
"""What serving needs besides: the extra ``serve``."""

SIGNING = (Library("cryptography", "43.0"),)
"""What signatures of packages need besides: the extra ``sign``."""

CLUSTERS = (Library("ray", "2.40"),)
"""What compiling on many machines needs besides: the extra ``ray``."""


def require_libraries(work: str) -> None:
    """Import the compiler's libraries; see :func:`require`."""
    require(work, COMPILING, "compile")


def require_hub(work: str) -> None:
    """Import the library that reaches the Hugging Face Hub; see :func:`require`."""
    require(work, SHARING, "hub")


def require(work: str, libraries: tuple[Library, ...], extra: str) -> None:
    """Import some libraries.

    Args:
        work: what needs them, such as ``"vlmforge compile"``.
        libraries: all of an extra.
        extra: its name.

    Raises:
        InstallError: some are missing, too old or broken; each is named.
    """
    mend = install(extra)
    if lacking := {each.name: why for each in libraries if (why := each.lack())}:
        raise InstallError(
            f"{work} needs libraries that this installation lacks: {_listed(lacking)}", mend=mend
        )
    if broken := {each.name: why for each in libraries if (why := each.defect())}:
        raise InstallError(
            f"{work} needs libraries that cannot be loaded: {_listed(broken)}",
            mend=f"{mend} && pip install --force-reinstall {' '.join(broken)}",
        )


def _listed(reasons: dict[str, str]) -> str:
    return ", ".join(name if why == MISSING else f"{name} ({why})" for name, why in reasons.items())


class Absent(type):
    """Stands for a name that needs libraries that are not there; whoever uses it is told.

    It is a class, whatever the name is of: so a program that runs packages may import what it does
    not use, and name it in annotations and ``isinstance``.
    """

    _error: InstallError

    @staticmethod
    def of(name: str, error: InstallError) -> Absent:
        """What stands for a name; calling it, or asking it for an attribute, raises the error."""
        return Absent(name, (), {"_error": error})

    def __call__(cls, *arguments: object, **options: object) -> Any:
        raise cls._error.with_traceback(None)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise cls._error.with_traceback(None)
