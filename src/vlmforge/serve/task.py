"""Task: one request on its way through an engine."""

from __future__ import annotations

from collections import deque

import numpy as np

from vlmforge.decode.context import Context, require_room
from vlmforge.decode.generate import Options
from vlmforge.decode.inputs import Inputs
from vlmforge.decode.prefix import PrefixCache
from vlmforge.decode.prompt_read import PromptRead, PromptScores
from vlmforge.decode.reading import Reading, refill
from vlmforge.decode.vision import ImageFeatures
from vlmforge.images.visual import Visual
from vlmforge.run.session import Session
from vlmforge.serve.answer import Answer


class Task:
    """A prompt that becomes an answer.

    It *waits* without a context; admitted, it is *seeing* until its images are encoded, then
    *prefilling* until its tokens are read, then *decoding* one token at a time.

    Args:
        session: the package.
        token_ids, visuals: of :meth:`Session.prepare`.
        options: how to answer.
        answer: where the steps go.

    Raises:
        RunError: the prompt is empty or longer than the session's maximum length.
    """

    def __init__(
        self,
        session: Session,
        token_ids: np.ndarray,
        visuals: list[Visual],
        options: Options,
        answer: Answer,
    ) -> None:
        require_room(len(token_ids), 0, session.max_length)
        self.answer = answer
        self.unseen = deque(visuals)
        self.rows = list[np.ndarray]()  # of the slices of the next one that are encoded
        self.inputs: Inputs | None = None if visuals else session.join(token_ids, ())
        self.context: Context | None = None
        self.reading: Reading | None = None
        self.decoding = False
        self._session = session
        self._token_ids, self._images = token_ids, list[ImageFeatures]()
        self._decoder = session.new_decoder(options, len(token_ids))
        self._options, self._cached = options, 0
        self._scores: PromptScores | None = None
        self._generated: list[int] = []

    @property
    def length(self) -> int:
        """Tokens of the prompt and of the answer so far: those its cache has to hold."""
        return len(self._token_ids) + len(self._generated)

    @property
    def read(self) -> int:
        """Tokens its cache holds."""
        return 0 if self.context is None else self.context.length

    @property
    def prefilling(self) -> bool:
        """Whether its tokens can be read and have not been."""
        return self.inputs is not None and not self.decoding

    def admit(self) -> None:
        """Give it a cache."""
        self.context = self._session.new_context()

    def see(self, image: ImageFeatures | None) -> None:
        """Take the features of its next image or video, if they are there already."""
        if image is None:
            return
        self.unseen.popleft()
        self.rows.clear()
        self._images.append(image)
        if not self.unseen:
            self.inputs = self._session.join(self._token_ids, self._images)

    def begin(self, prefixes: PrefixCache) -> Reading:
        """The reading of its tokens, which leaves out what others have read."""
        assert self.context is not None and self.inputs is not None
        if self.reading is None:
            scores = None if self._generated else self._options.scores(self._token_ids)
            self.reading = refill(self.context, self.inputs, 1, prefixes, scores)
            if not self._generated:
                self._scores, self._cached = scores, self.context.length
        return self.reading

    def advance(self) -> None:
        """Choose the next token from what has been read, and make it the next to be read."""
        assert self.context is not None and self.reading is not None
        if not self._generated:
            found = self._scores.found if self._scores else ()
            self._decoder.begin(PromptRead(len(self._token_ids), self._cached, found))
        step = self._decoder(self.reading.logits[0], self.context.token_ids)
        self._generated.append(step.token_id)
        self.decoding = True
        if step.finish is None:
            token = np.array([step.token_id], np.int64)
            self.reading = Reading(self.context, Inputs.plain(token))
        self.answer.add(step)

    def preempt(self) -> None:
        """Give the cache back; all tokens so far are to be read again."""
        if self.inputs is not None:
            missing = self._generated[len(self.inputs) - len(self._token_ids) :]
            self.inputs = self.inputs.followed_by(np.array(missing, np.int64))
        self.context, self.reading, self.decoding = None, None, False
