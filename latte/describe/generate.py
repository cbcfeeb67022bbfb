"""Answer planned requests: read stored answers, ask describers for the others and store them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

from latte.describe.shards import Shard, own_rows, wait_for_answers
from latte.describe.store import DescriptionStore, StoredText, clean
from latte.interfaces import Describer, LatteError, Progress, Refusal
from latte.io.redaction import redact

ATTEMPTS = 3
"""Number of attempts at a single request before it counts as failed."""
GIVE_UP_AFTER = 32
"""Number of consecutive failed requests after which the describer counts as broken."""
REFUSAL = "the describer returned an empty text"
MISTAKE = "this is a mistake of the plugin that provides the describer"
RequestT = TypeVar("RequestT")


class Planned(Protocol[RequestT]):
    """Requests to one describer whose answers are stored as texts."""

    noun: ClassVar[str]
    """Plural noun for the answers in messages."""
    needs_text: ClassVar[bool]
    """True if a refusal of all requests is an error."""

    def __len__(self) -> int:
        """Number of distinct requests."""

    def key(self, index: int) -> str:
        """Return the key of the answer to request `index`."""

    def request(self, index: int) -> RequestT:
        """Build the request `index` for the describer."""

    def record(self, index: int) -> StoredText:
        """Return the record of request `index` without its answer."""

    def send(
        self, describer: Describer[Any], requests: Sequence[RequestT]
    ) -> Sequence[str | Refusal]:
        """Return the answer of `describer` to each of `requests`, as text."""


@dataclass(frozen=True)
class GenerateResult:
    """Texts for a plan, and counts of its requests, or of the requests in a shard of the plan."""

    texts: tuple[str | None, ...]
    """Texts in the order of the plan's requests; None for a request without text."""
    served: int
    """Requests whose text was already in the store."""
    generated: int
    """Requests that got a text in this run."""
    refused: int
    """Requests that the describer refused, in this run or an earlier one."""
    failed: int = 0
    """Requests that failed; the next run repeats them."""

    @property
    def requests(self) -> int:
        """Number of requests of the plan or shard: served, generated, refused and failed."""
        return self.served + self.generated + self.refused + self.failed


def generate(
    describer: Describer[Any],
    plan: Planned[Any],
    store: DescriptionStore,
    progress: Progress,
    *,
    shard: Shard | None = None,
    ask_again: bool = False,
) -> GenerateResult:
    """Answer every request of `plan`, or of its `shard`, from `store` or by asking `describer`.

    The answers of each batch are on disk before the next batch is sent, so an interrupted run
    continues where it stopped. Requests that another process has answered meanwhile are not sent. A
    refusal is stored as an answer; its request is sent again only with `ask_again`. A failure is
    stored with its reason; the next run sends its request again. The processes of one run divide
    the requests among themselves, and each process returns all answers.

    Raises `LatteError` if too many requests fail in a row, or if no request got a text. For a shard
    and for choices, the second error is raised only if every request failed.
    """
    store.refresh()
    rows: Sequence[int] = range(len(plan))
    if shard is not None:
        rows = array("i", (row for row in rows if shard.holds(plan.key(row))))
    own = own_rows(rows, plan.key)
    written = _Pass(describer, plan, store, progress, ask_again).answer(own)
    written, spent = wait_for_answers(
        store, rows, own, plan.key, written=written, spent=describer.counters
    )
    result = _result(plan, rows, written, store)
    _check_any(result, plan, rows, store, whole=shard is None and plan.needs_text)
    if rows:
        progress.say(f"{_summary(plan.noun, result, spent)}; see {store.folder}")
    return result


def _result(
    plan: Planned[Any], rows: Sequence[int], written: int, store: DescriptionStore
) -> GenerateResult:
    key = plan.key
    texts = tuple(store.get(key(row)) for row in range(len(plan)))
    answered = sum(texts[row] is not None for row in rows)
    refused = sum(texts[row] is None and store.refusal(key(row)) is not None for row in rows)
    failed = len(rows) - answered - refused
    return GenerateResult(texts, answered - written, written, refused, failed)


def _check_any(
    result: GenerateResult,
    plan: Planned[Any],
    rows: Sequence[int],
    store: DescriptionStore,
    whole: bool,
) -> None:
    """Raise `LatteError` if all requests failed or, if `whole` is true, if none got a text."""
    if not rows or result.served or result.generated or (result.refused and not whole):
        return
    again = "refusals are kept; to ask again: latte describe RECIPE --ask-again"
    raise LatteError(
        f"the describer answered none of {len(rows):,} requests: "
        f"{store.failure(plan.key(rows[0]))}",
        where="describer",
        hint=again if result.refused else None,
    )


