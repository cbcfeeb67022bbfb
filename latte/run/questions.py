"""Questions of labelers to a describer of the run, within the recipe's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from latte import distributed
from latte.describe.choose import AnswerT, ChoicePlan, QuestionPlan, RequestT, TextPlan
from latte.describe.plan import TrainingSet, grid_image, shown_images
from latte.describe.store import DescriptionStore
from latte.interfaces import (
    Choice,
    ChoiceRequest,
    DescribedImage,
    Describer,
    DescribeRequest,
    Progress,
    QuestionCounts,
)
from latte.io.files import write_json


class StoredQuestions:
    """Implementation of `Questions` on the description store.

    Args:
        build: function that returns the describer; called at the first question.
        training: the training images.
        budget: largest number of distinct questions.
        store: folder of the description store.
        progress: shows messages and a progress bar.
        path: file for the counts; None: they are not written.
        ask: False in a dry run, in which only stored answers are returned.
    """

    def __init__(
        self,
        build: Callable[[], Describer[Any]],
        training: TrainingSet,
        budget: int,
        store: Path,
        progress: Progress,
        path: Path | None = None,
        *,
        ask: bool = True,
    ) -> None:
        self.budget = budget
        self._build = build
        self._training = training
        self._folder = store
        self._progress = progress
        self._path = path
        self._ask = ask
        self._describer: Describer[Any] | None = None
        self._keys: set[str] = set()
        self._counts: dict[str, QuestionCounts] = {}

    @property
    def asked(self) -> int:
        """Number of distinct questions so far."""
        return len(self._keys)

    @property
    def counts(self) -> tuple[QuestionCounts, ...]:
        """Counts per purpose, in the order of their first question."""
        return tuple(self._counts.values())

    def image(self, index: int) -> DescribedImage:
        """Return the training image `index`."""
        return shown_images(self._training, [index])[0]

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        """Return one grid image of several training images."""
        return grid_image(shown_images(self._training, indices))

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        """Return the choice for each request; None without an answer, or beyond the budget."""
        return self._answers(ChoicePlan, purpose, requests)

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        """Return the text for each request; None without an answer, or beyond the budget."""
        return self._answers(TextPlan, purpose, requests)

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        """Add to the counts of subjects that the report shows for `purpose`."""
        self._add(QuestionCounts(purpose, 0, 0, 0, kept, contradictory))

    def save(self) -> None:
        """Write the counts."""
        if self._path is not None and distributed.is_main_process():
            write_json(self._path, [asdict(one) for one in self.counts])

    def close(self) -> None:
        """Free the memory of the describer, which is built again if it is asked again."""
        if self._describer is not None:
            self._describer.close()
            self._describer = None

    def _answers(
        self,
        kind: type[QuestionPlan[RequestT, AnswerT]],
        purpose: str,
        requests: Sequence[RequestT],
    ) -> list[AnswerT | None]:
        """Return the answer to each request of a plan of this `kind`, within the budget."""
        if self._describer is None:
            self._describer = self._build()
        within, new = [], set[str]()
        for index, key in enumerate(kind(self._describer, requests).keys):
            if key not in self._keys:
                if self.asked == self.budget:
                    continue
                self._keys.add(key)
                new.add(key)
            within.append(index)
        sent = kind(self._describer, [requests[index] for index in within])
        found: list[AnswerT | None] = [None] * len(requests)
        with DescriptionStore(self._folder) as store:
            stored = sum(map(store.is_answered, new))
            answers = sent.answers(store, self._progress, ask=self._ask)
            for index, answer in zip(within, answers, strict=True):
                found[index] = answer
            unanswered = sum(store.get(key) is None for key in new) if self._ask else 0
        self._add(QuestionCounts(purpose, len(new), stored, unanswered))
        return found

    def _add(self, more: QuestionCounts) -> None:
        old = self._counts.get(more.purpose, QuestionCounts(more.purpose, 0, 0, 0))
        self._counts[more.purpose] = replace(
            old,
            questions=old.questions + more.questions,
            stored=old.stored + more.stored,
            unanswered=old.unanswered + more.unanswered,
            kept=old.kept + more.kept,
            contradictory=old.contradictory + more.contradictory,
        )
        self.save()
