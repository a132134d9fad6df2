"""Chat templates: where they are found, and what they may do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmforge.errors import FormatError, PackageError, RunError
from vlmforge.prompt.template import ChatTemplate

HELLO = [{"role": "user", "content": "hello"}]


def test_sources_in_order_of_precedence(tmp_path: Path) -> None:
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "settings"}]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert ChatTemplate.load(tmp_path).render(HELLO) == "settings"
    (tmp_path / "chat_template.jinja").write_text("jinja")
    assert ChatTemplate.load(tmp_path).render(HELLO) == "jinja"
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "json"}))
    assert ChatTemplate.load(tmp_path).render(HELLO) == "json"
    assert ChatTemplate.load(tmp_path, processor=False).render(HELLO) == "jinja"
    (tmp_path / "processor_config.json").write_text(json.dumps({"chat_template": "processor"}))
    assert ChatTemplate.load(tmp_path).render(HELLO) == "processor"


def test_special_tokens_and_prompt_are_variables(tmp_path: Path) -> None:
    settings = {"eos_token": {"content": "<e>"}, "pad_token": "<p>", "bos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    source = "{{ eos_token }}{{ pad_token }}{{ bos_token is defined }}{{ add_generation_prompt }}"
    (tmp_path / "chat_template.jinja").write_text(source)

    assert ChatTemplate.load(tmp_path).render(HELLO) == "<e><p>FalseTrue"


def test_tojson_keeps_characters_and_blocks_are_trimmed() -> None:
    template = ChatTemplate("{% if true %}\n{{ messages | tojson }}\n{% endif %}\n")

    assert template.render([{"role": "<é>", "content": ""}]) == '[{"role": "<é>", "content": ""}]\n'


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages[0].missing.attribute }}",
        "{{ 1 + 'a' }}",
    ],
)
def test_a_failing_or_escaping_template_is_an_error(source: str) -> None:
    with pytest.raises(RunError, match="rejects the messages"):
        ChatTemplate(source).render(HELLO)


def test_a_malformed_template_is_an_error() -> None:
    with pytest.raises(PackageError, match="does not parse"):
        ChatTemplate("{% for %}")


def test_images_reach_the_template_as_places_only() -> None:
    content = [{"type": "image", "image": "/secret"}, {"type": "text", "text": "t"}]

    rendered = ChatTemplate("{{ messages }}").render([{"role": "user", "content": content}])

    assert "secret" not in rendered and "'type': 'image'" in rendered


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_malformed_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokenizer_config.json").write_text(text)

    with pytest.raises(FormatError, match=r"tokenizer_config\.json"):
        ChatTemplate.load(tmp_path)


def test_no_template_at_all(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="no chat template"):
        ChatTemplate.load(tmp_path)


@pytest.mark.parametrize("name", ["tools", "xml_tools"])
def test_tools_go_by_the_name_that_the_template_asks_for(name: str) -> None:
    template = ChatTemplate(f"{{% if {name} %}}{{{{ {name}[0].name }}}}{{% else %}}-{{% endif %}}")

    assert template.render([], tools=[{"name": "weather"}]) == "weather"
    assert template.render([]) == "-"


def test_tools_without_a_place_are_refused() -> None:
    with pytest.raises(RunError, match="no place for tools"):
        ChatTemplate("{{ messages }}").render([], tools=[{"name": "weather"}])
