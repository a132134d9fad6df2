"""Every answer to a random JSON schema fits it."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jsonschema import Draft202012Validator
from openai import OpenAI

from tests.serve.openai.test_chat import ask

SCHEMAS = 100


def schema(rng: random.Random, depth: int = 2) -> dict[str, Any]:
    """A random schema of values that are short."""
    leaves = [_integer, _number, _string, _enum, _const, _boolean, _pattern]
    nests = [_object, _object, _array, _any]
    kinds = leaves if depth == 0 else [*leaves, *nests]
    return rng.choice(kinds)(rng, depth - 1)


def _integer(rng: random.Random, depth: int) -> dict[str, Any]:
    least = rng.randint(-1000, 1000)
    return {"type": "integer", "minimum": least, "maximum": least + rng.randint(0, 5000)}


def _number(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "number", "enum": [rng.randint(-9, 9) / 4 for _ in range(3)]}


def _string(rng: random.Random, depth: int) -> dict[str, Any]:
    least = rng.randint(0, 3)
    return {"type": "string", "minLength": least, "maxLength": least + rng.randint(0, 4)}


def _pattern(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": "string", "pattern": rng.choice(["^[a-c]{2,4}$", "^(red|blue)-[0-9]$"])}


def _enum(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"enum": rng.sample(["a", "고양이", 1, -2.5, None, True, [], {"k": 0}], 3)}


def _const(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"const": rng.choice(["x", 7, False, [1, 2]])}


def _boolean(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"type": rng.choice(["boolean", "null", ["boolean", "null"]])}


def _object(rng: random.Random, depth: int) -> dict[str, Any]:
    names = rng.sample(["a", "b", "c d", 'e"f', "가"], rng.randint(0, 3))
    return {
        "type": "object",
        "properties": {name: schema(rng, depth) for name in names},
        "required": names[: rng.randint(0, len(names))],
        "additionalProperties": False,
    }


def _array(rng: random.Random, depth: int) -> dict[str, Any]:
    least = rng.randint(0, 2)
    items = schema(rng, depth)
    return {"type": "array", "items": items, "minItems": least, "maxItems": least + 1}


def _any(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"anyOf": [schema(rng, depth) for _ in range(2)]}


def test_a_hundred_random_schemas(client: OpenAI) -> None:
    def answered(seed: int) -> tuple[dict[str, Any], Any]:
        asked = schema(random.Random(seed))
        form = {"type": "json_schema", "json_schema": {"name": "it", "schema": asked}}
        fields = {"max_tokens": 400, "temperature": 1.5, "seed": seed, "response_format": form}
        return asked, ask(client, extra_body={"top_k": 0}, top_p=1, **fields).choices[0]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(answered, range(SCHEMAS)))

    for asked, choice in found:
        assert choice.finish_reason == "stop", asked
        Draft202012Validator(asked).validate(json.loads(choice.message.content))
    assert len({choice.message.content for _, choice in found}) > SCHEMAS / 2
