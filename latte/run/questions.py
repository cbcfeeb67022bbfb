"""Questions that a labeler asks a describer during a run, within the recipe's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from latte import distributed
from latte.describe.choose import (
    AnswerT,
    ChoicePlan,
    QuestionPlan,
    RequestT,
    TextPlan,
    stored_tokens,
)
from latte.describe.plan import TrainingSet, grid_image, shown_images
from latte.describe.spending import Spending
from latte.describe.store import DescriptionStore, clean
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
from latte.io.redaction import redact
from latte.results.answers import Answer, now, write_answers
from latte.results.class_lists import digest_of_classes

_QUEUE = "model"
"""Queue of a model's answers."""


@dataclass(frozen=True)
class AskedQuestions:
    """Counts of a labeler's questions, and what it says of the reliability of the answers."""

    questions: tuple[QuestionCounts, ...] = ()
    reliability: str | None = None
    """Sentence on the reliability of the describer; None if there is none."""
    sent_images: int = 0
    """Number of distinct images that the questions show; a grid of images counts once."""
    sent_to: str | None = None
    """Address of the other machine that got the images; None if they stayed on this machine."""


class StoredQuestions:
    """Implementation of `Questions`: asks a describer, and stores each answer for later runs.

    `build` is called at the first question, and returns the describer. `budget` is the largest
    number of distinct questions. `store` is the folder of the description store. Counts are
    written to `path`, and the labeler's classes of images to `answers`, if given. If `ask` is
    false, only stored answers are returned. `meter` returns the count of the describer's tokens.
    """

    def __init__(
        self,
        build: Callable[[], Describer[Any]],
        training: TrainingSet,
        budget: int,
        store: Path,
        progress: Progress,
        path: Path | None = None,
        answers: Path | None = None,
        *,
        ask: bool = True,
        meter: Callable[[Describer[Any]], Spending] = Spending,
    ) -> None:
        self._budget = budget
        self._build = build
        self._training = training
        self._folder = store
        self._progress = progress
        self._path = path
        self._answers_path = answers
        self._ask = ask
        self._meter = meter
        self._spending: Spending | None = None
        self._describer: Describer[Any] | None = None
        self._keys: set[str] = set()
        self._shown: set[str] = set()
        self._counts: dict[str, QuestionCounts] = {}
        self.reliability: str | None = None
        self.fingerprint: str = ""
        self._address: str | None = None

    @property
    def budget(self) -> int:
        """Largest number of distinct questions."""
        return self._budget

    @property
    def asked(self) -> int:
        """Number of distinct questions that were asked so far."""
        return len(self._keys)

    @property
    def is_forecast(self) -> bool:
        """True if only stored answers are returned."""
        return not self._ask

    @property
    def counts(self) -> tuple[QuestionCounts, ...]:
        """Numbers of questions and answers of each purpose, in the order of first use."""
        return tuple(self._counts.values())

    def image(self, index: int) -> DescribedImage:
        """Return the training image with this index, to be put into the `images` of a request."""
        return shown_images(self._training, [index])[0]

    def sheet(self, indices: Sequence[int]) -> DescribedImage:
        """Return one grid image that shows the training images `indices`."""
        return grid_image(shown_images(self._training, indices))

    def choose(self, purpose: str, requests: Sequence[ChoiceRequest]) -> list[Choice | None]:
        """Return a choice for each request; None if it has no answer, or the budget is spent."""
        return self._answers(ChoicePlan, purpose, requests)

    def ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        """Return a text for each request; None if it has no answer, or the budget is spent."""
        return self._answers(TextPlan, purpose, requests)

    def note(self, purpose: str, *, kept: int, contradictory: int) -> None:
        """Count images or groups whose answers are used (`kept`), and others."""
        self._add(QuestionCounts(purpose, 0, 0, 0, kept, contradictory))

    def note_reliability(self, sentence: str) -> None:
        """Save and print the labeler's sentence about the reliability of the describer."""
        self.reliability = clean(redact(sentence))
        self.save()
        if self._ask:
            self._progress.say(f"train: {self.reliability}")

    def note_answers(
        self, rows: Sequence[int], labels: Sequence[int], reliabilities: Sequence[float]
    ) -> None:
        """Write the classes that the describer gave to images, for later runs."""
        if self._answers_path is None or not distributed.is_main_process():
            return
        names, time = self._training.class_names, now()
        classes, run = digest_of_classes(names), self._answers_path.parent.name
        answers = [
            Answer(
                key=self._training.keys[row],
                kind="class",
                label=names[label],
                queue=_QUEUE,
                run=run,
                time=time,
                image=self._training.images[row].id,
                classes=classes,
                by=self.fingerprint,
                reliability=reliability,
            )
            for row, label, reliability in zip(rows, labels, reliabilities, strict=True)
        ]
        write_answers(self._answers_path, answers)

    def save(self) -> None:
        """Write counts and reliability beside the checkpoints of the run.

        A run that resumes from a checkpoint does not ask again, and reads them there.
        """
        if self._path is not None and distributed.is_main_process():
            asked_questions = AskedQuestions(
                self.counts, self.reliability, len(self._shown), self._address
            )
            write_json(self._path, asdict(asked_questions))

    def close(self) -> None:
        """Free the memory of the describer; a later question builds the describer again."""
        if self._describer is not None:
            self._describer.close()
            self._describer = None

    def _answers(
        self,
        kind: type[QuestionPlan[RequestT, AnswerT]],
        purpose: str,
        requests: Sequence[RequestT],
    ) -> list[AnswerT | None]:
        if self._describer is None:
            self._describer = self._build()
            self.fingerprint = self._describer.fingerprint
            self._address = self._describer.options.sends_to
            self._spending = self._meter(self._describer)
        plan = kind(self._describer, requests)
        requests_by_key = dict(zip(plan.keys, requests, strict=True))
        new_keys = [key for key in requests_by_key if key not in self._keys][
            : self.budget - self.asked
        ]
        with DescriptionStore(self._folder) as store:
            if new_keys:
                self._keys.update(new_keys)
                new_requests = [requests_by_key[key] for key in new_keys]
                self._shown.update(
                    image.key for request in new_requests for image in request.images
                )
                sent = kind(self._describer, new_requests)
                self._send(purpose, sent, store)
            answers = plan.answers(store, self._progress, ask=False)
        return [
            answer if key in self._keys else None
            for key, answer in zip(plan.keys, answers, strict=True)
        ]

    def _send(
        self, purpose: str, plan: QuestionPlan[RequestT, AnswerT], store: DescriptionStore
    ) -> None:
        stored, unanswered = sum(map(store.is_answered, plan.keys)), 0
        if self._ask:
            plan.answers(store, self._progress, spending=self._spending)
            unanswered = sum(store.get(key) is None for key in plan.keys)
        texts = [text for text in map(store.get, plan.keys) if text is not None]
        tokens = [
            counts for counts in map(stored_tokens, texts) if counts is not None and any(counts)
        ]
        read, written = (sum(counts[place] for counts in tokens) for place in (0, 1))
        self._add(QuestionCounts(purpose, len(plan.keys), stored, unanswered, 0, 0, read, written))

    def _add(self, counts: QuestionCounts) -> None:
        old = self._counts.get(counts.purpose)
        if old is not None:
            sums = {
                name: value + getattr(counts, name)
                for name, value in vars(old).items()
                if name != "purpose"
            }
            counts = replace(counts, **sums)
        self._counts[counts.purpose] = counts
        self.save()
