"""Contract of describers: fingerprints, order, failures and interrupts."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

from latte.api import Describer, DescribeRequest, Kind, Refusal
from latte.testing.component import ComponentContract
from latte.testing.fixtures import described_images

PROMPTS = ("What is this?", "Qu'est-ce que c'est ?\n写真 🦊 {class} {0}")


class DescriberContract(ComponentContract):
    """Tests that texts are valid, and equal if fingerprints are equal, because texts are stored.

    Example:
        >>> from latte.testing import DescriberContract
        >>> class TestEcho(DescriberContract):
        ...     component = "echo"
        ...     changes = {"loud": True}
    """

    kind: ClassVar[Kind] = "describer"
    changes: ClassVar[Mapping[str, Any]] = {}
    """Options that change texts, each with a value that is not its default: `{"model": "b"}`."""

    def requests(self, folder: Path) -> list[DescribeRequest]:
        """Return six requests: two questions about each of three images."""
        images = described_images(folder / "asked")
        return [DescribeRequest((image,), prompt) for image in images for prompt in PROMPTS]

    def test_there_is_one_text_for_each_request(self, tmp_path: Path) -> None:
        """`describe` returns a list with one `str` or `Refusal` per request."""
        requests = self.requests(tmp_path)
        texts = self.make(tmp_path).describe(requests)
        assert isinstance(texts, list | tuple), "describe() must return a list"
        answers = all(isinstance(text, str | Refusal) for text in texts)
        assert answers, "every text must be a str, or a Refusal"
        assert len(texts) == len(requests), f"{len(texts)} texts for {len(requests)} requests"

    def test_texts_do_not_depend_on_the_batch_or_its_order(self, tmp_path: Path) -> None:
        """A resumed run sends requests in other batches and must get the same texts."""
        requests, describer = self.requests(tmp_path), self.make(tmp_path)
        texts = describer.describe(requests)
        alone = [describer.describe([request])[0] for request in requests]
        assert alone == texts, "a request asked alone must get the text that it gets in a batch"
        backwards = describer.describe(requests[::-1])
        assert backwards[::-1] == texts, "texts must come in the order of the requests"

    def test_an_empty_batch_gets_no_texts(self, tmp_path: Path) -> None:
        """`describe([])` returns an empty list."""
        assert list(self.make(tmp_path).describe([])) == []

    def test_equal_fingerprints_promise_equal_texts(self, tmp_path: Path) -> None:
        """Neither recipe folder nor seed changes the texts unless it changes the fingerprint."""
        one, other = self.make(tmp_path / "a"), self.make(tmp_path / "b", seed=1)
        requests = self.requests(tmp_path)
        if one.fingerprint == other.fingerprint:
            texts = one.describe(requests), other.describe(requests)
            assert texts[0] == texts[1], "equal fingerprints, and yet other texts"

    def test_the_fingerprint_is_stable(self, tmp_path: Path) -> None:
        """The same options give the same fingerprint, before and after describing."""
        describer: Describer[Any] = self.make(tmp_path / "a")
        before = describer.fingerprint
        assert isinstance(before, str), "the fingerprint must be a str"
        assert before.strip(), "the fingerprint must not be empty"
        describer.describe(self.requests(tmp_path))
        assert describer.fingerprint == before, "describing must not change the fingerprint"
        again = self.make(tmp_path / "b").fingerprint
        assert again == before, "the same options must give the same fingerprint"

    def test_options_that_change_texts_change_the_fingerprint(self, tmp_path: Path) -> None:
        """Each option in `changes` changes the fingerprint; else outdated texts would be reused."""
        if not self.changes:
            pytest.skip("`changes` names no option that changes texts")
        component, options = self.build()
        context = self.make(tmp_path).context
        usual = component(options, context)
        assert isinstance(usual, Describer)
        for name, value in self.changes.items():
            changed = type(options).model_validate({**options.model_dump(), name: value})
            other = component(changed, context)
            assert isinstance(other, Describer)
            assert other.fingerprint != usual.fingerprint, (
                f"option {name} changes texts, but not the fingerprint"
            )

    def test_a_request_may_hold_max_images(self, tmp_path: Path) -> None:
        """A group of up to `max_images` images arrives as one request."""
        describer: Describer[Any] = self.make(tmp_path)
        assert describer.max_images >= 1, "max_images must be at least 1"
        assert describer.batch_size >= 1, "batch_size must be at least 1"
        images = described_images(tmp_path / "group", min(describer.max_images, 16))
        texts = describer.describe([DescribeRequest(tuple(images), "What do they share?")])
        assert len(texts) == 1, f"{len(texts)} texts for one request of {len(images)} images"

    def test_it_can_be_closed(self, tmp_path: Path) -> None:
        """`close` works before and after the first request."""
        self.make(tmp_path / "unused").close()
        used = self.make(tmp_path / "used")
        used.describe(self.requests(tmp_path))
        used.close()

    def test_an_unreadable_image_gets_no_text(self, tmp_path: Path) -> None:
        """A request with an unreadable image fails or is refused; later requests work as usual."""
        requests, describer = self.requests(tmp_path), self.make(tmp_path)

        def fail(image: Image.Image) -> Image.Image:
            raise OSError("the file is gone")

        broken, opened = _watched(requests[:1], fail)
        try:
            answers = describer.describe(broken)
        except Exception:
            answers = []
        written = [answer for answer in answers if not isinstance(answer, Refusal)]
        assert not (opened and written), f"it wrote {written} about an image that cannot be read"
        again = describer.describe(requests)
        expected = self.make(tmp_path).describe(requests)
        assert again == expected, "after a failure it writes other texts"

    def test_it_can_be_interrupted(self, tmp_path: Path) -> None:
        """Ctrl-C while an image is opened ends `describe`, and `close` works afterwards."""
        describer = self.make(tmp_path)

        def interrupt(image: Image.Image) -> Image.Image:
            os.kill(os.getpid(), signal.SIGINT)
            return image

        requests, opened = _watched(self.requests(tmp_path)[:1], interrupt)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            describer.describe(requests)
            # Python may handle the signal shortly after `describe` returns.
            time.sleep(0.5 if opened else 0)
            stopped = False
        except KeyboardInterrupt:
            stopped = True
        finally:
            signal.signal(signal.SIGINT, before)
        assert stopped or not opened, "it swallows KeyboardInterrupt"
        if opened:
            describer.close()


def _watched(
    requests: Sequence[DescribeRequest], then: Callable[[Image.Image], Image.Image]
) -> tuple[list[DescribeRequest], list[str]]:
    """Return requests that apply `then` to each opened image, and the list of opened keys."""
    opened: list[str] = []

    def watched(key: str, usual: Callable[[], Image.Image]) -> Callable[[], Image.Image]:
        def open_image() -> Image.Image:
            opened.append(key)
            return then(usual())

        return open_image

    asked = [
        replace(
            one,
            images=tuple(
                replace(image, open=watched(image.key, image.open)) for image in one.images
            ),
        )
        for one in requests
    ]
    return asked, opened
