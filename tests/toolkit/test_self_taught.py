"""Self-taught ridge regression is what its equations say, and keeps its promises."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces.progress import Progress, SilentProgress
from latte.toolkit import self_taught as method
from latte.toolkit.self_taught import Taught, self_taught
from tests.helpers.slow_self_taught import slow_scores

CLASSES, IMAGES, WIDTH = 5, 60, 16
NONE = CLASSES


def unit(rows: int, seed: int, width: int = WIDTH) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator), dim=1)


TEXTS = unit(CLASSES, 0)
TRUE = torch.arange(IMAGES) % (CLASSES + 1)
CENTRES = torch.cat([0.6 * TEXTS + 1.0 * unit(CLASSES, 1), 1.5 * unit(1, 2)])
FEATURES = normalize(CENTRES[TRUE] + 1.2 * unit(IMAGES, 3) + 0.5, dim=1)
ENCODER = normalize(unit(CLASSES + 1, 4, 9)[TRUE] + 0.8 * unit(IMAGES, 5, 9), dim=1)
NOBODY = torch.full((IMAGES,), -1)


def given(*images: int) -> Tensor:
    """The true classes of some images."""
    rows = torch.tensor(images)
    return NOBODY.index_copy(0, rows, TRUE[rows])


SOME = given(0, 1, 7, 14, 40)
WITH_NONE = given(0, 1, 5, 7, 11, 40)


@pytest.fixture
def threads() -> Iterator[None]:
    thread_count = torch.get_num_threads()
    yield
    torch.set_num_threads(thread_count)


def assert_same(expected: Taught, actual: Taught) -> None:
    """Both have the same bits."""
    assert torch.equal(expected.posterior.labels, actual.posterior.labels)
    assert torch.equal(expected.posterior.probabilities, actual.posterior.probabilities)
    assert (expected.posterior.none is None) == (actual.posterior.none is None)
    assert torch.equal(expected.bias, actual.bias)
    for rows, other_rows in zip(expected.rows, actual.rows, strict=True):
        assert torch.equal(rows, other_rows)


@pytest.mark.parametrize("answers", [NOBODY, SOME, WITH_NONE, given(5)])
@pytest.mark.parametrize("encoders", [(), (ENCODER,)])
@pytest.mark.parametrize("reliability", [None, 0.6])
def test_method_is_its_equations(
    answers: Tensor, encoders: tuple[Tensor, ...], reliability: float | None
) -> None:
    reliabilities = None if reliability is None else torch.full((IMAGES,), reliability)
    scores, rows = slow_scores(FEATURES, TEXTS, answers, reliabilities, encoders)
    taught = self_taught(FEATURES, TEXTS, answers, reliabilities=reliabilities, encoders=encoders)
    expected = (scores / method.TEMPERATURE).softmax(dim=1)
    best = expected[:, :CLASSES].topk(CLASSES, dim=1)
    assert torch.equal(taught.posterior.labels, best.indices)
    torch.testing.assert_close(
        taught.posterior.probabilities.double(), best.values, rtol=1e-3, atol=1e-5
    )
    if scores.shape[1] > CLASSES:
        assert taught.posterior.none is not None
        torch.testing.assert_close(
            taught.posterior.none.double(), expected[:, NONE], rtol=1e-3, atol=1e-5
        )
    else:
        assert taught.posterior.none is None
    new = [unit(4, 9), *([unit(4, 8, 9)] if encoders else [])]
    logits = taught.bias + sum(
        part @ weights.T for part, weights in zip(new, taught.rows, strict=True)
    )
    centred = [
        (part - whole.mean(dim=0)) / (whole - whole.mean(dim=0)).norm(dim=1).mean()
        for part, whole in zip(new, (FEATURES, *encoders), strict=True)
    ]
    expected_scores = torch.cat([*centred, torch.ones(4, 1)], dim=1).double() @ rows.T
    torch.testing.assert_close(
        logits.double(), expected_scores / method.TEMPERATURE, rtol=1e-3, atol=1e-3
    )


def test_no_answers_still_label_by_texts_and_neighbours() -> None:
    with_class = (TRUE < CLASSES).nonzero().squeeze(1)
    images, truth = FEATURES[with_class], TRUE[with_class]
    taught = self_taught(images, TEXTS, torch.full_like(truth, -1))
    right = taught.posterior.labels[:, 0] == truth
    zero_shot = (images @ TEXTS.T).argmax(dim=1) == truth
    assert float(right.double().mean()) > float(zero_shot.double().mean())


def test_all_answered_images_keep_their_answers() -> None:
    answers = (TRUE + 1) % CLASSES
    assert torch.equal(self_taught(FEATURES, TEXTS, answers).posterior.labels[:, 0], answers)


def test_answers_of_reliability_zero_are_no_answers() -> None:
    unreliable = self_taught(FEATURES, TEXTS, SOME, reliabilities=torch.zeros(IMAGES))
    assert_same(unreliable, self_taught(FEATURES, TEXTS, NOBODY))


def test_answers_count_by_their_reliability() -> None:
    """A wrong answer moves its image's probability the less, the less reliable it is."""
    wrong = NOBODY.clone()
    wrong[0] = 3
    shares = []
    for reliability in (0.0, 0.3, 0.7, 1.0):
        reliabilities = torch.full((IMAGES,), reliability)
        posterior = self_taught(FEATURES, TEXTS, wrong, reliabilities=reliabilities).posterior
        shares.append(float(posterior.probabilities[0][posterior.labels[0] == 3]))
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.2


