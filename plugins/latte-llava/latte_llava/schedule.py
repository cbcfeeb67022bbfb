"""Distribution of questions to replicas, in batches of similar cost that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from latte_llava.memory import free_memory, is_out_of_memory
from latte_llava.replica import Question, Replica

AnswerT = TypeVar("AnswerT")
Ask = Callable[[Replica, Sequence[Question]], tuple[Sequence[AnswerT], int]]
"""Function that returns the answers of a replica to a batch, and the number of generated tokens."""


def answer_all(
    replicas: Sequence[Replica],
    questions: Sequence[Question],
    ask: Ask[AnswerT],
    count: Callable[[int], None],
) -> list[AnswerT]:
    """Return one answer per question, in the order of the questions.

    `count` is called with the number of generated tokens of each batch. A batch that does not fit
    into memory is halved, and the replica uses the smaller size from then on. An exception of a
    replica is raised; an out-of-memory error only for a batch of one question.
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
    """Queue of unanswered questions, shared by the replicas.

    The most expensive questions come first, so that out-of-memory errors occur early.
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
        """Answer batches on `replica` until no question is left.

        An exception empties the queue, so that the other replicas stop too.
        """
        try:
            while batch := self._take(replica.limit):
                if not self._answered(replica, batch):
                    replica.limit = max(1, len(batch) // 2)
                    self._put_back(batch)
                    free_memory()
        except BaseException:
            self._take(len(self._questions))
            raise

    def _answered(self, replica: Replica, batch: Sequence[int]) -> bool:
        """Answer the questions `batch` and return True, or False if they do not fit into memory."""
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

    def _put_back(self, batch: Sequence[int]) -> None:
        with self._lock:
            self._left += batch
