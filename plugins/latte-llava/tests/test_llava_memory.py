"""A lack of memory halves the batch; anything else, and a single question, fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_author.testing.fixtures import described_images
from latte_llava.model import ImageTextModel, PreparedQuestion
from latte_llava.schedule import answer_all
from llava_checkpoints import checkpoint, describer

from latte.api import DescribeRequest

FAILURES: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    lambda: RuntimeError("MPS backend out of memory"),
    lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
    lambda: MemoryError(),
]


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Collecting garbage takes long beside models of many small objects."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("latte_llava.schedule.free_memory", lambda: None)
        yield


class FakeModel:
    """Answers with the question's text, as long as its memory lasts."""

    def __init__(self, limit: int, room: int, failure: Callable[[], Exception]) -> None:
        self.limit = limit
        self.batches: list[list[int]] = []
        self._room, self._failure = room, failure

    def answer(self, questions: Sequence[PreparedQuestion]) -> tuple[list[str], int]:
        if len(questions) > self._room:
            raise self._failure()
        self.batches.append([question.cost[0] for question in questions])
        return [question.text for question in questions], len(questions)


def answered(fake: FakeModel, costs: Sequence[int]) -> list[str]:
    questions = [PreparedQuestion((), f"text {n}", 0, (cost, 0)) for n, cost in enumerate(costs)]
    counted: list[int] = []
    model = cast("ImageTextModel", fake)
    texts = answer_all(model, questions, lambda model, batch: model.answer(batch), counted.append)
    assert sum(counted) == len(costs)
    return texts


@settings(deadline=None, max_examples=50)
@given(
    costs=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    limit=st.integers(1, 16),
    room=st.integers(1, 16),
)
def test_every_question_gets_its_own_text_whatever_fails(
    costs: list[int], limit: int, room: int
) -> None:
    fake = FakeModel(limit, room, FAILURES[0])
    assert answered(fake, costs) == [f"text {number}" for number in range(len(costs))]
    assert all(len(batch) <= min(limit, room) for batch in fake.batches)


@pytest.mark.parametrize("failure", FAILURES)
def test_the_smaller_batch_is_remembered(failure: Callable[[], Exception]) -> None:
    fake = FakeModel(limit=16, room=5, failure=failure)
    answered(fake, range(16))
    assert fake.limit == 4
    assert [len(batch) for batch in fake.batches] == [4, 4, 4, 4]


def test_like_questions_share_a_batch_and_the_dearest_come_first() -> None:
    fake = FakeModel(limit=2, room=2, failure=FAILURES[0])
    answered(fake, [5, 1, 5, 9, 1, 9])
    assert fake.batches == [[9, 9], [5, 5], [1, 1]]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_single_question_that_does_not_fit_is_an_error(failure: Callable[[], Exception]) -> None:
    with pytest.raises(type(failure())):
        answered(FakeModel(4, 0, failure), range(4))


@pytest.mark.parametrize("failure", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_failures_are_raised_at_once(failure: Exception) -> None:
    fake = FakeModel(4, 0, lambda: failure)
    with pytest.raises(type(failure), match=str(failure)):
        answered(fake, range(8))
    assert fake.limit == 4


def test_a_model_that_runs_out_of_memory_writes_the_same_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = described_images(tmp_path / "asked", 8)
    questions = [DescribeRequest((image,), "What?") for image in images]
    texts = describer(checkpoint("tiny-llava"), tmp_path).describe(questions)
    small = describer(checkpoint("tiny-llava"), tmp_path)
    small.describe(questions[:1])
    assert small._loaded is not None
    model = small._loaded.model.model
    generate, sizes = model.generate, []

    def scarce(**inputs: Any) -> torch.Tensor:
        rows = len(inputs["input_ids"])
        if rows > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        sizes.append(rows)
        return cast("torch.Tensor", generate(**inputs))

    monkeypatch.setattr(model, "generate", scarce)
    assert small.describe(questions) == texts
    assert sizes == [2, 2, 2, 2]
    assert small.describe(questions) == texts
    assert sizes == [2] * 8
