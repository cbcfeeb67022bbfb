"""Contract tests of describers, which write texts about images."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from PIL import Image

from latte.api import (
    BUGS,
    Choice,
    ChoiceRequest,
    DescribedImage,
    Describer,
    DescribeRequest,
    Kind,
    LatteError,
    Refusal,
)
from latte_author.testing.component import ComponentContract
from latte_author.testing.fixtures import described_images

ATTEMPTS = 3
"""Calls before a failure counts; a run makes more, with pauses."""
OPTIONS = ("a red fox", "写真 🦊", "{class} {0}")
RequestT = TypeVar("RequestT", DescribeRequest, ChoiceRequest)
PROMPTS = ("What is this?", "Qu'est-ce que c'est ?\n写真 🦊 {class} {0}")


class DescriberContract(ComponentContract):
    """Tests that texts are valid and that describers with equal fingerprints write equal texts.

    Example:
        >>> from latte_author.testing import DescriberContract
        >>> class TestEcho(DescriberContract):
        ...     component = "echo"
        ...     changes = {"loud": True}
        ...     without_effect_on_texts = ("batch_size",)
    """

    kind: ClassVar[Kind] = "describer"
    changes: ClassVar[Mapping[str, Any]] = {}
    """Options that change texts, with values that are not defaults, such as `{"model": "b"}`."""
    without_effect_on_texts: ClassVar[Sequence[str]] = ()
    """All other options, such as `("batch_size", "device")`."""

    def make(self, folder: Path, seed: int = 0) -> Any:
        """Return a describer whose calls are repeated after a temporary failure, as in a run."""
        describer = super().make(folder, seed)
        describer.describe = _retried(describer.describe)
        describer.choose = _retried(describer.choose)
        return describer

    def requests(self, folder: Path) -> list[DescribeRequest]:
        """Return six requests: two questions about each of three images."""
        images = described_images(folder / "asked")
        return [DescribeRequest((image,), prompt) for image in images for prompt in PROMPTS]

    def choices(self, folder: Path) -> list[ChoiceRequest]:
        """Return six multiple-choice requests: three images, two orders of the options."""
        images = described_images(folder / "asked")
        return [
            ChoiceRequest((image,), "Which is it?", options, none_allowed=place == 1)
            for place, image in enumerate(images)
            for options in (OPTIONS, OPTIONS[::-1])
        ]

    def test_there_is_one_text_for_each_request(self, tmp_path: Path) -> None:
        """`describe` must return a list with one `str` or `Refusal` per request."""
        requests = self.requests(tmp_path)
        texts = self.make(tmp_path).describe(requests)
        assert isinstance(texts, list | tuple), "describe() must return a list"
        answers = all(isinstance(text, str | Refusal) for text in texts)
        assert answers, "every text must be a str, or a Refusal"
        assert len(texts) == len(requests), f"{len(texts)} texts for {len(requests)} requests"

    def test_texts_do_not_depend_on_the_batch_or_its_order(self, tmp_path: Path) -> None:
        """A text must not depend on its batch, because a resumed run has other batches."""
        requests, describer = self.requests(tmp_path), self.make(tmp_path)
        texts = describer.describe(requests)
        single_texts = [describer.describe([request])[0] for request in requests]
        assert single_texts == texts, (
            "a request asked alone must get the text that it gets in a batch"
        )
        reversed_texts = describer.describe(requests[::-1])
        assert reversed_texts[::-1] == texts, "texts must come in the order of the requests"

    def test_an_empty_batch_gets_no_texts(self, tmp_path: Path) -> None:
        """`describe([])` must return an empty list."""
        assert list(self.make(tmp_path).describe([])) == []

    def test_there_is_one_choice_for_each_request(self, tmp_path: Path) -> None:
        """`choose` must return a `Choice` or `Refusal` per request; probabilities must sum to 1."""
        requests = self.choices(tmp_path)
        choices = self.make(tmp_path).choose(requests)
        assert len(choices) == len(requests), f"{len(choices)} choices for {len(requests)} requests"
        for request, choice in zip(requests, choices, strict=True):
            assert isinstance(choice, Choice | Refusal), (
                "every choice must be a Choice or a Refusal"
            )
            if isinstance(choice, Refusal):
                continue
            assert len(choice.probabilities) == len(request.options), "one probability per option"
            shares = (*choice.probabilities, choice.none)
            assert min(shares) >= 0, "a probability is negative"
            assert sum(shares) == pytest.approx(1, abs=1e-4), "probabilities must sum to 1"
            assert request.none_allowed or choice.none == 0, "`none` was not allowed"

    def test_choices_do_not_depend_on_the_batch_or_its_order(self, tmp_path: Path) -> None:
        """Other requests in a batch, and their order, may change choices by rounding only."""
        requests, describer = self.choices(tmp_path), self.make(tmp_path)
        choices = describer.choose(requests)
        single_choices = [describer.choose([request])[0] for request in requests]
        reversed_choices = describer.choose(requests[::-1])[::-1]
        for choice, single_choice, reversed_choice in zip(
            choices, single_choices, reversed_choices, strict=True
        ):
            assert _equal(single_choice, choice), (
                "a request asked alone must get the choice of a batch"
            )
            assert _equal(reversed_choice, choice), "choices must come in the order of the requests"

    def test_no_choices_are_made_for_an_empty_batch(self, tmp_path: Path) -> None:
        """`choose([])` must return an empty list."""
        assert list(self.make(tmp_path).choose([])) == []

    def test_equal_fingerprints_promise_equal_texts(self, tmp_path: Path) -> None:
        """If the recipe's folder or the seed changes texts, the fingerprint must change too."""
        describer, other_describer = self.make(tmp_path / "a"), self.make(tmp_path / "b", seed=1)
        requests = self.requests(tmp_path)
        if describer.fingerprint == other_describer.fingerprint:
            texts = describer.describe(requests), other_describer.describe(requests)
            assert texts[0] == texts[1], "equal fingerprints, and yet other texts"

    def test_the_fingerprint_is_stable(self, tmp_path: Path) -> None:
        """The same options must give the same fingerprint, before and after describing."""
        describer: Describer[Any] = self.make(tmp_path / "a")
        fingerprint = describer.fingerprint
        assert isinstance(fingerprint, str), "the fingerprint must be a str"
        assert fingerprint.strip(), "the fingerprint must not be empty"
        describer.describe(self.requests(tmp_path))
        assert describer.fingerprint == fingerprint, "describing must not change the fingerprint"
        second_fingerprint = self.make(tmp_path / "b").fingerprint
        assert second_fingerprint == fingerprint, "the same options must give the same fingerprint"

    def test_options_that_change_texts_change_the_fingerprint(self, tmp_path: Path) -> None:
        """Options in `changes` must change the fingerprint; otherwise outdated texts are reused."""
        component, options = self.build()
        listed_options = {*self.changes, *self.without_effect_on_texts}
        for name in type(options).model_fields:
            assert name in listed_options, (
                f"option {name} is neither in `changes` nor in `without_effect_on_texts` of "
                f"{type(self).__name__}: add it to `changes` if it changes texts"
            )
        context = self.make(tmp_path).context
        usual_describer = component(options, context)
        assert isinstance(usual_describer, Describer)
        for name, value in self.changes.items():
            changed_options = type(options).model_validate({**options.model_dump(), name: value})
            changed_describer = component(changed_options, context)
            assert isinstance(changed_describer, Describer)
            assert changed_describer.fingerprint != usual_describer.fingerprint, (
                f"option {name} changes texts, but not the fingerprint"
            )

    def test_a_request_may_hold_max_images(self, tmp_path: Path) -> None:
        """A group of up to `max_images` images must be accepted as one request."""
        describer: Describer[Any] = self.make(tmp_path)
        assert describer.max_images >= 1, "max_images must be at least 1"
        assert describer.batch_size >= 1, "batch_size must be at least 1"
        images = described_images(tmp_path / "group", min(describer.max_images, 16))
        texts = describer.describe([DescribeRequest(tuple(images), "What do they share?")])
        assert len(texts) == 1, f"{len(texts)} texts for one request of {len(images)} images"

    def test_a_request_may_have_no_image(self, tmp_path: Path) -> None:
        """A question without images must get a text or a refusal."""
        requests = [DescribeRequest((), prompt) for prompt in PROMPTS]
        texts = self.make(tmp_path).describe(requests)
        assert len(texts) == len(requests), f"{len(texts)} texts for {len(requests)} requests"
        answers = all(isinstance(text, str | Refusal) for text in texts)
        assert answers, "a question about no image gets a str or a Refusal"

    def test_it_can_be_closed(self, tmp_path: Path) -> None:
        """`close` must work before and after the first request."""
        self.make(tmp_path / "unused").close()
        describer = self.make(tmp_path / "used")
        describer.describe(self.requests(tmp_path))
        describer.close()

    def test_an_unreadable_image_gets_no_text(self, tmp_path: Path) -> None:
        """A request with an unreadable image must fail or be refused; later requests must work."""
        requests, describer = self.requests(tmp_path), self.make(tmp_path)

        def fail(image: Image.Image) -> Image.Image:
            raise OSError("the file is gone")

        broken_requests, opened_keys = _watched(requests[:1], fail)
        broken_choices, _ = _watched(self.choices(tmp_path)[:1], fail)
        answers: list[str | Choice | Refusal | BaseException] = []
        with suppress(Exception):
            answers += describer.describe(broken_requests)
        with suppress(Exception):
            answers += describer.choose(broken_choices)
        unfounded_answers = [answer for answer in answers if isinstance(answer, str | Choice)]
        assert not (opened_keys and unfounded_answers), (
            f"it wrote {unfounded_answers} about an image that cannot be read"
        )
        texts = describer.describe(requests)
        expected_texts = self.make(tmp_path).describe(requests)
        assert texts == expected_texts, "after a failure it writes other texts"

    def test_it_can_be_interrupted(self, tmp_path: Path) -> None:
        """Ctrl-C while an image is opened must end `describe`; `close` must work afterwards.

        `describe` may raise `KeyboardInterrupt` or return it in place of texts.
        """
        describer = self.make(tmp_path)

        def interrupt(image: Image.Image) -> Image.Image:
            os.kill(os.getpid(), signal.SIGINT)
            return image

        requests, opened_keys = _watched(self.requests(tmp_path)[:1], interrupt)
        previous_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            answers = describer.describe(requests)
            # Python may handle the signal shortly after `describe` returns.
            time.sleep(0.5 if opened_keys else 0)
            was_stopped = any(isinstance(answer, KeyboardInterrupt) for answer in answers)
        except KeyboardInterrupt:
            was_stopped = True
        finally:
            signal.signal(signal.SIGINT, previous_handler)
        assert was_stopped or not opened_keys, "it swallows KeyboardInterrupt"
        if opened_keys:
            describer.close()


