"""The file of the global rotation R1, which the vision encoder and the embedding share."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlmforge.errors import FormatError, RotationError
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.document import Document, parse_object, validate
from vlmforge.formats.kinds import ROTATION
from vlmforge.formats.output import require_replaceable
from vlmforge.formats.torchscript import read_tensor

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-5
"""Largest element of ``|R^T R - I|``; a float32 rotation stays below it."""

MAX_SIDECAR = 1 << 20
MEND = (
    "name the rotation of this model with --spin-weight-dir, or run `vlmforge mxq language`, which "
    "writes it where SpinR1 applies"
)


@dataclass(frozen=True)
class Rotation:
    """An orthogonal matrix.

    Attributes:
        matrix: ``[size, size]`` float64, applied as ``activations @ matrix``.
        fingerprint: SHA-256 in hex of the matrix as row-major little-endian float64.
    """

    matrix: torch.Tensor
    fingerprint: str

    @staticmethod
    def of(matrix: torch.Tensor) -> Rotation:
        """The rotation of a float32 or float64 matrix."""
        double = matrix.detach().cpu().double().contiguous()
        return Rotation(double, hashlib.sha256(double.numpy().astype("<f8").tobytes()).hexdigest())

    @property
    def size(self) -> int:
        return int(self.matrix.shape[0])


class _Sidecar(Document):
    """The JSON file beside the archive, which says whose rotation it is."""

    kind: Literal["R1"]
    model: str
    model_fingerprint: str
    size: int
    fingerprint: str


def r1_path(spin_dir: str | Path, text_model: str) -> Path:
    """Where R1 of a text model (such as ``Qwen2-VL-2B-Instruct_text_model``) lies."""
    return Path(spin_dir) / text_model / "R1" / "global_rotation.pth"


def sidecar_path(path: str | Path) -> Path:
    """The JSON file beside the archive."""
    return Path(path).with_suffix(".json")


def write_rotation(
    path: str | Path, rotation: Rotation, *, model: str, model_fingerprint: str
) -> None:
    """Write R1 as a TorchScript archive whose ``state_dict()["0"]`` is the matrix, and its sidecar.

    The same matrix gives the same bytes.
    """
    import torch

    require_replaceable(path, ROTATION)
    parameter = torch.nn.Parameter(rotation.matrix, requires_grad=False)
    archive = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ParameterList([parameter])), archive)
    with atomic_file(Path(path)) as file:
        file.write(archive.getvalue())
    facts = {
        "kind": "R1",
        "model": model,
        "model_fingerprint": model_fingerprint,
        "size": rotation.size,
        "fingerprint": rotation.fingerprint,
    }
    with atomic_file(sidecar_path(path)) as file:
        file.write((json.dumps(facts, indent=2) + "\n").encode())


def read_rotation(path: str | Path, *, size: int, model_fingerprint: str) -> Rotation:
    """Read R1.

    Args:
        path: the archive; its sidecar lies beside it.
        size: of the residual stream it must rotate.
        model_fingerprint: of the model it must have been made for.

    Raises:
        RotationError: a file is missing or malformed, or the rotation is not orthogonal, of
            another size or of another model.
    """
    path = Path(path)
    sidecar = _read_sidecar(path)
    if sidecar.model_fingerprint != model_fingerprint:
        what = f"the rotation is of another model, {sidecar.model}"
        raise RotationError(what, where=path, mend=MEND)
    if sidecar.size != size:
        what = f"the rotation is of size {sidecar.size}, the model of size {size}"
        raise RotationError(what, where=path, mend=MEND)
    rotation = Rotation.of(_read_matrix(path, size))
    if rotation.fingerprint != sidecar.fingerprint:
        what = "the rotation was altered: it does not match the fingerprint beside it"
        raise RotationError(what, where=path, mend=MEND)
    _require_orthogonal(rotation, path)
    return rotation


def _read_sidecar(path: Path) -> _Sidecar:
    sidecar = sidecar_path(path)
    for file in (path, sidecar):
        if not file.is_file():
            what = f"the rotation's file {file.name} is missing"
            raise RotationError(what, where=file, mend=MEND)
    try:
        if sidecar.stat().st_size > MAX_SIDECAR:
            raise FormatError("it is too large", where=sidecar)
        facts = parse_object(sidecar.read_bytes(), "the sidecar", sidecar)
        return validate(_Sidecar, facts, sidecar)
    except (OSError, FormatError) as error:
        what = f"the rotation's sidecar is malformed: {getattr(error, 'what', error)}"
        raise RotationError(what, where=sidecar, mend=MEND) from error


def _read_matrix(path: Path, size: int) -> torch.Tensor:
    """The matrix of the archive; its size is known before anything is read."""
    import torch

    largest = 8 * size * size + MAX_SIDECAR
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise FormatError("it is too large for its size")
        matrix = read_tensor(content, "0")
    except (OSError, FormatError) as error:
        reason = getattr(error, "what", error)
        what = f"the rotation's file is not a TorchScript archive of a matrix: {reason}"
        raise RotationError(what, where=path, mend=MEND) from error
    if matrix.shape != (size, size):
        what = f'the archive\'s state_dict()["0"] is no matrix of {size}x{size} floats'
        raise RotationError(what, where=path, mend=MEND)
    return torch.from_numpy(matrix)


def _require_orthogonal(rotation: Rotation, path: Path) -> None:
    import torch

    identity = torch.eye(rotation.size, dtype=torch.float64)
    error = (rotation.matrix.T @ rotation.matrix - identity).abs().max().item()
    if not error <= TOLERANCE:
        what = f"the rotation is not orthogonal: R^T R differs from I by {error:.2g}"
        raise RotationError(what, where=path, mend=MEND)
