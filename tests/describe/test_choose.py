"""Choices among options: stored like texts, asked once, and refused or failed like texts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from PIL import Image

from latte.describe.choose import ChoicePlan, TextPlan, stored_tokens
from latte.describe.inventory import Archive
from latte.describe.store import DescriptionStore, request_key
from latte.interfaces import (
    Choice,
    ChoiceRequest,
    DescribedImage,
    DescribeRequest,
    LatteError,
    Refusal,
)
from tests.helpers.describe_doubles import ScriptedDescriber
from tests.helpers.recorded import RecordedProgress

OPTIONS = ("cat", "dog", "fish")
Chosen = Sequence[Choice | Refusal]


def shown(number: int) -> DescribedImage:
    image = Image.new("RGB", (8, 6), (number, 0, 0))
    return DescribedImage(f"{number:032x}", torch.ones(4) / 2, lambda: image)


def request(
    number: int = 0, options: tuple[str, ...] = OPTIONS, none_allowed: bool = False
) -> ChoiceRequest:
    return ChoiceRequest((shown(number),), "Which is it?", options, none_allowed)


class Sure(ScriptedDescriber):
    """Gives the option `dog` a probability of 0.8, in every order."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.chosen: list[ChoiceRequest] = []

    @property
    def counters(self) -> dict[str, int]:
        return {"tokens": len(self.chosen)}

    def choose(self, requests: Sequence[ChoiceRequest]) -> Chosen:
        self.batches.append(len(requests))
        self.chosen += requests
        return [request.choice([4.0 if name == "dog" else 0.5 for name in request.options])
                for request in requests]  # fmt: skip


class Broken(ScriptedDescriber):
    def __init__(self, answer: Callable[[Sequence[ChoiceRequest]], Chosen]) -> None:
        super().__init__()
        self.answer = answer

    def choose(self, requests: Sequence[ChoiceRequest]) -> Chosen:
        return self.answer(requests)


def ask(
    folder: Path,
    describer: ScriptedDescriber,
    requests: Sequence[ChoiceRequest],
    progress: RecordedProgress | None = None,
) -> list[Choice | None]:
    with DescriptionStore(folder) as store:
        plan = ChoicePlan(describer, requests)
        return plan.answers(store, progress or RecordedProgress())


def best(choice: Choice | None) -> int | None:
    return None if choice is None else choice.probabilities.index(max(choice.probabilities))


def test_choices_are_asked_once_and_then_served(tmp_path: Path) -> None:
    requests = [request(number) for number in range(6)]
    asked_first, resumed, progress = Sure(), Sure(), RecordedProgress()
    choices = ask(tmp_path, asked_first, [*requests, requests[0]], progress)
    assert choices[0] == Choice((0.1, 0.8, 0.1))
    assert asked_first.batches == [4, 2]
    assert progress.lines[-1].startswith("6 choices: 0 reused, 6 written; spent 6 tokens")
    assert ask(tmp_path, resumed, [*requests, requests[0]]) == choices
    assert resumed.chosen == []


def test_options_and_their_order_are_part_of_the_question(tmp_path: Path) -> None:
    describer = Sure()
    questions = [
        request(),
        request(options=("dog", "cat", "fish")),
        request(options=("cat", "dog", "bird")),
        request(none_allowed=True, options=("cat", "dog", "bird")),
        replace(request(), prompt="What is it?"),
        request(1),
    ]
    choices = ask(tmp_path, describer, questions[:3])
    assert [best(choice) for choice in choices] == [1, 0, 1]
    letters = ScriptedDescriber(lambda _: "D")
    assert ask(tmp_path, letters, questions[3:4]) == [Choice((0.0, 0.0, 0.0), 1.0)]
    ask(tmp_path, describer, questions)
    assert len(describer.chosen) == 3 + 2


