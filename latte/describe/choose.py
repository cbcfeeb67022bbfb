"""Choices among options: questions whose answers are probabilities, stored like texts."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, ClassVar

from latte.describe.generate import MISTAKE, generate
from latte.describe.plan import refuse_secrets
from latte.describe.shards import Shard
from latte.describe.store import SEPARATE, SINGLE, DescriptionStore, StoredText, request_key
from latte.interfaces import Choice, ChoiceRequest, Describer, LatteError, Progress, Refusal

VERSION = "choice-1"
"""Part of each key; increase it if the text of questions or the stored numbers change."""
INPUT, OUTPUT = "prompt tokens", "tokens"
"""Names of the counters of describers that count input and output tokens."""
_DIGITS = 6
"""Decimal places of stored probabilities, so few that 26 of them fit into a stored text."""


def choose(
    describer: Describer[Any],
    requests: Sequence[ChoiceRequest],
    store: DescriptionStore,
    progress: Progress,
    *,
    shard: Shard | None = None,
) -> list[Choice | None]:
    """Return the choice for each of `requests`, from `store` or by asking `describer`.

    None stands for a request that was refused, failed, or got an answer that names no option. Equal
    requests are sent once. Storing, resuming and sharing among processes work as in `generate`.

    Raises `LatteError` if all requests failed, if a request or the describer's fingerprint contains
    a secret, or if a request has more images than the describer accepts.
    """
    if not requests:
        return []
    plan = ChoicePlan(describer, requests)
    result = generate(describer, plan, store, progress, shard=shard)
    texts = dict(zip(plan.keys, result.texts, strict=True))
    return [_from_text(one, texts[choice_key(one, plan.fingerprint)]) for one in requests]


def stored_choices(
    describer: Describer[Any], requests: Sequence[ChoiceRequest], store: DescriptionStore
) -> list[Choice | None]:
    """Return the choice for each of `requests` from `store`, without asking `describer`."""
    plan = ChoicePlan(describer, requests)
    keys = [choice_key(one, plan.fingerprint) for one in requests]
    return [_from_text(one, store.get(key)) for one, key in zip(requests, keys, strict=True)]


def stored_tokens(text: str | None) -> tuple[int, int] | None:
    """Return the input and output tokens in the text of a stored choice; None without a count."""
    try:
        read, written = json.loads(text or "")["tokens"]
        return (read, written) if min(read, written) >= 0 else None
    except (TypeError, ValueError, LookupError, RecursionError):
        return None


def counted_tokens(describer: Describer[Any]) -> tuple[int, int] | None:
    """Return the input and output tokens of `describer` so far; None if it does not count both."""
    found = describer.counters
    return (found[INPUT], found[OUTPUT]) if {INPUT, OUTPUT} <= found.keys() else None


def choice_key(request: ChoiceRequest, fingerprint: str) -> str:
    """Return the key of the answer to `request`; `fingerprint` is that of a `ChoicePlan`.

    The options affect the key through the text of the question, which lists them in order.
    """
    images = [image.key for image in request.images]
    return request_key(images, request.question().prompt, fingerprint, _layout(request))


class ChoicePlan:
    """Distinct requests to choose, in the order of their first occurrence.

    The fingerprint has a prefix that descriptions do not have, so that a choice and a text as
    answers to the same question get different keys.
    """

    noun: ClassVar = "choices"
    needs_text: ClassVar = False

    def __init__(self, describer: Describer[Any], requests: Sequence[ChoiceRequest]) -> None:
        self.fingerprint = f"{VERSION} {describer.fingerprint}"
        self._counted = counted_tokens(describer)
        refuse_secrets(self.fingerprint)
        for prompt in {one.question().prompt for one in requests}:
            refuse_secrets(prompt)
        for one in requests:
            if not 1 <= len(one.images) <= describer.max_images:
                raise LatteError(
                    f"a choice about {len(one.images)} images was asked of a describer that takes "
                    f"1 to {describer.max_images}",
                    where="describer",
                )
        distinct = {choice_key(one, self.fingerprint): one for one in requests}
        self.keys = tuple(distinct)
        self._requests = tuple(distinct.values())

    def __len__(self) -> int:
        """Number of distinct requests."""
        return len(self.keys)

    def key(self, index: int) -> str:
        """Return the key of the answer to request `index`."""
        return self.keys[index]

    def request(self, index: int) -> ChoiceRequest:
        """Return request `index`."""
        return self._requests[index]

    def record(self, index: int) -> StoredText:
        """Return the record of request `index` without its answer."""
        request = self._requests[index]
        return StoredText(
            key=self.keys[index],
            text=None,
            describer=self.fingerprint,
            prompt=request.question().prompt,
            images=tuple(image.key for image in request.images),
            layout=_layout(request),
        )

    def send(
        self, describer: Describer[Any], requests: Sequence[ChoiceRequest]
    ) -> Sequence[str | Refusal]:
        """Return the choices of `describer` as texts in the stored format.

        Each gets an equal share, rounded up, of the tokens since the last call that succeeded.
        """
        choices = describer.choose(requests)
        before, self._counted = self._counted, counted_tokens(describer)
        tokens = None
        if before and self._counted:
            used = zip(self._counted, before, strict=True)
            tokens = [math.ceil((now - then) / len(requests)) for now, then in used]
        if len(choices) != len(requests):
            raise _mistake(describer, f"{len(choices)} choices for {len(requests)} requests")
        answers = []
        for request, choice in zip(requests, choices, strict=True):
            try:
                answers.append(
                    choice if isinstance(choice, Refusal) else _as_text(request, choice, tokens)
                )
            except (AttributeError, TypeError, ValueError):
                raise _mistake(describer, f"{choice} for {request.options}") from None
        return answers


def _mistake(describer: Describer[Any], what: str) -> LatteError:
    return LatteError(
        f"{type(describer).__name__} returned {what}; it must return one `Choice` or `Refusal` for "
        "each request, with one probability per option",
        where="describer",
        hint=MISTAKE,
    )


def _as_text(request: ChoiceRequest, choice: Choice, tokens: list[int] | None) -> str:
    """Return the probability of each letter (option) as a JSON list, with the tokens if counted."""
    none = [choice.none] if request.none_allowed or choice.none else []
    same = request.choice([*choice.probabilities, *none])
    shares = [*same.probabilities, same.none][: len(request.letters)]
    rounded = [round(share, _DIGITS) for share in shares]
    return json.dumps(rounded if tokens is None else {"choice": rounded, "tokens": tokens})


def _from_text(request: ChoiceRequest, text: str | None) -> Choice | None:
    """Return the stored choice; None without a text, or for a text that is no choice."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        return request.choice(found["choice"] if isinstance(found, dict) else found)
    except (TypeError, ValueError, LookupError, ArithmeticError, RecursionError):
        return None


def _layout(request: ChoiceRequest) -> str:
    return SINGLE if len(request.images) == 1 else SEPARATE
