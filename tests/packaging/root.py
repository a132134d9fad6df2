"""A directory that stages of a Containerfile are built in, and programs run in, by chroot.

What an engine for containers does with images, without one; it takes root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.packaging.containerfile import Stage, Step

NETWORK = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files that say how this computer reaches package registries."""

CARRIED = ("PIP_CERT", "PIP_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
"""Variables that say the same."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are, as engines have it where nothing is said."""


@dataclass
class Root:
    """A directory tree, and what the Containerfile has said of it.

    Attributes:
        path: the tree.
        environment: of programs in it.
        directory: they begin in.
        user: they run as, ``UID:GID``.
    """

    path: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    directory: str = "/"
    user: str = "0:0"

    def build(self, stage: Stage, context: Path, others: Mapping[str, Root]) -> None:
        """Follow the instructions of a stage; those about running the image change nothing here."""
        for step in stage.steps:
            if step.name == "RUN":
                self._run(step.text)
            elif step.name == "COPY":
                source = others[step.options["from"]].path if step.options else context
                self._copy(step, source)
            elif step.name == "ENV":
                self.environment |= dict(word.split("=", 1) for word in step.listed)
            elif step.name == "WORKDIR":
                self.directory = step.text
                self._inner(".").mkdir(exist_ok=True)
            elif step.name == "USER":
                self.user = step.text
            else:
                assert step.name in ("EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT")

    def command(
        self, words: Iterable[str], mounts: Mapping[str, Path], *, sealed: bool = False
    ) -> list[str]:
        """The command that runs another one here, as process 1 of its own namespaces.

        Args:
            words: the command.
            mounts: what is shown where, read-only.
            sealed: whether the tree is read-only and the network is that of ``lo`` alone.
        """
        root = shlex.quote(str(self.path))
        script = [f"mount --bind {root} {root}", f"mount -t proc proc {root}/proc"]
        script += [f"mount --bind /dev/{name} {root}/dev/{name}" for name in ("null", "urandom")]
        for place, shown in mounts.items():
            inner = shlex.quote(str(self._placed(place, shown)))
            script += [f"mount --bind {shlex.quote(str(shown))} {inner}"]
            script += [f"mount -o remount,ro,bind {inner}"]
        if sealed:
            script += [f"mount -o remount,ro,bind {root}", "ip link set lo up"]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        inner = ["chroot", f"--userspec={self.user}", "--groups=", str(self.path), "/usr/bin/env"]
        inner += ["-i", f"--chdir={self.directory}", *variables, *words]
        script += [f"exec {shlex.join(inner)}"]
        apart = ["--mount", "--pid", "--fork", "--kill-child", *(["--net"] if sealed else [])]
        return ["unshare", *apart, "sh", "-ec", "\n".join(script)]

    def _run(self, text: str) -> None:
        carried = [f"{name}={os.environ[name]}" for name in CARRIED if name in os.environ]
        words = ["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", *carried, "/bin/sh", "-c", text]
        command = self.command(words, {name: Path(name) for name in NETWORK})
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"

    def _copy(self, step: Step, source: Path) -> None:
        *names, target = step.listed
        for name in names:
            found, place = source / name.lstrip("/"), self._inner(target)
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True)
            else:
                shutil.copy2(found, place)

    def _inner(self, path: str) -> Path:
        """Where a path of the tree, from the directory that programs begin in, lies outside."""
        return self.path / os.path.normpath(Path(self.directory, path)).lstrip("/")

    def _placed(self, place: str, shown: Path) -> Path:
        """A place to mount at."""
        inner = self.path / place.lstrip("/")
        if shown.is_dir():
            inner.mkdir(parents=True, exist_ok=True)
        else:
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.touch()
        return inner
