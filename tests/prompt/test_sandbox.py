"""Templates of any origin end soon, in little memory, with a text or a :class:`VlmforgeError`."""

from __future__ import annotations

import contextlib
import json
import random
import resource
import subprocess
import sys
import time

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vlmforge.errors import PackageError, RunError
from vlmforge.prompt.template import LONGEST_SOURCE, ChatTemplate

HELLO = [{"role": "user", "content": "hello"}]

LOOPS = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "{% macro m(n) %}{{ m(n) }}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
    "{% block b %}{{ self.b() }}{% endblock %}",
    "{% for i in range(99999) %}" + "text" * 9999 + "{% endfor %}",
    "{% set x %}{% for i in range(99999) %}" + "text" * 9999 + "{% endfor %}{% endset %}",
    "{% filter upper %}{% for i in range(99999) %}" + "text" * 9999 + "{% endfor %}{% endfilter %}",
    "{{ range(99999) | map('string') | map('center', 999) | join | length }}",
    "{{ range(99999) | batch(2) | map('list') | list | tojson }}",
]
GROWTH = [
    "{{ 'a' * 10**9 }}",
    "{{ ['a'] * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ 2 ** 200000 % 7 }}",
    "{{ 'a' | center(10**9) }}",
    "{{ 'a'.center(10**9) }}{{ 'a'.zfill(10**9) }}",
    "{{ 'a'.ljust(width=10**9) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ '%.1000000000f' % 1 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '{:>{}}'.format(1, 10**9) }}",
    "{{ '{a:>1000000000}'.format_map({'a': 1}) }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ ('{0}' * 9999).format('a' * 99999) }}",
    "{{ ('%s' * 999) % ((('a' * 99999),) * 999) }}",
    "{{ ('a' * 99999).replace('', 'b' * 99999) }}",
    "{{ ('a' * 99999) | replace('a', 'b' * 99999) }}",
    "{{ ('a' * 99999).join('b' * 99999) }}",
    "{{ ('b' * 99999) | join('a' * 99999) }}",
    "{{ ('a' * 99999) | list | join('a' * 99999) }}",
    "{{ ('a\\n' * 99999) | indent(99999) }}",
    "{{ ('a\\n' * 99999) | indent('b' * 99999) }}",
    "{{ [1] | batch(10**9, 'x') | list }}",
    "{{ [1] | slice(10**9) | list }}",
    "{{ 1.5 | round(10**9, 'ceil') }}",
    "{{ messages | tojson(indent=10**9) }}",
    "{{ messages | tojson(indent='a' * 99999) }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ 'a'.encode('utf-8').center(10**9) }}",
    "{{ 'aaaa'.translate({97: 'b' * 99999}) }}",
    "{{ 'a'.expandtabs(10**9) }}{{ '\\t'.expandtabs(10**9) }}",
    "{{ lipsum(n=99999) }}",
    "{{ dict(a=range(99999)).fromkeys(range(99999)) }}",
    "{{ cycler(*range(99999)) }}{{ [[1]] * 999 | sum(start=[]) }}",
    "{% autoescape 'a' | center(10**9) %}{% endautoescape %}",
    "{% autoescape true %}{{ ('<' * 99999) * 9999 }}{% endautoescape %}",
    "{{ ('a' * 9999) ~ ('a' * 9999) * 99999 }}",
]
DOUBLING = [
    "n.x + n.x",
    "n.x ~ n.x",
    "n.x * 2",
    "[n.x, n.x]",
    "(n.x, n.x)",
    "{'a': n.x, 'b': n.x}",
    "dict(a=n.x, b=n.x)",
    "namespace(a=n.x, b=n.x)",
    "[n.x] * 2",
    "[n.x] + [n.x]",
    "n.x | string + n.x | string",
    "'%s%s' % (n.x, n.x)",
    "'{0}{0}'.format(n.x)",
    "'{0!r}{0}'.format(n.x)",
    "[n.x, n.x] | join",
    "[n.x, n.x] | tojson",
    "(n.x | string).replace('', n.x | string)",
    "n.x | string | list + n.x | string | list",
    "[n.x, n.x] | map('string') | list",
    "(n.x | string | upper) ~ n.x",
    "(n.x | string | urlencode) ~ n.x",
    "[[n.x], [n.x]] | sum(start=[])",
]
USES = [
    "{{ n.x }}",
    "{{ n.x == n.y }}",
    "{{ n.x in [n.y] }}",
    "{{ [n.x, n.y] | unique | list }}",
    "{{ [n.x, n.y] | sort }}",
    "{{ {n.x: 1} }}",
    "{{ n.x | tojson }}",
    "{{ n.x | string | length }}",
    "{{ n.x is eq n.y }}",
    "{{ (n.x | string)[1:] }}",
    "{{ n.x | list | reverse | list }}",
    "{{ (n.x | string).rfind('b' + 'a' * 9999) }}",
    "{{ (n.x | string).strip('bcdefa' * 9999) }}",
    "{{ '%s' % n.x }}{{ '{}'.format(n.x) }}",
]
FAILURES = [
    "{{ 1 / 0 }}",
    "{{ 1 % 0 }}",
    "{{ 1e308 * 10 ** 400 }}",
    "{{ 2.0 ** 99999 }}",
    "{{ none + 1 }}",
    "{{ [] < 1 }}",
    "{{ strftime_now('\ud83d') }}",
    "{{ messages | tojson(nothing=1) }}",
    "{{ {[]: 1} }}",
    "{{ '%d' % 'x' }}",
    "{{ '{' .format() }}",
    "{% for a, b in [1] %}{% endfor %}",
    "{% include 'other' %}",
    "{{ messages | tojson(default=raise_exception) | int | abs / 0 }}",
]
ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format(messages) }}",
    "{{ '{m.__class__}'.format_map({'m': messages}) }}",
    "{{ (''|attr('format'))('{0.__class__}') }}",
    "{{ ['{0.__class__}'] | map('format', messages) | list }}",
    "{{ 'x'.encode('punycode') }}",
    "{{ dict.fromkeys([1]) }}",
]


