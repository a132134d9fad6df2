"""Makes a process of Linux lack what Windows or macOS lack; loaded as its ``sitecustomize``.

It takes modules, functions and constants away and lets calls fail as they fail there. What other
people's libraries do in their own way on each system, they go on doing in the way of Linux: they
are loaded before. It is no such system: it shows what this project asks for, not what it would get.
"""

import asyncio
import ctypes
import mmap
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import types
import urllib.request
from importlib import import_module
from pathlib import Path

import filelock._unix
import jinja2
import numpy
import PIL.Image
import PIL.JpegImagePlugin
import PIL.PngImagePlugin
import pydantic
import rich.console
import rich.progress
import rich.table
import tokenizers
import typer

LOADED = (asyncio, jinja2, numpy, PIL, pydantic, rich, subprocess, tokenizers, typer, urllib)
sysconfig.get_config_vars()
pydantic.Field()
for name in filter(None, os.environ["VLMFORGE_TEST_LOADED"].split(",")):
    import_module(name)

SYSTEM = os.environ["VLMFORGE_TEST_SYSTEM"]

MODULES = {
    "win32": ("fcntl", "grp", "pwd", "readline", "resource", "termios", "tty"),
    "darwin": (),
}
FUNCTIONS = {
    "win32": (
        *("chown", "fork", "getegid", "geteuid", "getgid", "getloadavg", "getuid", "mkfifo"),
        *("sched_getaffinity", "statvfs", "sysconf", "sysconf_names", "ST_RDONLY"),
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK"),
    ),
    "darwin": ("sched_getaffinity",),
}
SIGNALS = {"win32": ("SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2"), "darwin": ()}
ADVICE = {
    "win32": [name for name in vars(mmap) if name.startswith("MADV_")],
    "darwin": ["MADV_HUGEPAGE", "MADV_NOHUGEPAGE"],
}

DISK = shutil.disk_usage(".")
REAL = types.SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})


def take_away() -> None:
    """Take away what the system has not."""
    filelock._unix.os = REAL
    for name in MODULES[SYSTEM]:
        sys.modules[name] = None  # type: ignore[assignment]
    for module, names in ((os, FUNCTIONS), (signal, SIGNALS), (mmap, ADVICE)):
        for name in names[SYSTEM]:
            if hasattr(module, name):
                delattr(module, name)
    shutil._use_fd_functions = False
    shutil.disk_usage = lambda path: DISK  # type: ignore[assignment]
    sys.platform = SYSTEM


def _hide_proc() -> None:
    """There is no ``/proc``, and no such thing as ``dlopen(NULL)`` on Windows."""

    def stat(path: object, **options: object) -> os.stat_result:
        if isinstance(path, (str, Path)) and str(path).startswith(("/proc/", "/sys/")):
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return REAL.stat(path, **options)

    os.stat = stat  # type: ignore[assignment]

    class CDLL(ctypes.CDLL):
        def __init__(self, name: object, *arguments: object, **options: object) -> None:
            if name is None and SYSTEM == "win32":
                raise TypeError("bad argument type for built-in operation")
            super().__init__(name, *arguments, **options)

        def __getattr__(self, name: str) -> object:
            if name == "renameat2":
                raise AttributeError(name)
            return super().__getattr__(name)

    ctypes.CDLL = CDLL  # type: ignore[misc]


def _in_use(path: object) -> bool:
    """Whether this process has the file, or one below the directory, open or mapped."""
    named = REAL.path.realpath(path)
    held = []
    for number in REAL.listdir("/proc/self/fd"):
        try:
            held.append(REAL.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    with open("/proc/self/maps") as maps:  # noqa: PTH123
        held += [line.split(maxsplit=5)[5].strip() for line in maps if len(line.split()) > 5]
    held.append(REAL.getcwd())
    return any(each == named or each.startswith(f"{named}/") for each in held)


def _refuse_what_is_in_use() -> None:
    """Windows deletes and renames nothing that is open, and renames onto nothing."""

    def refusing(name: str, onto: bool) -> None:
        function = getattr(REAL, name)

        def call(path: object, *arguments: object, **options: object) -> object:
            if _in_use(path):
                raise PermissionError(13, "in use by another process", str(path))
            target = arguments[0] if onto else None
            if target is not None and REAL.path.lexists(target):
                if name == "rename":
                    raise FileExistsError(17, "it already exists", str(target))
                if REAL.path.isdir(target) or _in_use(target):
                    raise PermissionError(13, "access is denied", str(target))
            return function(path, *arguments, **options)

        setattr(os, name, call)

    for name in ("unlink", "remove", "rmdir"):
        refusing(name, onto=False)
    for name in ("rename", "replace"):
        refusing(name, onto=True)


take_away()
_hide_proc()
if SYSTEM == "win32":
    _refuse_what_is_in_use()
