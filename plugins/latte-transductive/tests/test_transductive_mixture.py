"""The mixture equals slow loops over images and classes, and is sound at its edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_transductive.graph import neighbour_graph
from latte_transductive.mixture import Mixture, fit_mixture, log_prior, unseen_rows
from latte_transductive.options import TransductiveOptions
from torch import Tensor
from torch.nn.functional import normalize

SCALE = torch.tensor(25.0, dtype=torch.float64)

PROBLEMS = st.tuples(st.integers(1, 30), st.integers(1, 8), st.integers(0, 2**16))
"""Images, classes, seed."""


def unit(rows: int, seed: int, width: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=1)


def clustered(images: int, classes: int, seed: int, gap: float = 0.7) -> tuple[Tensor, Tensor]:
    """Texts (C, 12), and images around points that are `gap` away from the texts; float64."""
    texts = unit(classes, seed)
    points = normalize(texts + gap * unit(classes, seed + 1), dim=1)[torch.arange(images) % classes]
    return texts, normalize(points + 0.5 * unit(images, seed + 2), dim=1)


def fitted(images: Tensor, texts: Tensor, **options: Any) -> Mixture:
    chosen = TransductiveOptions(**options)
    prior = log_prior(SCALE.to(images) * images @ texts.T, chosen.debias)
    return fit_mixture(images, prior, neighbour_graph(images, chosen.neighbours), chosen)


def slow_graph(images: Tensor, count: int) -> list[dict[int, float]]:
    """For each image, its neighbours in either direction and their weights."""
    kept = min(count, len(images) - 1)
    graph: list[dict[int, float]] = [{} for _ in images]
    for one in range(len(images)):
        cosines = {j: float(images[one] @ images[j]) for j in range(len(images)) if j != one}
        for j in sorted(cosines, key=lambda j: -cosines[j])[:kept]:
            share = max(cosines[j], 0.0) / (2 * kept)
            graph[one][j] = graph[one].get(j, 0.0) + share
            graph[j][one] = graph[j].get(one, 0.0) + share
    return graph


def softmax(scores: list[float]) -> list[float]:
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return [each / sum(exponentials) for each in exponentials]


def slow_mixture(images: Tensor, texts: Tensor, options: TransductiveOptions) -> Mixture:
    """The same by its definition, one image and one class after the other."""
    count, classes, width = len(images), len(texts), images.shape[1]
    logits = SCALE * images @ texts.T
    if options.debias:
        logits = logits - logits.mean(dim=0)
    prior = [softmax(row) for row in logits.tolist()]
    graph = slow_graph(images, options.neighbours)
    means = []
    for c in range(classes):
        anchors = sorted(range(count), key=lambda i: -prior[i][c])[: options.anchors]
        means.append(
            normalize(torch.stack([prior[i][c] * images[i] for i in anchors]).sum(0), dim=0)
        )
    variances = [1 / width] * width
    z = prior
    for _ in range(options.iterations):
        for _ in range(5):
            z = [
                softmax(
                    [
                        math.log(prior[i][c])
                        + options.likelihood_weight * log_density(images[i], means[c], variances)
                        + options.neighbour_weight
                        * sum(share * z[j][c] for j, share in graph[i].items())
                        for c in range(classes)
                    ]
                )
                for i in range(count)
            ]
        for c in range(classes):
            means[c] = normalize(
                torch.stack([z[i][c] * images[i] for i in range(count)]).sum(0), dim=0
            )
        variances = [
            sum(
                z[i][c] * float(images[i, d] - means[c][d]) ** 2
                for i in range(count)
                for c in range(classes)
            )
            / count
            for d in range(width)
        ]
    spread = torch.tensor(variances, dtype=torch.float64)
    return Mixture(torch.tensor(z, dtype=torch.float64), torch.stack(means), spread)


def log_density(image: Tensor, mean: Tensor, variances: list[float]) -> float:
    squares: list[float] = ((image - mean) ** 2).tolist()
    return -0.5 * sum(
        square / variance + math.log(2 * math.pi * variance)
        for square, variance in zip(squares, variances, strict=True)
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"debias": True, "neighbours": 3, "likelihood_weight": 1.0, "anchors": 2},
        {"neighbour_weight": 0.0, "iterations": 3},
        {"iterations": 1},
        {"neighbours": 50, "anchors": 50},
    ],
)
def test_it_equals_the_slow_loops(options: dict[str, Any]) -> None:
    texts, images = clustered(24, 4, seed=5)
    fast = fitted(images, texts, **options)
    slow = slow_mixture(images, texts, TransductiveOptions(**options))
    assert torch.allclose(fast.assignments, slow.assignments, rtol=0, atol=1e-8)
    assert torch.allclose(fast.means, slow.means, rtol=0, atol=1e-8)
    assert torch.allclose(fast.variances, slow.variances, rtol=1e-6)


def test_single_precision_gives_the_same_labels() -> None:
    texts, images = clustered(300, 10, seed=6)
    double, single = fitted(images, texts), fitted(images.float(), texts.float())
    assert torch.equal(double.assignments.argmax(dim=1), single.assignments.argmax(dim=1))
    assert torch.allclose(double.assignments, single.assignments.double(), atol=1e-3)


def test_it_is_better_than_its_prior() -> None:
    """Texts beside their images: neighbours and clusters know more than texts do, by and large."""
    truth = torch.arange(400) % 8
    before, after = [], []
    for seed in range(7, 13):
        texts, images = clustered(400, 8, seed, gap=0.9)
        before.append(((images @ texts.T).argmax(dim=1) == truth).double().mean())
        after.append((fitted(images, texts).assignments.argmax(dim=1) == truth).double().mean())
    assert torch.stack(before).mean() < 0.91
    assert torch.stack(after).mean() > 0.97


@given(PROBLEMS)
@settings(deadline=None, max_examples=40)
def test_probabilities_sum_to_one_and_rows_have_unit_length(problem: tuple[int, int, int]) -> None:
    """With one image, one class, fewer images than neighbours or than classes, too."""
    count, classes, seed = problem
    texts, images = clustered(count, classes, seed)
    mixture = fitted(images, texts)
    ones = torch.ones(count, dtype=torch.float64)
    assert torch.allclose(mixture.assignments.sum(dim=1), ones)
    assert bool((mixture.assignments >= 0).all())
    assert bool((mixture.variances > 0).all())
    rows = unseen_rows(mixture, texts, SCALE, 0.1)
    for unit_rows in (mixture.means, rows):
        assert torch.allclose(unit_rows.norm(dim=1), torch.ones(classes, dtype=torch.float64))


@given(PROBLEMS)
@settings(deadline=None, max_examples=25)
def test_the_order_of_images_and_of_classes_does_not_matter(
    problem: tuple[int, int, int],
) -> None:
    count, classes, seed = problem
    texts, images = clustered(count, classes, seed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(count, generator=generator)
    columns = torch.randperm(classes, generator=generator)
    one, other = fitted(images, texts), fitted(images[rows], texts[columns])
    expected = one.assignments[rows][:, columns]
    assert torch.allclose(other.assignments, expected, rtol=0, atol=1e-6)
    assert torch.allclose(other.means, one.means[columns], rtol=0, atol=1e-6)


@given(PROBLEMS, st.integers(1, 2000))
@settings(deadline=None, max_examples=25)
def test_the_graph_is_what_its_definition_says_whatever_the_block(
    problem: tuple[int, int, int], block_bytes: int
) -> None:
    count, neighbours, seed = problem
    images = unit(count, seed)
    found = neighbour_graph(images, neighbours, block_bytes).to_dense()
    expected = torch.zeros(count, count, dtype=torch.float64)
    for one, entries in enumerate(slow_graph(images, neighbours)):
        for other, share in entries.items():
            expected[one, other] = share
    assert torch.allclose(found, expected, atol=1e-12)
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_images_get_the_label_of_their_text(dtype: torch.dtype) -> None:
    texts = unit(5, seed=8).to(dtype)
    images = texts[3].repeat(40, 1)
    mixture = fitted(images, texts)
    assert mixture.assignments.argmax(dim=1).tolist() == [3] * 40
    assert bool(mixture.means.isfinite().all())
    assert fitted(images, texts, debias=True).assignments.isfinite().all(), "no text is left"


def test_one_class_takes_everything() -> None:
    texts, images = clustered(9, 1, seed=9)
    assert torch.equal(fitted(images, texts).assignments, torch.ones(9, 1, dtype=torch.float64))


def test_a_class_that_no_image_has_stays_finite() -> None:
    """Its prior is 0 in single precision, from the first step to the last."""
    texts, images = clustered(30, 3, seed=10)
    opposite = torch.cat([texts, -images.mean(dim=0, keepdim=True)])
    prior = log_prior(1000 * (images @ normalize(opposite, dim=1).T).float(), debias=False)
    mixture = fit_mixture(
        images.float(), prior, neighbour_graph(images.float(), 5), TransductiveOptions()
    )
    assert float(mixture.assignments[:, 3].max()) == 0
    for tensor in (mixture.assignments, mixture.means, mixture.variances):
        assert bool(tensor.isfinite().all())
    assert torch.allclose(mixture.means.norm(dim=1), torch.ones(4), atol=1e-5)


def test_debiasing_takes_out_what_a_class_has_everywhere() -> None:
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(11))
    louder = logits + torch.tensor([5.0, 0.0, -3.0, 0.0])
    assert torch.allclose(log_prior(logits, debias=True), log_prior(louder, debias=True), atol=1e-5)
    assert not torch.allclose(log_prior(logits, False), log_prior(louder, False), atol=1e-1)


def test_rows_for_unseen_images_follow_the_posterior() -> None:
    """Their direction is the gradient of a class's evidence, up to its length."""
    texts, images = clustered(200, 6, seed=12)
    mixture = fitted(images, texts)
    image = unit(1, seed=13)[0].requires_grad_()
    for c, row in enumerate(unseen_rows(mixture, texts, SCALE, 0.1)):
        density = -0.5 * ((image - mixture.means[c]) ** 2 / mixture.variances).sum()
        shared = -0.5 * (image**2 / mixture.variances).sum()
        evidence = 0.1 * (density - shared) + SCALE * (image @ texts[c])
        (gradient,) = torch.autograd.grad(evidence, image)
        assert torch.allclose(normalize(gradient, dim=0), row, atol=1e-9)