@pytest.mark.parametrize("source", LOOPS + GROWTH)
def test_too_much_is_refused_soon(source: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.thread_time()

    with pytest.raises((RunError, PackageError)):
        print(len(ChatTemplate(source).render(HELLO)))

    assert time.thread_time() - began < 1.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize("grow", DOUBLING)
@pytest.mark.parametrize("use", USES)
def test_doubling_ends(grow: str, use: str) -> None:
    source = (
        "{% set n = namespace(x='a', y='a') %}{% for i in range(60) %}"
        f"{{% set n.x = {grow} %}}{{% set n.y = {grow.replace('.x', '.y')} %}}{{% endfor %}}{use}"
    )
    began = time.thread_time()

    with pytest.raises(RunError):
        ChatTemplate(source).render(HELLO)

    assert time.thread_time() - began < 1.5


@pytest.mark.parametrize("source", FAILURES)
def test_whatever_expressions_raise_is_an_error(source: str) -> None:
    with pytest.raises(RunError, match="rejects the messages"):
        ChatTemplate(source).render(HELLO)


@pytest.mark.parametrize("source", ESCAPES)
def test_nothing_leaves_the_sandbox(source: str) -> None:
    with contextlib.suppress(RunError):
        assert "class" not in ChatTemplate(source).render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
        "{{" + "[" * 5000,
        "{% if 1 %}" * 5000 + "{% endif %}" * 5000,
        "{% for i in [1] %}" * 100 + "{% endfor %}" * 100,
        "{{ 1" + " + 1" * 20000 + " }}",
        "{{ x" + ".y" * 20000 + " }}",
        "{{ x" + " | d" * 20000 + " }}",
        "{{" + "not " * 20000 + "1 }}",
        "{{ a }}" * (LONGEST_SOURCE // 6),
        "{#" * 50000,
        "{{ '" * 20000,
        "{% raw %}" * 10000,
        "\n" * LONGEST_SOURCE + "x",
    ],
)
def test_sources_are_bounded(source: str) -> None:
    began = time.thread_time()

    with pytest.raises(PackageError, match="does not parse"):
        ChatTemplate(source)

    assert time.thread_time() - began < 3