def _retried(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def asked(requests: Any) -> Any:
        for _ in range(ATTEMPTS - 1):
            try:
                return ask(requests)
            except (LatteError, *BUGS):
                raise
            except Exception:  # models and networks raise anything
                continue
        return ask(requests)

    return asked


def _equal(choice: Choice | Refusal, other_choice: Choice | Refusal) -> bool:
    if isinstance(choice, Refusal) or isinstance(other_choice, Refusal):
        return type(choice) is type(other_choice)
    shares = [*choice.probabilities, choice.none]
    return shares == pytest.approx([*other_choice.probabilities, other_choice.none], abs=1e-3)


def _watched(
    requests: Sequence[RequestT], on_open: Callable[[Image.Image], Image.Image]
) -> tuple[list[RequestT], list[str]]:
    """Return copies of `requests` whose images call `on_open` when they are opened.

    Also returns a list, empty at first, to which each opened image appends its key.
    """
    opened_keys: list[str] = []

    def open_image(image: DescribedImage) -> Image.Image:
        opened_keys.append(image.key)
        return on_open(image.open())

    watched_requests = []
    for request in requests:
        images = [replace(image, open=partial(open_image, image)) for image in request.images]
        watched_requests.append(replace(request, images=tuple(images)))
    return watched_requests, opened_keys