def test_a_choice_is_stored_with_its_question_and_under_its_own_key(tmp_path: Path) -> None:
    ask(tmp_path, Sure(), [request()])
    (record,) = [stored.record for stored in Archive(tmp_path).texts()]
    assert record.describer == "choice-1 scripted-1"
    assert "B. dog" in record.prompt
    assert json.loads(record.text or "") == [0.1, 0.8, 0.1]
    prompt = request().question().prompt
    assert record.key != request_key(record.images, prompt, "scripted-1", "single")


def test_a_choice_is_stored_with_its_share_of_the_counted_tokens(tmp_path: Path) -> None:
    class Counted(Sure):
        @property
        def counters(self) -> dict[str, int]:
            return {"tokens": len(self.chosen), "prompt tokens": 10 * len(self.chosen) + 1}

    requests = [request(number) for number in range(6)]
    choices = ask(tmp_path, Counted(), requests)
    assert choices == ask(tmp_path / "uncounted", Sure(), requests)
    texts = [stored.record.text for stored in Archive(tmp_path).texts()]
    assert [*map(stored_tokens, texts)] == [(10, 1)] * 6


COUNTS = ("3", "[1, -1]", '["a", 1]', "[1.5, 1]", "[1, NaN]", "[1, Infinity]", "null")


@pytest.mark.parametrize(
    "text",
    [
        *(f'{{"answer": [1, 0], "tokens": {counts}}}' for counts in (*COUNTS, f"[1, {10**400}]")),
        *(None, "", "[0.1, 0.9]", '{"choice": [1, 0]}'),
    ],
)
def test_a_stored_text_without_valid_counts_has_no_tokens(text: str | None) -> None:
    assert stored_tokens(text) is None


def test_texts_about_no_image_are_stored(tmp_path: Path) -> None:
    requests = [DescribeRequest((), prompt) for prompt in ("What is a cat?", "And a dog?")]

    def texts(describer: ScriptedDescriber) -> list[str | None]:
        with DescriptionStore(tmp_path) as store:
            return TextPlan(describer, requests).answers(store, RecordedProgress())

    answers = texts(ScriptedDescriber(lambda request: f"It is\n{request.prompt}"))
    assert answers == [f"It is\n{request.prompt}" for request in requests]
    resumed = ScriptedDescriber(lambda _: "other")
    assert texts(resumed) == answers
    assert resumed.asked == []


@pytest.mark.parametrize("letter", ["a", "\n", '"', "\x01"])
def test_the_beginning_of_a_long_text_is_stored(tmp_path: Path, letter: str) -> None:
    class Counted(ScriptedDescriber):
        counters: ClassVar[dict[str, int]] = {"tokens": 77, "prompt tokens": 3000}

    writer = Counted(lambda _: letter * 1000)
    with DescriptionStore(tmp_path) as store:
        plan = TextPlan(writer, [DescribeRequest((), "What is a cat?")])
        (answer,) = plan.answers(store, RecordedProgress())
        assert stored_tokens(store.get(plan.keys[0])) == (0, 0)
    assert answer == letter * len(answer or "")
    assert len(answer or "") > 80


@pytest.mark.parametrize("text", ["cat", "[1, 2]", "[]", "[0, 0, 0]", "[NaN, 1, 1]", '{"a": 1}',
                                  "[1e308, 1e308, 1]", '{"answer": 1}',
                                  '{"tokens": [1, 1]}', "[-1, 1, 1]", "3", "[" * 599])  # fmt: skip
def test_a_stored_text_that_is_no_choice_is_no_answer(tmp_path: Path, text: str) -> None:
    ask(tmp_path, Sure(), [request()])
    (part,) = tmp_path.glob("part-*.jsonl")
    record = json.loads(part.read_text())
    part.write_text(json.dumps({**record, "text": text}) + "\n")
    assert ask(tmp_path, Sure(), [request()]) == [None]