USUAL = """\
{%- if messages[0]['role'] == 'system' -%}{%- set rest = messages[1:] -%}
{%- else -%}{%- set rest = messages -%}{%- endif -%}
{%- set ns = namespace(found=false, n=0, all=[]) -%}
{%- for message in rest -%}
{%- set ns.n = ns.n + 1 -%}{%- set ns.all = ns.all + [message.role] -%}
{%- set content = message.content | trim -%}
{%- if '</think>' in content -%}{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{{- loop.index0 ~ ': ' ~ message['role'] + '\\n' + content.replace('a', 'b') -}}
{{- '%03d' % loop.index -}}
{%- if loop.last or not loop.first and loop.length > 3 -%}{{- '!' * 3 -}}{%- endif -%}
{%- if message.role in ('user', 'tool') and message.content is string -%}{{- message | tojson -}}
{%- endif -%}
{%- endfor -%}
{{- rest[::-1] | map(attribute='role') | unique | join(', ') -}}
{{- '{} of {n:>4}'.format(ns.all | length, n=ns.n) -}}
{{- messages | selectattr('role', 'equalto', 'user') | list | length -}}
{{- rest | groupby('role') | map('first') | list | tojson(indent=2) -}}
{{- (rest | last).content | upper | truncate(20) | indent(4) | title | center(40) -}}
{%- macro shown(m) -%}{{ m.role | capitalize }}={{ m.get('name', 'none') }}{%- endmacro -%}
{%- for key, value in messages[0].items() -%}{{- key ~ value -}}{%- endfor -%}
{%- for m in messages -%}{{- shown(m) -}}{%- endfor -%}
"""


@pytest.mark.parametrize("count", [1, 7, 400])
def test_usual_templates_give_what_jinja_gives(count: int) -> None:
    words = ["an apple <b>", "  spaces\n", "<think>so</think>\n\nyes", "Ü 日本"]
    messages = [
        {"role": ("user", "assistant", "tool")[at % 3], "content": words[at % 4] * (at % 5 + 1)}
        for at in range(count)
    ]
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    plain.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )

    expected = plain.from_string(USUAL).render(messages=messages)

    assert ChatTemplate(USUAL).render(messages) == expected


def test_long_conversations_and_texts_are_rendered() -> None:
    many = [{"role": "user", "content": f"Question {at}?"} for at in range(1000)]
    long = [{"role": "user", "content": "word " * 800_000}] * 2

    assert "Question 999" in ChatTemplate(USUAL).render(many)
    assert len(ChatTemplate(USUAL).render(long)) > 8_000_000


SCRIPT = """
import random, resource, sys, time
sys.path.insert(0, ".")
from tests.prompt.test_sandbox import nasty, HELLO
from vlmforge.errors import VlmforgeError
from vlmforge.prompt.template import ChatTemplate

ChatTemplate("{{ messages }}").render(HELLO)
before, slowest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, (0, "")
for seed in range(1000):
    source = nasty(random.Random(seed))
    began = time.thread_time()
    try:
        ChatTemplate(source).render(HELLO)
    except VlmforgeError:
        pass
    slowest = max(slowest, (time.thread_time() - began, source))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *slowest)
"""


def nasty(rng: random.Random) -> str:
    """A template of several things that hurt, within each other."""
    body = "".join(rng.choice(LOOPS + GROWTH + USES + FAILURES) for _ in range(rng.randrange(3)))
    for _ in range(rng.randrange(1, 4)):
        grow = rng.choice(DOUBLING)
        form = rng.choice(
            (
                "{%% for i in range(%d) %%}{%% set n.x = %s %%}%s{%% endfor %%}",
                "{%% macro m%d() %%}{%% set n.x = %s %%}%s{%% endmacro %%}",
                "{%% set z%d %%}{%% set n.x = %s %%}%s{%% endset %%}",
                "{%% for i in range(%d) %%}{%% if n.x | string | length < 99999 %%}"
                "{%% set n.x = %s %%}{%% endif %%}{%% set n.y = n.x %%}%s{%% endfor %%}",
            )
        )
        body = form % (rng.choice((3, 17, 60, 99999)), grow, body + rng.choice(USES))
    return "{% set n = namespace(x='a', y='a') %}" + body + rng.choice(USES)


def test_a_thousand_nasty_templates() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown, slowest, source = done.stdout.split(" ", 2)
    assert int(grown) < 100 * 1024
    assert float(slowest) < 1, source
