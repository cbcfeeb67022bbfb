"""Describers; each has one fault."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from latte.interfaces import (
    Choice,
    ChoiceRequest,
    Describer,
    DescribeRequest,
    NoOptions,
    Options,
)
from latte.testing import DescriberContract
from tests.testing.broken.fault import Fault


def echo(request: DescribeRequest) -> str:
    return f"{request.prompt} {[image.key for image in request.images]}"


class Echo(Describer[NoOptions]):
    fingerprint = "echo-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [echo(request) for request in requests]


class Sorted(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return sorted(super().describe(requests))


class TestTextsComeInAnotherOrder(Fault, DescriberContract):
    broken = Sorted
    fails: ClassVar = {"texts_do_not_depend_on_the_batch_or_its_order"}


class Numbered(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [f"{place} {echo(request)}" for place, request in enumerate(requests)]


class TestTextsDependOnTheBatch(Fault, DescriberContract):
    broken = Numbered
    fails: ClassVar = {"texts_do_not_depend_on_the_batch_or_its_order"}


class Lossy(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [*dict.fromkeys(request.prompt for request in requests)]


class TestOneTextForEachPrompt(Fault, DescriberContract):
    broken = Lossy
    fails: ClassVar = {
        "there_is_one_text_for_each_request",
        "texts_do_not_depend_on_the_batch_or_its_order",
        "there_is_one_choice_for_each_request",
        "choices_do_not_depend_on_the_batch_or_its_order",
    }


class NeedsOne(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        first = requests[0]
        return [echo(first), *super().describe(requests[1:])]


class Forgetful(Echo):
    """Has a bug in its first question without an image, which no second attempt may hide."""

    asked = False

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        if not self.asked and not all(request.images for request in requests):
            self.asked = True
            raise AttributeError("no image")
        return super().describe(requests)


class TestTheFirstAttemptHasABug(Fault, DescriberContract):
    broken = Forgetful
    fails: ClassVar = {"a_request_may_have_no_image"}


class TestAnEmptyBatchFails(Fault, DescriberContract):
    broken = NeedsOne
    fails: ClassVar = {
        "an_empty_batch_gets_no_texts",
        "no_choices_are_made_for_an_empty_batch",
    }


class Excessive(Echo):
    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        return [Choice((1.0,) * len(request.options)) for request in requests]


class TestProbabilitiesDoNotSumTo1(Fault, DescriberContract):
    broken = Excessive
    fails: ClassVar = {"there_is_one_choice_for_each_request"}


class Alternating(Echo):
    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        return [
            request.choice([float(place % 2 == at % 2) for at in range(len(request.letters))])
            for place, request in enumerate(requests)
        ]


class TestChoicesDependOnTheBatch(Fault, DescriberContract):
    broken = Alternating
    fails: ClassVar = {"choices_do_not_depend_on_the_batch_or_its_order"}


class Seeded(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [f"{self.context.seed} {echo(request)}" for request in requests]


class TestTheSeedIsNotInTheFingerprint(Fault, DescriberContract):
    broken = Seeded
    fails: ClassVar = {"equal_fingerprints_promise_equal_texts"}


class Restless(Echo):
    numbers = itertools.count()

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        return f"restless-{next(self.numbers)}"


class TestTheFingerprintChanges(Fault, DescriberContract):
    broken = Restless
    fails: ClassVar = {"the_fingerprint_is_stable"}


class ShoutOptions(Options):
    loud: bool = Field(default=False, description="in capitals")


class Shout(Describer[ShoutOptions]):
    fingerprint = "shout"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [echo(one).upper() if self.options.loud else echo(one) for one in requests]


class TestAnOptionIsNotInTheFingerprint(Fault, DescriberContract):
    broken = Shout
    given = ShoutOptions()
    changes: ClassVar = {"loud": True}
    fails: ClassVar = {"options_that_change_texts_change_the_fingerprint"}


class TestAnOptionIsNotListed(Fault, DescriberContract):
    broken = Shout
    given = ShoutOptions()
    fails: ClassVar = {"options_that_change_texts_change_the_fingerprint"}


class Boastful(Echo):
    max_images = 4

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [echo(replace(one, images=(image,))) for one in requests for image in one.images]


class First(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [f"{one.prompt} {one.images[0].key}" for one in requests]


class TestItExpectsAnImage(Fault, DescriberContract):
    broken = First
    fails: ClassVar = {"a_request_may_have_no_image"}


class TestItAnswersForEachImage(Fault, DescriberContract):
    broken = Boastful
    fails: ClassVar = {"a_request_may_hold_max_images", "a_request_may_have_no_image"}


class Leaky(Echo):
    def close(self) -> None:
        raise RuntimeError("never used")


class TestItCannotBeClosed(Fault, DescriberContract):
    broken = Leaky
    fails: ClassVar = {"it_can_be_closed"}


class Careless(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        for image in [image for request in requests for image in request.images]:
            with contextlib.suppress(OSError):
                image.open()
        return super().describe(requests)


class TestItDescribesWhatItCannotRead(Fault, DescriberContract):
    broken = Careless
    fails: ClassVar = {"an_unreadable_image_gets_no_text"}


class Stubborn(Echo):
    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        with contextlib.suppress(KeyboardInterrupt):
            for image in [image for request in requests for image in request.images]:
                image.open()
        return super().describe(requests)


class TestItCannotBeInterrupted(Fault, DescriberContract):
    broken = Stubborn
    fails: ClassVar = {"it_can_be_interrupted"}
