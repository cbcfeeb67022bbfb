"""Distribution of questions to replicas, in batches of similar cost that fit into memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

import torch

from latte_llava.replica import Question, Replica

AnswerT = TypeVar("AnswerT")
Ask = Callable[[Replica, Sequence[Question]], tuple[Sequence[AnswerT], int]]
"""Function that returns the answers of a replica to a batch, and the number of generated tokens."""
_SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def answer_all(
    replicas: Sequence[Replica],
    questions: Sequence[Question],
    ask: Ask[AnswerT],
    count: Callable[[int], None],
) -> list[AnswerT]:
    """Return one answer per question, in the order of the questions.

    `count` is called with the number of generated tokens of each batch. A batch that does not fit
    into memory is halved, and the replica uses the smaller size from then on.
    """
    work = _Work(questions, ask, count)
    if len(replicas) == 1:
        work.run(replicas[0])
    else:
        with ThreadPoolExecutor(len(replicas)) as pool:
            for finished in [pool.submit(work.run, replica) for replica in replicas]:
                finished.result()
    return [work.answers[index] for index in range(len(questions))]


class _Work(Generic[AnswerT]):
    """Queue of unanswered questions.

    The most expensive questions come first, so that memory errors occur early.
    """

    def __init__(
        self, questions: Sequence[Question], ask: Ask[AnswerT], count: Callable[[int], None]
    ) -> None:
        self.answers: dict[int, AnswerT] = {}
        self._questions = questions
        self._ask = ask
        self._count = count
        self._left = sorted(range(len(questions)), key=lambda index: questions[index].cost)
        self._lock = Lock()

    def run(self, replica: Replica) -> None:
        """Answer batches until no question is left; an exception stops all replicas."""
        try:
            while batch := self._take(replica.limit):
                if not self._answered(replica, batch):
                    replica.limit = max(1, len(batch) // 2)
                    with self._lock:
                        self._left += batch
                    free_memory()
        except BaseException:
            self._take(len(self._questions))
            raise

    def _answered(self, replica: Replica, batch: Sequence[int]) -> bool:
        """Answer the questions `batch`; return False if they do not fit into memory."""
        try:
            answers, tokens = self._ask(replica, [self._questions[index] for index in batch])
        except Exception as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
            return False
        with self._lock:
            self.answers.update(zip(batch, answers, strict=True))
            self._count(tokens)
        return True

    def _take(self, size: int) -> list[int]:
        with self._lock:
            batch, self._left = self._left[-size:], self._left[:-size]
        return batch


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
