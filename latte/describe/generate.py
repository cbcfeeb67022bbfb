"""The stage that turns a plan into texts: serves what is stored and asks for the rest."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from latte.describe.plan import Plan
from latte.describe.store import DescriptionStore, StoredText
from latte.interfaces import Describer, DescribeRequest, LatteError, Progress, Refusal

MAX_CHARACTERS = 600
"""Some eight times what was asked for; CLIP reads at most 77 tokens anyway."""
ATTEMPTS = 3
"""How often a request that fails on its own is asked before it counts as failed."""
GIVE_UP_AFTER = 32
"""So many failed requests in a row mean that the describer is broken, not the images."""
REFUSAL = "the describer returned an empty text"


@dataclass(frozen=True)
class GenerateResult:
    """Texts for a plan, and what became of each request."""

    texts: tuple[str | None, ...]
    """In the order of the plan's requests; None where the describer refused or failed."""
    served: int
    """Requests whose text was in the store."""
    generated: int
    """Requests that were answered now."""
    refused: int
    """Requests without a text."""


def generate(
    describer: Describer[Any] | None, plan: Plan, store: DescriptionStore, progress: Progress
) -> GenerateResult:
    """Answer every request of `plan`, from `store` or by asking `describer`.

    Each batch is durable before the next is asked, so an interrupted run continues where it was.
    A request that fails or is refused is recorded with its reason and has no text. Raises
    `LatteError` where not a single request got a text, or where too many fail in a row.
    """
    missing = [i for i, request in enumerate(plan.requests) if store.get(request.key) is None]
    total, served = len(plan.requests), len(plan.requests) - len(missing)
    if served:
        progress.say(f"{served:,} of {total:,} descriptions are reused from {store.folder}")
    if missing and describer is not None:
        _ask_for(missing, served, describer, plan, store, progress)
    texts = tuple(store.get(request.key) for request in plan.requests)
    refused = texts.count(None)
    if refused and refused == total:
        raise LatteError(
            f"the describer answered none of {total:,} requests: "
            f"{store.failure(plan.requests[0].key)}",
            where="describer",
        )
    if refused:
        progress.say(f"{refused:,} of {total:,} descriptions were refused; see {store.folder}")
    return GenerateResult(texts, served, total - served - refused, refused)


def clean(text: str) -> str:
    """One line of printable text of at most `MAX_CHARACTERS`, cut between words."""
    line = " ".join("".join(char for char in text if _is_printable(char)).split())
    if len(line) <= MAX_CHARACTERS:
        return line
    head = line[: MAX_CHARACTERS + 1]
    return (head.rsplit(" ", 1)[0] if " " in head else head[:MAX_CHARACTERS]).strip()


def _is_printable(char: str) -> bool:
    """White space of every kind passes: what it becomes is decided later."""
    return char.isspace() or unicodedata.category(char) not in ("Cc", "Cs")


@dataclass(frozen=True)
class _Answer:
    text: str | None
    failure: str | None = None
    crashed: bool = False


def _ask_for(
    missing: Sequence[int],
    served: int,
    describer: Describer[Any],
    plan: Plan,
    store: DescriptionStore,
    progress: Progress,
) -> None:
    refused = in_a_row = 0
    with progress.task("describe", len(plan.requests), "texts", done=served) as task:
        for batch in _chunks(missing, describer.batch_size):
            answers = _ask(describer, [plan.request(index) for index in batch])
            store.put_many([_record(plan, i, a) for i, a in zip(batch, answers, strict=True)])
            refused += sum(answer.text is None for answer in answers)
            task.advance(len(batch), refused=refused)
            in_a_row = _crashes_in_a_row(answers, in_a_row)
            if in_a_row >= GIVE_UP_AFTER:
                raise LatteError(
                    f"the describer failed on {in_a_row} requests in a row, "
                    f"at last with {answers[-1].failure}",
                    where="describer",
                    hint="texts that were finished are safe; mend the describer and run again",
                )


def _ask(describer: Describer[Any], requests: Sequence[DescribeRequest]) -> list[_Answer]:
    """Answers in order. A batch that crashes is halved, down to requests that crash alone."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return [_answer(text) for text in _checked(describer, requests)]
        except LatteError:
            raise
        except Exception as error:  # whatever a model or a network can raise
            if len(requests) > 1:
                break
            if attempt == ATTEMPTS:
                reason = clean(f"{type(error).__name__}: {error}")
                return [_Answer(None, reason, crashed=True)]
    middle = len(requests) // 2
    return _ask(describer, requests[:middle]) + _ask(describer, requests[middle:])


def _checked(
    describer: Describer[Any], requests: Sequence[DescribeRequest]
) -> Sequence[str | Refusal]:
    texts = describer.describe(requests)
    if len(texts) != len(requests) or not all(isinstance(text, str | Refusal) for text in texts):
        raise LatteError(
            f"{type(describer).__name__} must return one text for each of {len(requests)} "
            f"requests, in their order, and returned {len(texts)} values",
            where="describer",
            hint="this is a mistake of the plugin that provides the describer",
        )
    return texts


def _answer(text: str | Refusal) -> _Answer:
    if isinstance(text, Refusal):
        return _Answer(None, clean(text.reason) or REFUSAL)
    cleaned = clean(text)
    return _Answer(cleaned) if cleaned else _Answer(None, REFUSAL)


def _record(plan: Plan, index: int, answer: _Answer) -> StoredText:
    planned = plan.requests[index]
    return StoredText(
        key=planned.key,
        text=answer.text,
        failure=answer.failure,
        describer=plan.fingerprint,
        prompt=planned.prompt,
        images=tuple(plan.training.keys[row] for row in planned.members),
    )


def _crashes_in_a_row(answers: Sequence[_Answer], before: int) -> int:
    for answer in answers:
        before = before + 1 if answer.crashed else 0
    return before


def _chunks(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    rest = iter(indices)
    while chunk := list(islice(rest, size)):
        yield chunk
