"""Chat templates, rendered with messages of all sorts."""

from __future__ import annotations

import json
import random
from pathlib import Path

from soak.damage import damaged_bytes, damaged_json
from soak.kind import Case

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {
        "role": "user",
        "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}],
    },
    {"role": "assistant", "content": "A star."},
    {"role": "user", "content": "Where?"},
]
PIECES = (
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 9999999999 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ ['a'] * 999999999 }}",
    "{{ 'a'.ljust(9999999999) }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '{:>9999999999}'.format(1) }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% generation %}{{ messages }}{% endgeneration %}",
    "{{ messages.__class__.__mro__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ raise_exception('no') }}",
    "{{ strftime_now('%Y %q \\ud83d') }}",
    "{{ messages[99].content }}",
    "{{ messages[0].nothing.at.all }}",
    "{{ 1 / 0 }}",
    "{{ messages | tojson(indent=99999) }}",
    "{{ none + 1 }}",
    "{% include 'other' %}",
    "{% import 'other' as o %}",
    "{% extends messages[0].role %}",
    "{{ messages | sort }}{{ messages | join | upper | list | batch(0) }}",
    "{{ 'x' | int('y') }}{{ 5 | format }}{{ '%s' | format }}{{ 'a' | indent('b') }}",
    "{{ lipsum(n=99999) }}",
    "{% call(x) messages() %}{% endcall %}",
    "{% break %}",
    "{% if %}",
    "{{",
    "{#",
)


class Templates:
    """A template is parsed and rendered."""

    name, share = "chat templates", 1.5

    def __init__(self) -> None:
        self.source = ""

    def prepare(self, directory: Path) -> None:
        from vlmforge.sample import checkpoint

        self.source = (checkpoint() / "chat_template.jinja").read_text(encoding="utf-8")

    def make(self, rng: random.Random) -> Case:
        lines = self.source.splitlines(keepends=True)
        for _ in range(rng.choice((0, 1, 1, 2))):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(PIECES))
        source = "".join(lines)
        if rng.random() < 0.4:
            source = damaged_bytes(rng, source.encode()).decode(errors="replace")
        messages = damaged_json(rng, MESSAGES) if rng.random() < 0.5 else MESSAGES
        return {
            "chat_template.jinja": source.encode("utf-8", "surrogatepass"),
            "messages.json": json.dumps(messages).encode(),
        }

    def attempt(self, case: Case, directory: Path) -> None:
        from vlmforge.prompt.messages import shown_in
        from vlmforge.prompt.template import ChatTemplate

        (directory / "chat_template.jinja").write_bytes(case["chat_template.jinja"])
        messages = json.loads(case["messages.json"])
        template = ChatTemplate.load(directory)
        if isinstance(messages, list):
            list(shown_in(messages))
            template.render(messages)
