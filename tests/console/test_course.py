"""How far long work is, and how much time is left, follows from what was told and expected."""

from __future__ import annotations

import pytest

from vlmforge.console.course import Course
from vlmforge.progress import Stage


@pytest.fixture
def course() -> Course:
    course = Course()
    answers = Stage("answers", 1000, at_most=True)
    course.expect([Stage("check"), answers, Stage("mxq language", 200), Stage("mxq vision", 100)])
    return course


def test_nothing_was_told() -> None:
    view = Course().view(5)
    assert (view.stage, view.text, view.seconds, view.left, view.all_left) == (
        None, None, 0, None, None,
    )  # fmt: skip


def test_a_piece_goes_on_as_before() -> None:
    course = Course()
    course.report("rounding", 1, 11, 10)
    assert course.view(10).left is None
    course.report("rounding", 3, 11, 14)
    assert course.view(14).left == 16 and course.view(20).left == 10
    assert course.view(99).left == 0
    view = course.view(14)
    assert (view.text, view.done, view.total, view.all_left) == ("rounding", 3, 11, 16)


def test_stages_are_counted_and_expected(course: Course) -> None:
    course.begin("mxq language", 50)
    view = course.view(60)
    assert (view.stage, view.number, view.stages, view.seconds) == ("mxq language", 3, 4, 10)
    assert view.left == 190 and view.all_left == 290


def test_later_stages_take_as_much_longer_as_earlier_ones(course: Course) -> None:
    course.begin("mxq language", 0)
    course.end(400)
    course.begin("mxq vision", 400)
    assert course.view(400).left == 200 == course.view(400).all_left


def test_a_stage_takes_no_less_than_its_piece(course: Course) -> None:
    course.begin("mxq language", 0)
    course.report("observing", 1, 100, 10)
    course.report("observing", 2, 100, 20)
    assert course.view(20).left == 980


def test_where_the_expectation_is_a_bound_the_outermost_piece_says_more(course: Course) -> None:
    course.begin("answers", 0)
    assert course.view(0).left == 1000
    course.report("samples", 1, 10, 10)
    course.report("answer 2", 1, 500, 11)
    course.report("samples", 2, 10, 20)
    course.report("answer 3", 1, 500, 21)
    assert course.view(21).left == 79
    assert course.view(21).all_left == 379
    assert course.view(21).text == "answer 3"


def test_a_bound_says_nothing_of_later_stages(course: Course) -> None:
    course.begin("answers", 0)
    course.end(10)
    course.begin("mxq language", 10)
    assert course.view(10).left == 200


def test_a_stage_that_nobody_expected_is_one_more(course: Course) -> None:
    course.begin("check", 0)
    course.begin("tune", 1)
    view = course.view(2)
    assert (view.number, view.stages, view.stage) == (2, 5, "tune")
    course.begin("answers", 3)
    assert course.view(3).number == 3


def test_a_new_stage_forgets_the_pieces_of_the_last(course: Course) -> None:
    course.begin("check", 0)
    course.report("hashing", 1, 2, 1)
    course.begin("answers", 2)
    assert course.view(2).text is None


def test_a_piece_may_begin_anew() -> None:
    course = Course()
    course.report("scaling", 1, 4, 0)
    course.report("scaling", 4, 4, 6)
    course.report("scaling", 1, 4, 10)
    course.report("scaling", 2, 4, 11)
    assert course.view(11).left == 2