def _summary(noun: str, result: GenerateResult, spent: Mapping[str, int]) -> str:
    """Return a line such as `1,000 descriptions: 880 reused, 117 written, 3 refused`."""
    counts = [f"{result.served:,} reused", f"{result.generated:,} written"]
    if result.refused:
        counts.append(f"{result.refused:,} refused")
    if result.failed:
        counts.append(f"{result.failed:,} failed")
    cost = ", ".join(f"{value:,} {name}" for name, value in spent.items())
    line = f"{result.requests:,} {noun}: {', '.join(counts)}"
    return f"{line}; spent {cost}" if cost else line


class _Pass:
    """One pass over the requests that have no answer yet."""

    def __init__(
        self,
        describer: Describer[Any],
        plan: Planned[Any],
        store: DescriptionStore,
        progress: Progress,
        ask_again: bool,
    ) -> None:
        self.describer = describer
        self.plan = plan
        self.store = store
        self.progress = progress
        self.ask_again = ask_again

    def answer(self, rows: Sequence[int]) -> int:
        """Send the unanswered requests among `rows`. Returns the number of new texts."""
        missing = array("i", (row for row in rows if self._needs_asking(row)))
        if not missing:
            return 0
        written = refused = failed = in_a_row = 0
        done, size = len(rows) - len(missing), self.describer.batch_size
        with self.progress.task("describe", len(rows), "texts", done=done) as task:
            for first in range(0, len(missing), size):
                batch = missing[first : first + size]
                self.store.prepare()
                self.store.refresh()
                answers = self._ask_and_store([row for row in batch if self._needs_asking(row)])
                written += sum(answer.text is not None for answer in answers)
                refused += sum(answer.refused for answer in answers)
                failed += sum(answer.crashed for answer in answers)
                counts = {"refused": refused, "failed": failed}
                shown = {name: count for name, count in counts.items() if count}
                task.advance(len(batch), **{**self.describer.counters, **shown})
                in_a_row = _crashes_in_a_row(answers, in_a_row)
                _check_alive(answers, in_a_row)
        return written

    def _needs_asking(self, row: int) -> bool:
        key = self.plan.key(row)
        if self.store.get(key) is not None:
            return False
        return self.ask_again or self.store.refusal(key) is None

    def _ask_and_store(self, rows: Sequence[int]) -> list[Answer]:
        if not rows:
            return []
        requests = [self.plan.request(row) for row in rows]
        answers = ask(self.describer, self.plan, requests)
        records = [
            replace(
                self.plan.record(row),
                text=answer.text,
                failure=answer.failure,
                refused=answer.refused,
            )
            for row, answer in zip(rows, answers, strict=True)
        ]
        self.store.put_many(records)
        return answers


def _check_alive(answers: Sequence[Answer], in_a_row: int) -> None:
    if in_a_row >= GIVE_UP_AFTER:
        raise LatteError(
            f"the describer failed on {in_a_row} requests in a row, "
            f"at last with {answers[-1].failure}",
            where="describer",
            hint="texts that were finished are safe; repair the describer and run again",
        )


def _crashes_in_a_row(answers: Sequence[Answer], before: int) -> int:
    for answer in answers:
        before = before + 1 if answer.crashed else 0
    return before


@dataclass(frozen=True)
class Answer:
    """A describer's answer to one request."""

    text: str | None
    failure: str | None = None
    """Reason why `text` is None."""
    crashed: bool = False
    """True if asking again may succeed."""

    @property
    def refused(self) -> bool:
        """True if asking again cannot give a text."""
        return self.text is None and not self.crashed


def ask(
    describer: Describer[Any], plan: Planned[RequestT], requests: Sequence[RequestT]
) -> list[Answer]:
    """Return answers in the order of `requests`, which are requests of `plan`.

    If a batch raises an exception, its halves are sent separately, down to single requests, each of
    which is sent up to `ATTEMPTS` times. A `LatteError` of the describer ends this at once, because
    sending the request again would not help.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answers = plan.send(describer, requests)
            return [_answer(text) for text in _checked(describer, requests, answers)]
        except LatteError:
            raise
        except Exception as error:  # models and networks raise anything
            if len(requests) > 1:
                break
            if attempt == ATTEMPTS:
                reason = clean(redact(f"{type(error).__name__}: {error}"))
                return [Answer(None, reason, crashed=True)]
    middle = len(requests) // 2
    return ask(describer, plan, requests[:middle]) + ask(describer, plan, requests[middle:])


def _checked(
    describer: Describer[Any], requests: Sequence[Any], answers: Sequence[str | Refusal]
) -> Sequence[str | Refusal]:
    if len(answers) != len(requests) or not all(isinstance(one, str | Refusal) for one in answers):
        raise LatteError(
            f"{type(describer).__name__} must return one answer for each of {len(requests)} "
            f"requests, in their order, and returned {len(answers)} values",
            where="describer",
            hint=MISTAKE,
        )
    return answers


def _answer(text: str | Refusal) -> Answer:
    if isinstance(text, Refusal):
        return Answer(None, clean(redact(text.reason)) or REFUSAL)
    cleaned = clean(text)
    return Answer(cleaned) if cleaned else Answer(None, REFUSAL)
