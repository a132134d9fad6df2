"""What the Auto classes of processors open in a package.

Packages name the processors of transformers, for clients that have no others, and an Auto class
that reads such a name looks no further. Those of packages resize images as their vision programs
were compiled for, and need no torchvision.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.utils import cached_file

from vlmforge.errors import FormatError
from vlmforge.formats.document import parse_object
from vlmforge.formats.package import CONFIG_FILE

DOWNLOADING = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "revision",
    "subfolder",
    "token",
)
"""Arguments of a download from the Hub."""

RAISED = (
    "_raise_exceptions_for_connection_errors",
    "_raise_exceptions_for_gated_repo",
    "_raise_exceptions_for_missing_entries",
)
"""What transformers would say of a file that is not there, which the Auto class says itself."""

_SERVED: dict[type[Any], dict[str, type[Any]]] = {}
"""Auto class to the processors it opens packages with, by their ``model_type``."""

SELECTING = ("config", "trust_remote_code", "use_fast", "backend")
"""Arguments by which an Auto class chooses a class."""


def serve(auto: type[Any], model_type: str, processor: type[Any]) -> None:
    """Let an Auto class open packages of a type with a processor, whatever they name.

    Args:
        auto: ``AutoProcessor`` or ``AutoImageProcessor``; for all else it stays as it is.
        model_type: of the packages.
        processor: their class.
    """
    if auto not in _SERVED:
        _SERVED[auto] = {}
        auto.from_pretrained = classmethod(_opening(auto.from_pretrained, _SERVED[auto]))
    _SERVED[auto][model_type] = processor


def _opening(otherwise: Any, processors: dict[str, type[Any]]) -> Any:
    """``from_pretrained`` of an Auto class that knows packages."""

    def from_pretrained(
        cls: type[Any],
        pretrained_model_name_or_path: str | os.PathLike[str],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        source = pretrained_model_name_or_path
        processor = processors.get(_model_type(source, kwargs))
        if processor is None:
            return otherwise(source, *args, **kwargs)
        kept = {name: value for name, value in kwargs.items() if name not in SELECTING}
        return processor.from_pretrained(source, *args, **kept)

    return from_pretrained


def _model_type(source: str | os.PathLike[str], options: Mapping[str, Any]) -> str:
    """The ``model_type`` of a model, here or on the Hub; empty where there is none to be read."""
    asked = {name: options[name] for name in DOWNLOADING if name in options}
    try:
        found = cached_file(source, CONFIG_FILE, **asked, **dict.fromkeys(RAISED, False))
        if found is None:
            return ""
        return str(parse_object(Path(found).read_bytes(), CONFIG_FILE, found).get("model_type"))
    except (OSError, ValueError, FormatError):
        return ""