def test_an_answer_without_a_letter_is_no_answer_and_is_not_asked_again(tmp_path: Path) -> None:
    requests = [request(number) for number in range(3)]
    vague = ScriptedDescriber(
        lambda asked_request: "B" if asked_request.images[0].key[-1] == "1" else "A dog, I think"
    )
    assert ask(tmp_path, vague, requests) == [None, Choice((0.0, 1.0, 0.0)), None]
    with DescriptionStore(tmp_path) as store:
        failures = [stored.record.failure for stored in Archive(store.folder).texts()]
    assert "the answer is no letter from A to C: A dog, I think" in failures
    resumed = ScriptedDescriber(lambda _: "A")
    assert ask(tmp_path, resumed, requests)[0] is None
    assert resumed.asked == []


def test_refusals_of_all_choices_are_no_error(tmp_path: Path) -> None:
    refusing = Broken(lambda requests: [Refusal("content filter") for _ in requests])
    progress = RecordedProgress()
    assert ask(tmp_path, refusing, [request()], progress) == [None]
    assert "1 choices: 0 reused, 0 written, 1 refused" in progress.lines[-1]


def test_a_failed_batch_is_halved_and_failures_are_asked_in_the_next_run(tmp_path: Path) -> None:
    def fail(requests: Sequence[ChoiceRequest]) -> Chosen:
        if any(request.images[0].key[-1] == "1" for request in requests):
            raise RuntimeError("down")
        return [request.choice([1, 0, 0]) for request in requests]

    requests = [request(number) for number in range(3)]
    assert ask(tmp_path, Broken(fail), requests) == [Choice((1, 0, 0)), None, Choice((1, 0, 0))]
    resumed = Sure()
    assert ask(tmp_path, resumed, requests)[1] == Choice((0.1, 0.8, 0.1))
    assert resumed.chosen == [requests[1]]
    with pytest.raises(LatteError, match="answered none of 1 requests: RuntimeError: down"):
        ask(tmp_path / "other", Broken(fail), requests[1:2])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["B"],
        [Choice((0.5, 0.5))],
        [Choice((0.5, 0.5, 0.0, 0.0))],
        [Choice((0.5, 0.4, 0.0), none=0.1)],
        [Choice((float("nan"), 0.5, 0.5))],
        [Choice((0.0, 0.0, 0.0))],
    ],
)
def test_wrong_choices_are_a_mistake_of_the_plugin(tmp_path: Path, wrong: Chosen) -> None:
    with pytest.raises(LatteError, match="Broken returned") as error:
        ask(tmp_path, Broken(lambda _: wrong), [request()])
    assert "plugin" in str(error.value)
    assert list(tmp_path.glob("part-*.jsonl")) == [] or len(DescriptionStore(tmp_path)) == 0


def test_no_request_asks_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path, Sure(), []) == []
    assert list(tmp_path.iterdir()) == []


def test_more_images_than_the_describer_takes_are_refused(tmp_path: Path) -> None:
    two_images = replace(request(), images=(shown(1), shown(2)))
    with pytest.raises(LatteError, match="2 images was asked of a describer that takes 1 to 1"):
        ask(tmp_path, Sure(), [two_images])
    assert ask(tmp_path, Sure(max_images=2), [two_images]) == [Choice((0.1, 0.8, 0.1))]


def test_a_secret_in_a_question_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "k3y-1f8a77d2c0b94e6e9d21")
    describer = Sure()
    with pytest.raises(LatteError, match="a secret would be stored") as error:
        ask(tmp_path, describer, [request(options=("cat", "k3y-1f8a77d2c0b94e6e9d21"))])
    assert "1f8a77d2c0b94e6e9d21" not in str(error.value)
    assert describer.chosen == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.describe.test_choose import Sure, ask, request

class Dying(Sure):
    def choose(self, requests):
        if self.chosen:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().choose(requests)

ask(Path(sys.argv[1]), Dying(), [request(number) for number in range(6)])
"""


@pytest.mark.thorough
def test_resume_after_kill_asks_only_what_is_missing(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    resumed, requests = Sure(), [request(number) for number in range(6)]
    choices = ask(tmp_path, resumed, requests)
    assert resumed.chosen == requests[4:]
    assert choices == ask(tmp_path / "whole", Sure(), requests)
