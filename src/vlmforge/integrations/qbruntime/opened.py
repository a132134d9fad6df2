"""Opened: a package whose programs clients open one by one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar
from weakref import WeakValueDictionary

from vlmforge.decode.lock import Lock
from vlmforge.errors import PackageError, RunError
from vlmforge.formats.package import Package, PackageFiles
from vlmforge.hub.packages import open_found
from vlmforge.images.tiles import TILES
from vlmforge.integrations.qbruntime.rows import ImageRows, Words
from vlmforge.program.core import Program
from vlmforge.signing.keys import VerifyingKey

_OPENED: WeakValueDictionary[Path, Opened] = WeakValueDictionary()
_OPENING = Lock()


class Opened:
    """A package, and what its models know of each other's runs.

    Args:
        directory: of the package.

    Attributes:
        package: its files.
        images: what its vision program has encoded.
    """

    verify_key: ClassVar[Path | None] = None
    """File of the public key with which packages have to be signed."""

    def __init__(self, directory: Path) -> None:
        self.package: Package = open_found(directory, verify_key=self.verify_key)
        self.images = ImageRows()
        self._files = PackageFiles.of(directory, self.package.settings)

    @classmethod
    def require_signed(cls, verify_key: Path) -> None:
        """Open no package from now on but those signed with a key.

        Raises:
            SignatureError, SystemFailure, InstallError: as :meth:`VerifyingKey.load`.
        """
        VerifyingKey.load(verify_key)
        with _OPENING:
            cls.verify_key = verify_key.absolute()
            _OPENED.clear()

    @staticmethod
    def at(program: Path) -> Opened:
        """The package that a program lies in, opened once for all of its models.

        Raises:
            PackageError: it lies in none.
            SignatureError: it is not signed as it has to be.
            RunError: there is no such file.
        """
        if not program.is_file():
            raise RunError(f"there is no file {program}", mend="name a program of a package")
        directory = program.parent.resolve()
        with _OPENING:
            found = _OPENED.get(directory)
            if found is None:
                found = _OPENED[directory] = Opened(directory)
        return found

    @cached_property
    def words(self) -> Words:
        """Its embeddings."""
        return Words(self.package.embeddings)

    @property
    def dynamic(self) -> bool:
        """Whether clients pass the angles of rotary embeddings, as where images have any size."""
        vision = self.package.vision
        return vision is not None and vision.meta.get("layout") == "dynamic"

    def program(self, file: str) -> Program:
        """The program of a file of this name.

        Raises:
            PackageError: the package names no such program, or one that no client has an interface
                to.
        """
        package, where = self.package, self.package.dir / file
        programs = {self._files.text.name: package.text}
        if self._files.vision is not None and package.vision is not None:
            programs[self._files.vision.name] = package.vision
        if file not in programs:
            mend = f"name one of: {', '.join(programs)}"
            raise PackageError("config.json names no such program", where=where, mend=mend)
        self._require_known(programs[file], where)
        return programs[file]

    def _require_known(self, program: Program, where: Path) -> None:
        further = program.meta.get("stream_inputs")
        if program.meta.get("layout") == TILES or further:
            what = f"further inputs ({', '.join(further)})" if further else "images in tiles"
            raise PackageError(
                f"the program takes {what}, which this interface does not know",
                where=where,
                mend="run the package with vlmforge itself, or with vlmforge.integrations."
                "transformers",
            )
