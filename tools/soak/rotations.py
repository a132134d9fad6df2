"""Files of rotations: archives, the pickle in them, and their sidecars."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from pathlib import Path

from soak.damage import NUMBERS, damaged_bytes, damaged_document
from soak.kind import Case

SIZE, MODEL = 16, "1" * 64
FILE, SIDECAR = "global_rotation.pth", "global_rotation.json"
PICKLES = (
    b"cposix\nsystem\n",
    b"X\x04\0\0\0echo\x85R",
    b"cbuiltins\neval\n",
    b"(",
    b"t",
    b"}",
    b"0",
    b"1",
    b"\x81",
    b"b",
    b"R",
    b"Q",
    b"\x89",
    b"N",
    b"K\xff",
    b"J\xff\xff\xff\xff",
    b"h\0",
    b"q\0",
    b"2",
    b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00",
    b"P0\n",
    b"\x82\x01",
    b"\x93",
    b"(i",
    b"a",
    b"e",
)
NAMES = ("data/1", "../x", "code/a.py", "data.pkl", "attributes.pkl", "\0", "x" * 300)


class Rotations:
    """A rotation is read."""

    name, share = "rotations", 2.5

    def __init__(self) -> None:
        self.archive, self.sidecar = b"", b""

    def prepare(self, directory: Path) -> None:
        import torch

        from vlmforge.formats.rotation import Rotation, write_rotation

        rotation = Rotation.of(torch.eye(SIZE, dtype=torch.float64))
        write_rotation(directory / FILE, rotation, model="a", model_fingerprint=MODEL)
        self.archive = (directory / FILE).read_bytes()
        self.sidecar = (directory / SIDECAR).read_bytes()

    def make(self, rng: random.Random) -> Case:
        change = rng.randrange(6)
        if change == 0:
            sidecar = damaged_document(rng, json.loads(self.sidecar))
            return {FILE: self.archive, SIDECAR: sidecar}
        archive = damaged_bytes(rng, self.archive) if change == 1 else self._repacked(rng)
        return {FILE: archive, SIDECAR: self.sidecar}

    def _repacked(self, rng: random.Random) -> bytes:
        """The archive with its members damaged, and its checksums right."""
        packed, compression = io.BytesIO(), rng.choice((zipfile.ZIP_STORED,) * 9 + (8,))
        with (
            zipfile.ZipFile(io.BytesIO(self.archive)) as before,
            zipfile.ZipFile(packed, "w", compression) as after,
        ):
            for info in before.infolist():
                content = before.read(info)
                if info.filename.endswith("data.pkl"):
                    content = _damaged_pickle(rng, content)
                elif rng.random() < 0.05:
                    content = damaged_bytes(rng, content)
                after.writestr(info.filename, content)
            if rng.random() < 0.1:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # names that occur twice are meant
                    after.writestr("archive/" + rng.choice(NAMES), b"extra")
        return packed.getvalue()

    def attempt(self, case: Case, directory: Path) -> None:
        from vlmforge.formats.rotation import read_rotation

        for name, content in case.items():
            (directory / name).write_bytes(content)
        read_rotation(directory / FILE, size=SIZE, model_fingerprint=MODEL)


def _damaged_pickle(rng: random.Random, content: bytes) -> bytes:
    if rng.random() < 0.5:
        return damaged_bytes(rng, content)
    at = rng.randrange(len(content))
    piece = rng.choice(PICKLES) * rng.choice((1, 1, 1, 50, 5000))
    number = b"\x8a\x0d" + rng.choice(NUMBERS).to_bytes(13, "little", signed=True)
    return content[:at] + rng.choice((piece, number)) + content[at:]
