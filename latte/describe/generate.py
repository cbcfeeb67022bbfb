"""Answer planned requests from the store or by asking the describer; store all new answers."""

from __future__ import annotations

import time
import traceback
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from latte import distributed
from latte.describe.shards import Shard, wait_for_answers
from latte.describe.spending import INPUT, OUTPUT, Spending
from latte.describe.store import DescriptionStore, StoredText, clean
from latte.interfaces import (
    Describer,
    FailedRequests,
    LatteError,
    Progress,
    ProgressTask,
    Refusal,
)
from latte.interfaces.descriptions import BUGS
from latte.interfaces.provider import provider_of, shown_provider
from latte.io.redaction import redact

ATTEMPTS = 5
"""Number of times that a single request is sent before it counts as failed."""
FIRST_PAUSE = 0.5
"""Seconds before a single request is sent again; each further failure in a row doubles it."""
LONGEST_PAUSE = 16.0
MOST_WAITING = 60.0
"""Seconds of pauses between two answers; then there are none, as a describer may wait itself."""
MOST_BUGS = 3
"""Number of requests that fail with a bug, before any answer, after which the bug is raised."""
GIVE_UP_AFTER = 32
"""Number of consecutive failed requests after which the describer counts as broken."""
REFUSAL = "the describer returned an empty text"
RequestT = TypeVar("RequestT")


class Planned(Protocol[RequestT]):
    """Interface of a plan: requests to one describer; the answers are stored as texts."""

    noun: ClassVar[str]
    needs_text: ClassVar[bool]
    """True if a describer that refuses every request is an error."""

    def __len__(self) -> int:
        """Number of distinct requests."""

    def key(self, index: int) -> str:
        """Return the key under which the answer to request `index` is stored."""

    def request(self, index: int) -> RequestT:
        """Build request `index` in the form that the describer receives."""

    def record(self, index: int) -> StoredText:
        """Return a record for request `index`, whose answer is still missing."""

    def send(
        self, describer: Describer[Any], requests: Sequence[RequestT]
    ) -> Sequence[str | Refusal | BaseException]:
        """Return the answer of `describer` to each of `requests`, as text."""


@dataclass(frozen=True)
class GenerateResult:
    """Result of `generate`: texts for all requests, and numbers of answered requests.

    If a shard was given, the numbers count only its requests. The store knows the failed requests:
    see `DescriptionStore.failed_requests`.
    """

    texts: tuple[str | None, ...]
    """One text per request of the plan, in order; None for a request without text."""
    served: int
    """Number of requests whose text was already in the store."""
    generated: int
    refused: int
    """Number of requests that the describer refused, in this run or an earlier run."""


Results = Mapping[str, GenerateResult]


def generate(
    describer: Describer[Any],
    plan: Planned[Any],
    store: DescriptionStore,
    progress: Progress,
    *,
    shard: Shard | None = None,
    ask_again: bool = False,
    spending: Spending | None = None,
) -> GenerateResult:
    """Answer every request of `plan`, or of its `shard`, from `store` or by asking `describer`.

    The answers of each batch are on disk before the next batch is sent. Refused requests are sent
    again only if `ask_again` is true. Requests that failed in an earlier run are sent last. The
    processes of one run divide the requests among themselves, and each returns all answers.
    `spending` counts tokens, and limits the batches by their cost.

    Raises `LatteError` if the describer does, or if too many new requests fail in a row. Also
    raises `LatteError` if no request has a text. For a shard, or if `plan.needs_text` is False, a
    refusal counts as a text here. Exceptions of the types `BUGS` count as failures. But if
    `MOST_BUGS` of them occur before the first answer, the last one is raised unchanged. If there
    are texts, and all requests to send failed in an earlier run, a `LatteError` of the describer is
    printed, and ends only the requests.
    """
    store.refresh()
    rows: Sequence[int] = range(len(plan))
    if shard is not None:
        rows = shard.of(rows, plan.key)
    process_rows, processes = rows, distributed.world_size()
    counters_before = {**describer.counters}
    if processes > 1:
        process_rows = Shard(distributed.rank() + 1, processes).of(rows, plan.key)
    spending = spending or Spending(describer, progress=progress)
    answering = _AnsweringPass(describer, plan, store, progress, ask_again, spending)
    written_count = answering.answer(process_rows)
    total = describer.counters
    counter_increases = {
        name: value - counters_before.get(name, 0) for name, value in total.items()
    }
    written_count, spent = wait_for_answers(
        store, rows, process_rows, plan.key, written=written_count, spent=(counter_increases, total)
    )
    outcome = _read_result(plan, store, rows, written_count)
    counts_refusals = shard is not None or not plan.needs_text
    answered = outcome.served + outcome.generated
    if rows and not answered and not (outcome.refused and counts_refusals):
        hint = (
            "refusals are kept: change an option of the describer, or ask again with the same "
            "options: latte describe RECIPE --ask-again"
        )
        raise LatteError(
            f"the describer answered none of {len(rows):,} requests: "
            f"{store.failure(plan.key(rows[0]))}",
            where=shown_provider(describer) or "describer",
            hint=hint if outcome.refused else None,
        )
    if rows:
        cost, in_all = map(_cost, spent)
        line = _summary(plan, rows, store, outcome)
        if any(spent[0].values()):
            line += f"; spent {cost}" + (f" ({in_all} so far)" if in_all != cost else "")
        progress.say(f"{line}; see {store.folder}")
    return outcome


