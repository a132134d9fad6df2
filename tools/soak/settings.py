"""Settings files of packages, and of checkpoints."""

from __future__ import annotations

import json
import random
from pathlib import Path

from soak.damage import damaged_bytes, damaged_document
from soak.kind import Case


class _Files:
    """A directory of which one or two files are damaged."""

    share = 3.0

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.whole = Path()
        self.contents: dict[str, bytes] = {}

    def keep(self, whole: Path) -> None:
        """Take note of an intact directory, which is left as it is."""
        self.whole = whole
        found = [name for name in self.names if (whole / name).is_file()]
        self.contents = {name: (whole / name).read_bytes() for name in found}

    def make(self, rng: random.Random) -> Case:
        most = min(len(self.contents), rng.choice((1, 1, 1, 2)))
        names = rng.sample(sorted(self.contents), most)
        return {name: self._damaged(rng, self.contents[name]) for name in names}

    def _damaged(self, rng: random.Random, content: bytes) -> bytes:
        try:
            return damaged_document(rng, json.loads(content))
        except ValueError:
            return damaged_bytes(rng, content)

    def directory(self, case: Case, directory: Path) -> Path:
        """The intact directory with the files of the case in the place of its own."""
        for file in self.whole.iterdir():
            if file.name not in case:
                (directory / file.name).symlink_to(file)
        for name, content in case.items():
            (directory / name).write_bytes(content)
        return directory


class PackageSettings(_Files):
    """A package is opened and asked."""

    name = "package settings"

    def __init__(self) -> None:
        super().__init__(
            (
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
            )
        )

    def prepare(self, directory: Path) -> None:
        from tests.conftest import write_checkpoint
        from tests.packages import write_package

        (directory / "checkpoint").mkdir()
        self.keep(write_package(directory / "package", write_checkpoint(directory / "checkpoint")))

    def attempt(self, case: Case, directory: Path) -> None:
        from PIL import Image

        from vlmforge.decode.generate import Options
        from vlmforge.run.conversation import Conversation
        from vlmforge.run.session import Session

        session = Session.open(self.directory(case, directory))
        image = {"type": "image", "image": Image.new("RGB", (28, 28))}
        asked = [{"role": "user", "content": [image, {"type": "text", "text": "Hi?"}]}]
        Conversation(session).generate(asked, Options(max_new_tokens=2))


class CheckpointSettings(_Files):
    """A checkpoint is looked at as before a compilation, and captured."""

    name = "checkpoint settings"

    def __init__(self) -> None:
        super().__init__(
            (
                "chat_template.jinja",
                "config.json",
                "generation_config.json",
                "preprocessor_config.json",
                "tokenizer.json",
                "tokenizer_config.json",
            )
        )

    def prepare(self, directory: Path) -> None:
        from tests.conftest import write_checkpoint

        for name in ("model", "intact"):
            (directory / name).mkdir()
        self.keep(write_checkpoint(directory / "model"))
        self.attempt({}, directory / "intact")  # all is imported before processes part

    def attempt(self, case: Case, directory: Path) -> None:
        from vlmforge.capture.component import capture
        from vlmforge.images.layout import DYNAMIC, FIXED
        from vlmforge.original.health import require_healthy
        from vlmforge.source.checkpoint import Checkpoint
        from vlmforge.source.pictures import pictures_for
        from vlmforge.stages.agreement import require_agreement

        checkpoint = Checkpoint.open(str(self.directory(case, directory)))
        require_healthy(checkpoint)
        for layout in (FIXED, DYNAMIC):
            require_agreement(checkpoint, layout)
            for component in checkpoint.components:
                capture(checkpoint, component, pictures_for(checkpoint, layout))
