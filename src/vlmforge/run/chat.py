"""Chat: lines typed by a person become turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vlmforge.errors import RunError, VlmforgeError
from vlmforge.run.conversation import Conversation
from vlmforge.run.generate import Options
from vlmforge.run.preprocess import read_image
from vlmforge.run.session import Session

HELP = """/image FILE  show an image with the next question
/reset       forget the conversation
/exit        leave
"""


class Chat:
    """An interactive conversation.

    Args:
        session: the package.
        write: receives all output, answers piece by piece.
        options: how answers are generated.
    """

    def __init__(
        self, session: Session, write: Callable[[str], None], options: Options | None = None
    ) -> None:
        self._conversation = Conversation(session)
        self._write, self._options = write, options or Options()
        self._messages: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []

    def run(self, lines: Iterable[str]) -> None:
        """Handle lines until ``/exit`` or the end of input."""
        for line in lines:
            if not self.handle(line):
                return

    def handle(self, line: str) -> bool:
        """Handle one line: a command or a question; False if the chat is over.

        A failure is written, and leaves the conversation as it was before the line.
        """
        command, _, argument = line.strip().partition(" ")
        if command == "/exit":
            return False
        try:
            if command.startswith("/"):
                self._command(command, argument.strip())
            elif command:
                self.ask(line.strip())
        except VlmforgeError as error:
            self._write(f"{error}\n")
        return True

    def show(self, image: Path) -> None:
        """Show an image with the next question; raises :class:`RunError` if it is unreadable."""
        self._images.append({"type": "image", "image": read_image(image)})

    def ask(self, text: str) -> None:
        """Ask, and write the answer as it is generated; raises :class:`RunError`."""
        parts = [*self._images, {"type": "text", "text": text}]
        content = parts if self._images else text  # templates of plain decoders take texts only
        messages = [*self._messages, {"role": "user", "content": content}]
        answer = self._conversation.generate(messages, self._options, self._write)
        self._write("\n")
        reply = {"role": "assistant", "content": answer.text}
        self._messages, self._images = [*messages, reply], []

    def _command(self, command: str, argument: str) -> None:
        if command == "/image":
            self.show(Path(argument).expanduser())
        elif command == "/reset":
            self._messages, self._images = [], []
        elif command == "/help":
            self._write(HELP)
        else:
            raise RunError(f"there is no command {command}", mend="see /help")