def _read_result(
    plan: Planned[Any], store: DescriptionStore, rows: Sequence[int], written_count: int
) -> GenerateResult:
    """Read all texts of `plan` from `store`, and count the outcomes of the requests `rows`."""
    texts = tuple(store.get(plan.key(row)) for row in range(len(plan)))
    answered = sum(texts[row] is not None for row in rows)
    refused = sum(store.refusal(plan.key(row)) is not None for row in rows)
    return GenerateResult(texts, answered - written_count, written_count, refused)


def _cost(spent: Mapping[str, int]) -> str:
    """Return counts such as `900 input tokens, 7 output tokens`."""
    names = {INPUT: "input tokens", OUTPUT: "output tokens"} if INPUT in spent else {}
    counts = sorted(spent.items(), key=lambda pair: pair[0] != INPUT)
    return ", ".join(f"{value:,} {names.get(name, name)}" for name, value in counts)


def _summary(
    plan: Planned[Any], rows: Sequence[int], store: DescriptionStore, result: GenerateResult
) -> str:
    """Return a line such as `1,000 descriptions: 880 reused, 117 written, 3 refused`."""
    counts = [f"{result.served:,} reused", f"{result.generated:,} written"]
    unanswered = without_text(result.refused, store.failed_requests(map(plan.key, rows)))
    return f"{len(rows):,} {plan.noun}: {', '.join([*counts, *unanswered])}"


def without_text(refused: int, failed: FailedRequests | None) -> list[str]:
    """Return phrases such as `3 refused` and `2 failed`, without those about no request."""
    counts = {"refused": refused, "failed": failed.count if failed else 0}
    return [f"{count:,} {outcome}" for outcome, count in counts.items() if count]


@dataclass(frozen=True)
class _AnsweringPass:
    describer: Describer[Any]
    plan: Planned[Any]
    store: DescriptionStore
    progress: Progress
    ask_again: bool
    spending: Spending
    failures: _Failures = field(default_factory=lambda: _Failures())

    def answer(self, rows: Sequence[int]) -> int:
        new, failed_before = self._missing(rows)
        missing, known_failures = new + failed_before, {*failed_before}
        if not missing:
            return 0
        written = refused = failed = in_a_row = 0
        done, start = len(rows) - len(missing), 0
        images = {image for row in missing for image in self.plan.record(row).images}
        self.spending.plan(len(missing), len(images))
        with self.progress.task("describe", len(rows), "texts", done=done) as task:
            while start < len(missing):
                batch = missing[start : start + self.spending.batch_size()]
                start += len(batch)
                self.store.prepare()
                self.store.refresh()
                rows_to_ask = [row for row in batch if self._needs_asking(self.plan.key(row))]
                try:
                    answers = self._ask(
                        task, rows_to_ask, [self.plan.request(row) for row in rows_to_ask]
                    )
                except LatteError as error:
                    if new or not self._has_texts():
                        raise
                    self.progress.say(f"warning: {error}")
                    break
                finally:
                    self.spending.note(len(rows_to_ask))
                for row, answer in zip(rows_to_ask, answers, strict=True):
                    has_failed = answer.text is None and not answer.refused
                    written += answer.text is not None
                    refused += answer.refused
                    failed += has_failed
                    if row not in known_failures:
                        in_a_row = in_a_row + 1 if has_failed else 0
                counts = {"refused": refused, "failed": failed}
                shown_counts = {name: count for name, count in counts.items() if count}
                task.advance(len(batch), **{**self.describer.counters, **shown_counts})
                if in_a_row >= GIVE_UP_AFTER:
                    raise LatteError(
                        f"the describer failed on {in_a_row} requests in a row, "
                        f"at last with {answers[-1].failure}",
                        where=shown_provider(self.describer) or "describer",
                        hint="texts that were finished are safe; repair the describer and run "
                        "again",
                    )
        return written

    def _missing(self, rows: Sequence[int]) -> tuple[array[int], array[int]]:
        """Return the requests to send: new ones, and those that failed in an earlier run."""
        new, failed_before = array("i"), array("i")
        for row in rows:
            key = self.plan.key(row)
            if self._needs_asking(key):
                failed = self.store.failure(key) and not self.store.is_answered(key)
                (failed_before if failed else new).append(row)
        return new, failed_before

    def _has_texts(self) -> bool:
        keys = map(self.plan.key, range(len(self.plan)))
        return any(self.store.get(key) is not None for key in keys)

    def _needs_asking(self, key: str) -> bool:
        if self.store.get(key) is not None:
            return False
        return self.ask_again or self.store.refusal(key) is None

    def _ask(
        self, task: ProgressTask, rows: Sequence[int], requests: Sequence[Any]
    ) -> list[StoredText]:
        """Send `requests`, whose indices in the plan are `rows`; store and return the answers.

        If a batch raises an exception, its halves are sent separately, and so on down to single
        requests. A single request is sent up to `ATTEMPTS` times, with pauses; after a bug it is
        not sent again. An exception that the describer returned in place of an answer is final: it
        is stored as a failure. A `LatteError` or an interruption is raised at once if it was
        raised, and after the other answers are stored if it was returned.
        """
        if not rows:
            return []
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answers = self.plan.send(self.describer, requests)
                check_answers(self.describer, len(requests), answers)
                self.failures.reset()
                return self._stored(rows, answers)
            except LatteError:
                raise
            except Exception as error:  # models and networks raise anything
                if len(requests) > 1:
                    break
                self.failures.refuse_bugs(error)
                if attempt == ATTEMPTS or isinstance(error, BUGS):
                    return self._stored(rows, [error])
                self.failures.wait(task)
        middle = len(rows) // 2
        first_answers = self._ask(task, rows[:middle], requests[:middle])
        return first_answers + self._ask(task, rows[middle:], requests[middle:])

    def _stored(
        self, rows: Sequence[int], answers: Sequence[str | Refusal | BaseException]
    ) -> list[StoredText]:
        """Store `answers` and return them; then raise the first that ends the run."""
        # At once, as a pause or a bug in the other half of a batch may end the process.
        stored = [
            _answered(self.plan.record(row), answer, self.describer)
            for row, answer in zip(rows, answers, strict=True)
            if not _ends_run(answer)
        ]
        self.store.put_many(stored)
        for answer in answers:
            if isinstance(answer, BaseException) and _ends_run(answer):
                raise answer
        return stored