def test_one_answer_of_none_teaches_nothing() -> None:
    assert_same(self_taught(FEATURES, TEXTS, given(5)), self_taught(FEATURES, TEXTS, NOBODY))


def test_two_answers_of_none_teach_a_class_without_text() -> None:
    none = self_taught(FEATURES, TEXTS, WITH_NONE).posterior.none
    assert none is not None
    unanswered = WITH_NONE < 0
    shows_none = TRUE == NONE
    assert float(none[unanswered & shows_none].mean()) > 2 * float(
        none[unanswered & ~shows_none].mean()
    )


def test_order_of_images_is_irrelevant() -> None:
    order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(0))
    posterior = self_taught(FEATURES, TEXTS, WITH_NONE).posterior
    permuted = self_taught(FEATURES[order], TEXTS, WITH_NONE[order]).posterior
    assert torch.equal(posterior.labels[order], permuted.labels)
    torch.testing.assert_close(
        posterior.probabilities[order], permuted.probabilities, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("answers", [NOBODY, WITH_NONE])
def test_blocks_of_classes_change_no_label(
    monkeypatch: pytest.MonkeyPatch, answers: Tensor
) -> None:
    unblocked = self_taught(FEATURES, TEXTS, answers).posterior
    monkeypatch.setattr(method, "BLOCK_SCORES", 2 * IMAGES)
    blocks = self_taught(FEATURES, TEXTS, answers).posterior
    assert torch.equal(unblocked.labels, blocks.labels)
    torch.testing.assert_close(unblocked.probabilities, blocks.probabilities, rtol=1e-4, atol=1e-6)
    assert (unblocked.none is None) == (blocks.none is None)
    if unblocked.none is not None and blocks.none is not None:
        torch.testing.assert_close(unblocked.none, blocks.none, rtol=1e-4, atol=1e-6)


def test_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    monkeypatch.setattr(method, "BLOCK_SCORES", 2 * 3000)
    texts, images = unit(7, 0, 64), unit(3000, 1, 64)
    answers = torch.full((3000,), -1)
    answers[:5] = torch.arange(5)
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(self_taught(images, texts, answers))
    assert_same(results[0], results[1])
    assert_same(results[0], results[2])


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("classes", [1, 2])
def test_very_small_folders_have_finite_labels(images: int, classes: int) -> None:
    taught = self_taught(FEATURES[:images], TEXTS[:classes], torch.full((images,), -1))
    assert bool(taught.posterior.probabilities.isfinite().all())
    assert bool(taught.rows[0].isfinite().all())
    assert bool(taught.bias.isfinite().all())


def test_equal_images_have_finite_labels() -> None:
    taught = self_taught(FEATURES[:1].expand(12, -1), TEXTS, torch.full((12,), -1))
    assert bool(taught.posterior.probabilities.isfinite().all())
    assert bool(taught.rows[0].isfinite().all())


def test_progress_ends_at_the_work_that_was_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    announced, steps = list[int](), list[int]()

    @contextmanager
    def counted(progress: Progress, name: str, total: int, unit: str) -> Iterator[SimpleNamespace]:
        announced.append(total)
        yield SimpleNamespace(advance=steps.append)

    monkeypatch.setattr(method, "long_task", counted)
    self_taught(FEATURES, TEXTS, NOBODY, progress=SilentProgress())
    assert announced == [sum(steps)] == [IMAGES * (method.ROUNDS + 2)]
