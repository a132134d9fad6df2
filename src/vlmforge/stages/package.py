"""The last stage: the compiled parts of a workspace to a package directory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from vlmforge.calibrate.scenes import draw_scene
from vlmforge.config import CompileConfig
from vlmforge.decode.generate import Options
from vlmforge.formats.atomic import atomic_file
from vlmforge.formats.chat_template import TEMPLATE_FILE
from vlmforge.formats.package import open_package
from vlmforge.package.build import build_package, config_text, write_embedding
from vlmforge.package.settings import write_settings
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.signing.keys import SigningKey
from vlmforge.signing.package import sign_package
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.rotation import read_r1
from vlmforge.stages.workspace import Workspace

QUESTION = "What do you see?"
ANSWER_TOKENS = 4


def write_package(
    checkpoint: Checkpoint,
    space: Workspace,
    output: Path | str,
    config: CompileConfig | None = None,
    sign: SigningKey | None = None,
) -> Path:
    """Join the compiled parts of a workspace into a package directory that answers a question.

    It is signed with the key ``sign``, if there is one.

    Raises:
        VlmforgeError: a part is missing, or they do not belong together; ``output`` stays as it
            was.
    """
    rotated = config is None or config.equivalent_transformation.spin_r1.apply
    rotation = read_r1(checkpoint, space.rotation) if rotated else None
    vision = space.mxq("vision") if "vision" in checkpoint.components else None
    text, output = space.mxq("language"), Path(output)
    check = try_package if sign is None else partial(_tried_and_signed, sign)
    return build_package(checkpoint, text, vision, rotation, output, check)


def _tried_and_signed(key: SigningKey, directory: Path) -> None:
    try_package(directory)
    sign_package(directory, key)


def write_package_config(checkpoint: Checkpoint, path: Path | str) -> Path:
    """Write the ``config.json`` of a package, and beside it what reads prompts and images.

    For whoever puts a package together file by file; :func:`write_package` writes all of it.
    What stands there is replaced.

    Raises:
        SourceError, FormatError: a file of the checkpoint is missing or malformed.
    """
    path = Path(path)
    with TemporaryDirectory() as folder:
        write_settings(checkpoint, Path(folder))
        for file in Path(folder).iterdir():
            _replace(path.with_name(file.name), file.read_bytes())
    _replace(path, config_text(checkpoint))
    return path


def _replace(path: Path, content: bytes) -> None:
    with atomic_file(path) as file:
        file.write(content)


def write_package_embedding(
    checkpoint: Checkpoint, rotation: Path | str | None, path: Path | str
) -> Path:
    """Write the ``model.safetensors`` of a package: the token embedding, rotated by R1.

    Args:
        checkpoint: the original model.
        rotation: R1's file, as the language model's compilation left it; None where it was
            compiled without.
        path: the file to write; what stands there is replaced.

    Raises:
        RotationError: R1 is missing or of another model.
    """
    r1 = None if rotation is None else read_r1(checkpoint, rotation)
    write_embedding(checkpoint, r1, Path(path))
    return Path(path)


def try_package(directory: Path) -> None:
    """Ask a package a question, as its user will; one without a chat template is only opened."""
    if not (directory / TEMPLATE_FILE).is_file():
        open_package(directory)
        return
    session = Session.open(directory)
    content: object = QUESTION
    if session.vision is not None:
        picture = {"type": "image", "image": draw_scene(0).image}
        content = [picture, {"type": "text", "text": QUESTION}]
    messages = [{"role": "user", "content": content}]
    Conversation(session).generate(messages, Options(max_new_tokens=ANSWER_TOKENS))