@dataclass
class _Failures:
    """State of retries: pauses double, up to a limit, until the describer answers."""

    answered: bool = False
    bugs: int = 0
    pause: float = 0.0
    waited: float = 0.0

    def refuse_bugs(self, error: Exception) -> None:
        """Count `error` if it is a bug; raise it after `MOST_BUGS` bugs without any answer."""
        self.bugs += isinstance(error, BUGS)
        if self.bugs >= MOST_BUGS and not self.answered:
            raise error

    def wait(self, task: ProgressTask) -> None:
        self.pause = min(2 * self.pause or FIRST_PAUSE, LONGEST_PAUSE, MOST_WAITING - self.waited)
        self.waited += self.pause
        if self.pause > 0:
            task.advance(0, retry_in=f"{self.pause:g} s")
            time.sleep(self.pause)

    def reset(self) -> None:
        self.answered, self.pause, self.waited = True, 0.0, 0.0


def _reason(error: BaseException, describer: Describer[Any]) -> str:
    """Return type and message of `error`; for a possible bug, also the line of plugin code."""
    reason = f"{type(error).__name__}: {error}"
    if not isinstance(error, (*BUGS, ValueError, LookupError, ArithmeticError)):
        return reason
    package = type(describer).__module__.partition(".")[0]
    for frame, line in reversed([*traceback.walk_tb(error.__traceback__)]):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
            return f"{reason} ({Path(frame.f_code.co_filename).name}:{line})"
    return reason


def _ends_run(answer: str | Refusal | BaseException) -> bool:
    return isinstance(answer, LatteError) or (
        isinstance(answer, BaseException) and not isinstance(answer, Exception)
    )


def check_answers(describer: Describer[Any], requests: int, answers: object) -> None:
    """Check what `describe` returned. Raises `LatteError` that names the describer's package."""
    wrong = None
    if not isinstance(answers, Sequence) or isinstance(answers, str | bytes):
        wrong = f"a value of type {type(answers).__name__}"
    elif len(answers) != requests:
        wrong = f"{len(answers)} values"
    else:
        wrong_answers = [
            answer for answer in answers if not isinstance(answer, str | Refusal | BaseException)
        ]
        wrong = (
            f"a value of type {type(wrong_answers[0]).__name__} among them"
            if wrong_answers
            else None
        )
    if wrong is not None:
        raise LatteError(
            f"{type(describer).__name__} must return one answer for each of {requests} "
            f"requests, in their order, and returned {wrong}",
            where=shown_provider(describer) or "describer",
            hint=provider_of(describer).hint,
        )


def _answered(
    record: StoredText, answer: str | Refusal | BaseException, describer: Describer[Any]
) -> StoredText:
    if isinstance(answer, BaseException):
        return replace(record, failure=clean(redact(_reason(answer, describer))))
    if isinstance(answer, Refusal):
        return replace(record, failure=clean(redact(answer.reason)) or REFUSAL, refused=True)
    text = clean(answer)
    return replace(record, text=text) if text else replace(record, failure=REFUSAL, refused=True)
