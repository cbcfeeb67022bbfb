"""`refresh_captions`: captions are encoded without gradient, and used for some steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from latte.interfaces.settings import AugmentSettings
from latte.train.features import RefreshedTexts
from latte.train.training import Training
from tests.helpers.training_engine import SETTINGS, with_settings
from tests.helpers.training_runs import (
    assert_resumes,
    count_texts_in_steps,
    metrics,
    run,
)

pytestmark = pytest.mark.thorough


@pytest.fixture
def make(make: Callable[..., Training]) -> Callable[..., Training]:
    def build(steps: int | None, name: str = "run", **changes: Any) -> Training:
        return make(name, settings=with_settings(SETTINGS, refresh_captions=steps, **changes))

    return build


class Counting:
    """Encodes text `t` as (t, number of the call), and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> Tensor:
        assert not torch.is_grad_enabled()
        self.asked.append(list(texts))
        return torch.tensor([[float(text), len(self.asked)] for text in texts])


def refreshed(encode: Counting, lifetime: int) -> RefreshedTexts:
    return RefreshedTexts(["0", "1", "2", "3"], ["image"], encode, lifetime, torch.empty(0, 2))


def test_cached_text_is_encoded_again_after_its_lifetime() -> None:
    encode = Counting()
    texts = refreshed(encode, 3)
    found = [
        texts.look_up(torch.tensor(rows), step)
        for step, rows in enumerate([[1, 2, 1], [2, 3], [1, 2], [1, 3], [3, 3]])
    ]
    assert encode.asked == [["1", "2"], ["3"], ["1"], ["3"]]
    assert found[0].tolist() == [[1, 1], [2, 1], [1, 1]]
    assert found[2].tolist() == [[1, 1], [2, 1]]
    assert found[3].tolist() == [[1, 3], [3, 2]]
    assert found[4].tolist() == [[3, 4], [3, 4]]


@pytest.mark.parametrize("step", range(1, 8))
def test_checkpoint_contains_only_features_within_their_lifetime(step: int) -> None:
    rows = [[0], [1, 2], [1], [2, 0], [3], [1], [0, 3], [2]]
    texts, encode = refreshed(Counting(), 3), Counting()
    for now in range(step):
        texts.look_up(torch.tensor(rows[now]), now)
    state = texts.state()
    assert bool((state["encoded_in"] > step - 1 - 3).all())
    other = refreshed(encode, 3)
    other.load_state(state)
    encode.asked = [["earlier"]] * len(texts._encode.asked)  # type: ignore[attr-defined]
    for now in range(step, len(rows)):
        asked = torch.tensor(rows[now])
        assert torch.equal(texts.look_up(asked, now), other.look_up(asked, now))


def test_one_step_without_gradient_moves_prototypes_as_published(
    make: Callable[..., Training],
) -> None:
    kept, published = (run(make(steps, str(steps), max_steps=1)) for steps in (5, None))
    weights = [one.learners[0].aggregator.classifier().weights for one in (kept, published)]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)
    assert metrics(kept)[0]["loss"] == pytest.approx(metrics(published)[0]["loss"], rel=1e-6)


def test_class_texts_train_the_text_tower_with_cached_captions(
    make: Callable[..., Training],
) -> None:
    training = make(3, max_steps=1)
    run(training)
    gradient = training.learners[0].parameters["text_projection"].grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_refresh_interval_reduces_encoded_texts(
    make: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = count_texts_in_steps(monkeypatch)
    training = run(make(100))
    captions = [text for texts in encoded for text in texts if not text.startswith("a photo")]
    assert len(captions) == len(set(captions)), "a caption is encoded once in a hundred steps"
    before = len(captions)
    encoded.clear()
    run(make(1, "each"))
    captions = [text for texts in encoded for text in texts if not text.startswith("a photo")]
    assert len(captions) > before
    assert training.learners[0].cached_texts is not None
    assert training.learners[0].cached_texts.names == {"image", "group"}


@pytest.mark.parametrize(
    ("stopped_after", "augment"),
    [*((steps, AugmentSettings()) for steps in (1, 2, 3, 6)), (2, None), (5, None)],
)
def test_resume_within_a_refresh_interval_gives_identical_bits(
    make: Callable[..., Training],
    monkeypatch: pytest.MonkeyPatch,
    stopped_after: int,
    augment: AugmentSettings | None,
) -> None:
    assert_resumes(lambda name: make(3, name, augment=augment), stopped_after)
