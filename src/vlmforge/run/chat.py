"""Chat: lines typed by a person become turns of a conversation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vlmforge.decode.generate import Options
from vlmforge.errors import RunError, VlmforgeError
from vlmforge.formats.output import expanded
from vlmforge.images.reading import read_image
from vlmforge.images.video import Video
from vlmforge.prompt.encoder import blind
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

HELP = """/image FILE  show an image with the next question
/video FILE  show a video with the next question
/system TEXT say how to answer from now on; without TEXT, as by default
/reset       forget the conversation
/help        this list
/exit        leave
"""


class Chat:
    """An interactive conversation.

    Args:
        session: the package.
        write: receives answers piece by piece.
        options: how answers are generated.
        tell: receives failures and help, ``write`` by default.
        on_speed: receives after each answer how fast it was.
        stopped: asked after each token whether the answer is to end there.
    """

    def __init__(
        self,
        session: Session,
        write: Callable[[str], None],
        options: Options | None = None,
        tell: Callable[[str], None] | None = None,
        on_speed: Callable[[str], None] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._session, self._conversation = session, Conversation(session)
        self._write, self._options = write, options or Options()
        self._tell, self._on_speed, self._stopped = tell or write, on_speed, stopped
        self._system: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []
        self._shown: list[dict[str, Any]] = []

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
            self._tell(f"{error}\n")
        return True

    def show(self, image: Path | str) -> None:
        """Show an image with the next question; raises :class:`ImageError` if it is unreadable."""
        self._shown.append({"type": "image", "image": read_image(image)})

    def show_video(self, video: Path) -> None:
        """Show a video with the next question; its frames are read now, and kept.

        Raises:
            VideoError: it is unreadable or too long.
            RunError: the package has no vision program.
        """
        if self._session.preprocess is None:
            raise blind()
        visual = self._session.preprocess.videos(Video(video), self._session.max_length)
        self._shown.append({"type": "video", "video": visual.frames})

    def ask(self, text: str) -> None:
        """Ask, and write the answer as it is generated; raises :class:`RunError`.

        Of an answer that is stopped the conversation keeps what was written.
        """
        parts = [*self._shown, {"type": "text", "text": text}]
        content = parts if self._shown else text  # templates of plain decoders take texts only
        messages = [*self._messages, {"role": "user", "content": content}]
        answer = self._answer([*self._system, *messages])
        reply = {"role": "assistant", "content": answer}
        self._messages, self._shown = [*messages, reply], []

    def _answer(self, messages: list[dict[str, Any]]) -> str:
        texts: list[str] = []
        times = [time.perf_counter()]
        for step in self._conversation.stream(messages, self._options):
            times.append(time.perf_counter())
            texts.append(step.text)
            if step.text:
                self._write(step.text)
            if self._stopped():
                break
        self._write("\n")
        if self._on_speed is not None:
            self._on_speed(_speed(times))
        return "".join(texts)

    def _command(self, command: str, argument: str) -> None:
        if command == "/image":
            self.show(expanded(argument))
        elif command == "/video":
            self.show_video(expanded(argument))
        elif command == "/system":
            self._system = [{"role": "system", "content": argument}] if argument else []
        elif command == "/reset":
            self._messages, self._shown = [], []
        elif command == "/help":
            self._tell(HELP)
        else:
            raise RunError(f"there is no command {command}", mend="see /help")


def _speed(times: list[float]) -> str:
    """How fast tokens came, of the moments of the question and of each token."""
    first, tokens = times[1] - times[0], len(times) - 1
    if tokens == 1:
        return f"1 token after {first:.2f} s"
    rate = (tokens - 1) / max(times[-1] - times[1], 1e-9)
    return f"{tokens} tokens, the first after {first:.2f} s, {rate:.1f} tokens/s"
