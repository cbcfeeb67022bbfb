"""Asks a describer, and takes what goes wrong for what it is: a crash, a refusal, a slip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latte.describe.cleaning import clean
from latte.interfaces import Describer, DescribeRequest, LatteError, Refusal
from latte.secrecy import untold

ATTEMPTS = 3
"""How often a request that fails on its own is asked before it counts as failed."""
REFUSAL = "the describer returned an empty text"


@dataclass(frozen=True)
class Answer:
    """What a describer said to one request."""

    text: str | None
    failure: str | None = None
    """Why `text` is None."""
    crashed: bool = False
    """Asking another time may go well."""

    @property
    def refused(self) -> bool:
        """Whether there will be no text however often it is asked."""
        return self.text is None and not self.crashed


def ask(describer: Describer[Any], requests: Sequence[DescribeRequest]) -> list[Answer]:
    """Answers in the order of `requests`.

    A batch that crashes is halved, down to requests that crash alone. Raises what the describer
    raises as `LatteError`: nothing that asking again would mend.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return [_answer(text) for text in _checked(describer, requests)]
        except LatteError:
            raise
        except Exception as error:  # whatever a model or a network can raise
            if len(requests) > 1:
                break
            if attempt == ATTEMPTS:
                reason = clean(untold(f"{type(error).__name__}: {error}"))
                return [Answer(None, reason, crashed=True)]
    middle = len(requests) // 2
    return ask(describer, requests[:middle]) + ask(describer, requests[middle:])


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


def _answer(text: str | Refusal) -> Answer:
    if isinstance(text, Refusal):
        return Answer(None, clean(untold(text.reason)) or REFUSAL)
    cleaned = clean(text)
    return Answer(cleaned) if cleaned else Answer(None, REFUSAL)
