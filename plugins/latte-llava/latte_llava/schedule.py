"""Batches of questions of similar cost that fit into memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from latte_llava.model import ImageTextModel, PreparedQuestion

AnswerT = TypeVar("AnswerT")
Ask = Callable[[ImageTextModel, Sequence[PreparedQuestion]], tuple[Sequence[AnswerT], int]]
"""Function that returns the answers of the model to a batch, and the number of generated tokens."""
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def answer_all(
    model: ImageTextModel,
    questions: Sequence[PreparedQuestion],
    ask: Ask[AnswerT],
    count: Callable[[int], None],
) -> list[AnswerT]:
    """Return one answer per question, in the order of the questions.

    `count` is called with the number of generated tokens of each batch. The most expensive
    questions come first, so that memory errors occur early. A batch that does not fit into memory
    is halved, and the model uses the smaller size from then on.
    """
    answers: dict[int, AnswerT] = {}
    waiting = sorted(range(len(questions)), key=lambda index: questions[index].cost)
    while waiting:
        batch = waiting[-model.limit :]
        answered = _answer(model, [questions[index] for index in batch], ask)
        if answered is None:
            model.limit = max(1, len(batch) // 2)
            free_memory()
            continue
        del waiting[-len(batch) :]
        answers.update(zip(batch, answered[0], strict=True))
        count(answered[1])
    return [answers[index] for index in range(len(questions))]


def _answer(
    model: ImageTextModel, batch: Sequence[PreparedQuestion], ask: Ask[AnswerT]
) -> tuple[Sequence[AnswerT], int] | None:
    """Return the answers to `batch` and the tokens; None if it does not fit into memory."""
    try:
        return ask(model, batch)
    except Exception as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if `error` is an out-of-memory error, after which a smaller batch may succeed."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def free_memory() -> None:
    """Release cached memory that torch holds on the devices but does not use."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
