"""``verify_key``: what ``from_pretrained`` takes beside transformers' own arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from vlmforge.hub.packages import find_package

DOWNLOAD = ("cache_dir", "force_download", "local_files_only", "token")
"""Options of a download from the Hub."""

_Kind = TypeVar("_Kind", bound=type[Any])

_VERIFYING: set[type[Any]] = set()


def package_directory(
    source: str | os.PathLike[str],
    options: Mapping[str, Any],
    verify_key: str | os.PathLike[str] | None = None,
) -> Path:
    """The directory of a package, by transformers' options; raises as :func:`find_package`."""
    asked = {name: options[name] for name in DOWNLOAD if options.get(name) is not None}
    return find_package(source, options.get("revision"), verify_key=verify_key, **asked)


def verifying(kind: _Kind) -> _Kind:
    """Let ``from_pretrained`` of a class take ``verify_key``, the file of a public key.

    The package has to be signed with it, which is verified before anything of it is read; the class
    then opens the directory that was verified. Without a key all is as before.
    """
    if kind in _VERIFYING:
        return kind
    _VERIFYING.add(kind)
    otherwise = kind.from_pretrained.__func__

    def from_pretrained(
        cls: type[Any],
        pretrained_model_name_or_path: str | os.PathLike[str],
        *args: Any,
        verify_key: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        source = pretrained_model_name_or_path
        if verify_key is not None:
            source = package_directory(source, kwargs, verify_key)
            kwargs = {n: v for n, v in kwargs.items() if n not in (*DOWNLOAD, "revision")}
        return otherwise(cls, source, *args, **kwargs)

    kind.from_pretrained = classmethod(from_pretrained)
    return kind
