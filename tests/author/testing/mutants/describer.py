"""Mutants of describers and gates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar

from latte_author.testing import DescriberContract, GateContract
from pydantic import Field

from latte.interfaces import (
    Choice,
    Describer,
    DescribeRequest,
    Gate,
    GatedText,
    GateSubject,
    NoOptions,
    Options,
)
from tests.author.testing.mutants import Mutants, mutant

NUMBERS = count()


def echo(request: DescribeRequest) -> str:
    return f"{request.prompt} {[image.key for image in request.images]}"


class Echo(Describer[NoOptions]):
    fingerprint = "echo-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [echo(request) for request in requests]


class Looking(Echo):
    """Opens each image; ignores exceptions of the types `ignored`."""

    ignored: ClassVar[tuple[type[BaseException], ...]] = ()

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        for image in [image for request in requests for image in request.images]:
            with suppress(*self.ignored):
                image.open()
        return super().describe(requests)


class ShoutOptions(Options):
    loud: bool = Field(default=False, description="in capitals")


class Shout(Describer[ShoutOptions]):
    @property
    def fingerprint(self) -> str:
        return f"shout-1 loud={self.options.loud}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [
            echo(request).upper() if self.options.loud else echo(request) for request in requests
        ]


class Sober(Gate[NoOptions]):
    """Holds back long texts."""

    def judge(self, texts: Sequence[GatedText], subject: GateSubject) -> list[str | None]:
        return ["it is long" if len(gated.text) > 60 else None for gated in texts]


def fail(*_: Any) -> Any:
    raise RuntimeError("never used")


def needs_one(_: Echo, requests: Sequence[DescribeRequest]) -> list[str]:
    return [echo(requests[0]), *map(echo, requests[1:])]


def remembering(gate: Any, texts: Sequence[GatedText], _: GateSubject) -> list[str | None]:
    seen: set[str] = gate.__dict__.setdefault("seen", set())
    verdicts = ["seen before" if gated.text in seen else None for gated in texts]
    seen.update(gated.text for gated in texts)
    return [*verdicts]


def compared(_: Sober, texts: Sequence[GatedText], __: GateSubject) -> list[str | None]:
    longest = max(len(gated.text) for gated in texts)
    return ["the longest" if len(gated.text) == longest else None for gated in texts]


def without_copies(_: Sober, texts: Sequence[GatedText], __: GateSubject) -> list[str | None]:
    written = [gated.text for gated in texts]
    return ["a copy" if text in written[:place] else None for place, text in enumerate(written)]


MUTANTS: Mutants = {
    DescriberContract: {
        "there_is_one_text_for_each_request": mutant(
            Echo, describe=lambda _, requests: [*{request.prompt: "" for request in requests}]
        ),
        "texts_do_not_depend_on_the_batch_or_its_order": mutant(
            Echo, describe=lambda _, requests: sorted(map(echo, requests))
        ),
        "an_empty_batch_gets_no_texts": mutant(Echo, describe=needs_one),
        "there_is_one_choice_for_each_request": mutant(
            Echo,
            choose=lambda _, requests: [
                Choice((1.0,) * len(request.options)) for request in requests
            ],
        ),
        "choices_do_not_depend_on_the_batch_or_its_order": mutant(
            Echo,
            choose=lambda _, requests: [
                request.choice([1.0 + place * index for index in range(len(request.letters))])
                for place, request in enumerate(requests)
            ],
        ),
        "no_choices_are_made_for_an_empty_batch": mutant(Echo, describe=needs_one),
        "equal_fingerprints_promise_equal_texts": mutant(
            Echo, describe=lambda self, requests: [f"{self.context.seed}" for _ in requests]
        ),
        "the_fingerprint_is_stable": mutant(
            Echo, fingerprint=property(lambda _: f"echo-{next(NUMBERS)}")
        ),
        "options_that_change_texts_change_the_fingerprint": mutant(
            Shout, ShoutOptions(), {"changes": {"loud": True}}, fingerprint="shout-1"
        ),
        "a_request_may_hold_max_images": mutant(
            Echo,
            max_images=4,
            describe=lambda _, requests: [
                image.key for request in requests for image in request.images
            ],
        ),
        "a_request_may_have_no_image": mutant(
            Echo, describe=lambda _, requests: [request.images[0].key for request in requests]
        ),
        "it_can_be_closed": mutant(Echo, close=fail),
        "an_unreadable_image_gets_no_text": mutant(Looking, ignored=(OSError,)),
        "it_can_be_interrupted": mutant(Looking, ignored=(KeyboardInterrupt,)),
    },
    GateContract: {
        "every_text_gets_a_verdict": mutant(
            Sober, judge=lambda _, texts, __: [False for _ in texts]
        ),
        "a_description_may_have_hardly_any_text": mutant(Sober, judge=compared),
        "verdicts_are_deterministic": mutant(
            Sober,
            judge=lambda self, texts, _: ["unlucky" if self.context.seed else None for _ in texts],
        ),
        "nothing_is_remembered": mutant(Sober, judge=remembering),
        "the_order_of_texts_does_not_matter": mutant(Sober, judge=without_copies),
    },
}
