"""The last stage: the compiled parts of a workspace to a package directory."""

from __future__ import annotations

from pathlib import Path

from vlmforge.calibrate.scenes import draw_scene
from vlmforge.config import CompileConfig
from vlmforge.decode.generate import Options
from vlmforge.formats.chat_template import TEMPLATE_FILE
from vlmforge.formats.package import open_package
from vlmforge.package.build import build_package
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session
from vlmforge.source.checkpoint import Checkpoint
from vlmforge.stages.rotation import read_r1
from vlmforge.stages.workspace import Workspace

QUESTION = "What do you see?"
ANSWER_TOKENS = 4


def package(
    checkpoint: Checkpoint, space: Workspace, output: Path, config: CompileConfig | None = None
) -> Path:
    """Join the compiled parts of a workspace into a package directory that answers a question.

    Raises:
        VlmforgeError: a part is missing, or they do not belong together; ``output`` stays as it
            was.
    """
    rotated = config is None or config.equivalent_transformation.spin_r1.apply
    rotation = read_r1(checkpoint, space.rotation) if rotated else None
    vision = space.mxq("vision") if "vision" in checkpoint.components else None
    return build_package(checkpoint, space.mxq("language"), vision, rotation, output, try_package)


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
