"""Evaluation: question files, accuracy, and distance from a reference."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.dialogues import counting
from vlmforge.decode.generate import Options
from vlmforge.errors import RunError
from vlmforge.evaluation.questions import Question, compare, evaluate, read_questions
from vlmforge.run.conversation import Conversation
from vlmforge.run.session import Session

TOKENS = 5


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory, session: Session) -> list[Question]:
    """Two questions answered rightly by the package, one wrongly."""
    directory = tmp_path_factory.mktemp("questions")
    Image.new("RGB", (40, 40), "red").save(directory / "red.png")
    asked = [Question(directory / "red.png", text, "") for text in ("What?", "Where?", "Why?")]
    options = Options(max_new_tokens=TOKENS)
    said = [Conversation(session).generate(question.messages, options).text for question in asked]
    right = [f"  {said[0]}", f"{said[1]}\n", f"{said[2]} not"]
    return [
        Question(question.image, question.question, answer, kind)
        for question, answer, kind in zip(asked, right, ("color", "place", "color"), strict=True)
    ]


@dataclass
class Answer:
    text: str
    token_ids: list[int]
    logits: np.ndarray


class PackageAsReference:
    """Answers as the package does, with its logits changed."""

    def __init__(self, session: Session, noise: float) -> None:
        self.session, self.noise = session, noise
        self.random = np.random.default_rng(0)

    def answer(self, image_path: Path, question: str, max_new_tokens: int) -> Answer:
        messages = Question(image_path, question, "").messages
        options = Options(max_new_tokens=max_new_tokens)
        answer = Conversation(self.session).generate(messages, options)
        logits = Conversation(self.session).teacher_forced(messages, answer.token_ids)
        logits = logits + self.random.normal(scale=self.noise, size=logits.shape)
        return Answer(answer.text, list(answer.token_ids), logits.astype(np.float32))


def test_accuracy_and_kinds(session: Session, questions: list[Question]) -> None:
    said: list[str] = []

    report = evaluate(
        session, questions, max_new_tokens=TOKENS, on_answer=lambda _, text: said.append(text)
    )

    assert report["n"] == 3 and report["accuracy"] == pytest.approx(2 / 3)
    assert report["kinds"] == {
        "color": {"n": 2, "accuracy": 0.5}, "place": {"n": 1, "accuracy": 1.0}
    }  # fmt: skip
    assert len(said) == 3 and "kl" not in report


def test_how_many_at_once_changes_nothing(session: Session, questions: list[Question]) -> None:
    reports, counted = [], counting(session, pause=0.01)
    for running in (1, 3):
        said: list[tuple[str, str]] = []

        def on_answer(question: Question, text: str, to: list[tuple[str, str]] = said) -> None:
            to.append((question.question, text))

        report = evaluate(
            counted, questions * 2, max_new_tokens=TOKENS, on_answer=on_answer, max_running=running
        )
        reports.append((report, said))

    assert reports[0] == reports[1] and max(counted.text.batches) > 1
    assert [asked for asked, _ in reports[1][1]] == ["What?", "Where?", "Why?"] * 2


def test_a_model_agrees_with_itself(session: Session, questions: list[Question]) -> None:
    reference = PackageAsReference(session, noise=0.0)

    report = evaluate(session, questions, max_new_tokens=TOKENS, reference=reference)

    assert report["kl"] == 0 and report["top1_agreement"] == 1
    assert report["reference_accuracy"] == report["accuracy"]


def test_a_noisy_reference_strays(session: Session, questions: list[Question]) -> None:
    reference = PackageAsReference(session, noise=3.0)

    report = evaluate(session, questions, max_new_tokens=TOKENS, reference=reference)

    assert report["kl"] > 0.1 and report["top1_agreement"] < 1


def test_compare_is_kl_in_nats() -> None:
    reference = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))
    package = np.log(np.array([[0.25, 0.75], [0.9, 0.1]], np.float32)) + 7

    agree, divergence = compare(reference, package)

    assert agree.tolist() == [0, 1]
    expected = [0.5 * np.log(2) + 0.5 * np.log(2 / 3), 0]
    np.testing.assert_allclose(divergence, expected, atol=1e-6)


def test_images_are_relative_to_the_file(tmp_path: Path) -> None:
    line = {"image": "images/a.png", "question": "q", "answer": "a", "kind": "k"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(line) + "\n\n")

    questions = read_questions(tmp_path / "questions.jsonl")

    assert questions == [Question(tmp_path / "images/a.png", "q", "a", "k")]


def test_several_images_are_shown_in_their_order(tmp_path: Path) -> None:
    line = {"images": ["b.png", "a.png"], "question": "q", "answer": "a"}
    (tmp_path / "questions.jsonl").write_text(json.dumps(line))

    (question,) = read_questions(tmp_path / "questions.jsonl")

    assert question.images == (tmp_path / "b.png", tmp_path / "a.png")
    shown = [part.get("image", part.get("text")) for part in question.messages[0]["content"]]
    assert shown == [*question.images, "q"]


def test_questions_about_several_images_are_a_bucket(
    dynamic_session: Session, tmp_path: Path
) -> None:
    for name, size in (("a.png", (56, 56)), ("b.png", (56, 140))):
        Image.new("RGB", size, "red").save(tmp_path / name)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    asked = [Question(image, "What?", "") for image in (paths[0], paths)]

    report = evaluate(dynamic_session, asked, max_new_tokens=2)

    assert {name: facts["n"] for name, facts in report["sizes"].items()} == {
        "1 to 16 tokens, square": 1, "several images": 1
    }  # fmt: skip


def test_every_malformed_line_is_named(tmp_path: Path) -> None:
    good = '{"image": "a", "question": "q", "answer": "a"}'
    bad = ["{", "[]", '{"image": "a", "question": "q"}', good[:-1] + ', "kind": 3}']
    bad += [good[:-1] + ', "images": ["b"]}', good.replace('"image": "a"', '"images": [3]')]
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join([good, *bad, good]))

    with pytest.raises(RunError) as raised:
        read_questions(path)

    assert all(f"line {number}:" in raised.value.what for number in range(2, 8))
    assert "line 1:" not in raised.value.what and "line 8:" not in raised.value.what
    assert "'answer' is missing" in raised.value.what


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_file_without_questions(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "questions.jsonl"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(RunError, match="questions"):
        read_questions(path)


def test_answers_are_compared_stripped_and_case_folded() -> None:
    question = Question(Path("a.png"), "q", "  Straße ")

    assert question.is_answered_by("STRASSE\n") and not question.is_answered_by("Strasse 1")


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x1c"])
def test_only_line_feeds_end_a_line(tmp_path: Path, separator: str) -> None:
    row = {"image": "a.png", "question": f"What{separator}color?", "answer": "red"}
    lines = "\r\n".join([json.dumps(row, ensure_ascii=False)] * 2)
    (tmp_path / "q.jsonl").write_bytes(b"\xef\xbb\xbf" + lines.encode())

    assert [q.question for q in read_questions(tmp_path / "q.jsonl")] == [row["question"]] * 2


def test_bytes_and_halves_that_are_no_characters(session: Session, tmp_path: Path) -> None:
    Image.new("RGB", (30, 30), "blue").save(tmp_path / "a.png")
    line = b'{"image": "a.png", "question": "caf\xe9 \\ud83d?", "answer": "red"}\n'
    (tmp_path / "q.jsonl").write_bytes(line)
    said: list[str] = []

    asked = read_questions(tmp_path / "q.jsonl")
    evaluate(session, asked, max_new_tokens=2, on_answer=lambda _, text: said.append(text))

    assert asked[0].question == "caf\ufffd \ud83d?" and len(said) == 1
    prompts = [session.prompts.encode([{"role": "user", "content": c}]) for c in "\ud83d\ufffd"]
    np.testing.assert_array_equal(prompts[0].token_ids, prompts[1].token_ids)
