"""Every answer agrees with its scene."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest

from training.make_questions import BUCKETS, asked, asked_evenly, asked_mixed, bucket_of
from training.questions import KINDS, Question, ask, ask_many, ask_one_of
from vlmforge.calibrate.scenes import Item, scene_items

RED = Item("circle", "red", "large", 0, 0, (37.0, 37.0), 33.0)
BLUE = Item("star", "blue", "small", 1, 2, (187.0, 112.0), 21.0)


def answers(items: tuple[Item, ...], kind: str) -> dict[str, str]:
    drafts = (ask(items, kind, random.Random(seed)) for seed in range(2000))
    return {question.text: question.answer for question in drafts if question}


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("color", "What color is the circle?", "Red."),
        ("shape", "What shape is the blue object?", "Star."),
        ("size", "How big is the blue star?", "Small."),
        ("position", "Where is the blue star?", "Middle right."),
        ("item", "What is at the top left?", "A large red circle."),
        ("item", "What is at the bottom right?", "Nothing."),
        ("count", "How many shapes are there?", "Two."),
        ("count", "Count the crosses.", "Zero."),
        ("presence", "Is there a red circle?", "Yes."),
        ("presence", "Is there a red star?", "No."),
        (
            "description",
            "Describe this image.",
            "The image shows a large red circle and a small blue star.",
        ),
    ],
)
def test_answer(kind: str, text: str, answer: str) -> None:
    assert answers((RED, BLUE), kind)[text] == answer


def test_nothing_ambiguous_is_asked() -> None:
    assert not answers((RED, RED), "color")
    assert not answers((RED, RED), "position")


def test_a_wording_has_one_answer_a_scene() -> None:
    for seed in range(30):
        rng = random.Random(seed)
        given: dict[str, str] = {}
        for question in ask_many(scene_items(seed), 60, rng):
            assert given.setdefault(question.text, question.answer) == question.answer


def test_presence_is_asked_evenly() -> None:
    rng = random.Random(0)
    given = [_presence(seed, rng).answer for seed in range(600)]
    assert set(given) == {"Yes.", "No."}
    assert 0.4 < given.count("Yes.") / len(given) < 0.6


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("color", "In the first image, what color is the circle?", "Red."),
        ("position", "In the second image, where is the blue star?", "Middle right."),
        ("item", "In the first image, what is at the top left?", "A large red circle."),
        ("image", "Which image shows a blue star?", "The second."),
        ("image", "In which image is the red circle?", "The first."),
    ],
)
def test_answer_about_one_of_several(kind: str, text: str, answer: str) -> None:
    drafts = (ask_one_of([(RED,), (BLUE,)], kind, random.Random(seed)) for seed in range(400))
    assert {question.text: question.answer for question in drafts if question}[text] == answer


def test_what_several_images_show_is_not_asked_for() -> None:
    assert ask_one_of([(RED,), (RED,)], "image", random.Random(0)) is None


def test_a_question_set_is_repeatable_and_takes_the_kinds_in_turn() -> None:
    first, second = list(asked(16, seed=3)), list(asked(16, seed=3))
    assert first == second
    assert [posed.question.kind for posed in first] == [*KINDS, *KINDS]
    assert {posed.first for posed in first}.isdisjoint(posed.first for posed in asked(16, seed=4))


def test_a_mixed_set_shows_one_to_three_scenes_of_their_own() -> None:
    sets = list(asked_mixed(90, seed=3))
    assert sets == list(asked_mixed(90, seed=3))
    assert [posed.question.kind for posed in sets[:9]] == [*KINDS, "image"]
    assert {len(posed.canvases) for posed in sets} == {1, 2, 3}
    seeds = [posed.first + place for posed in sets for place in range(len(posed.canvases))]
    assert len(seeds) == len(set(seeds))
    assert {len(posed.canvases) for posed in asked_mixed(16, seed=3, most=1)} == {1}


def test_an_even_set_has_as_many_of_each_kind_in_each_bucket() -> None:
    posed = list(asked_evenly(2 * len(KINDS) * len(BUCKETS), seed=3))
    groups = Counter((each.question.kind, bucket_of(each)) for each in posed)
    assert groups == dict.fromkeys(product(KINDS, BUCKETS), 2)
    assert len({each.first for each in posed}) == len(posed)
    assert {len(each.canvases) for each in posed} == {1}


def test_buckets_are_those_of_mixed_pictures() -> None:
    assert {bucket_of(each) for each in asked_mixed(240, seed=3, most=1)} == {*BUCKETS}


def _presence(seed: int, rng: random.Random) -> Question:
    question = ask(scene_items(seed), "presence", rng)
    assert question is not None
    return question
