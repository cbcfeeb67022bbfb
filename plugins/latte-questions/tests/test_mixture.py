"""The mixture equals slow loops over images and classes, and is sound at its edges."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_questions.mixture import Mixture, fit_mixture
from latte_questions.options import MixtureOptions
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import nearest_neighbours

pytestmark = pytest.mark.thorough

SCALE = 25.0

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
    return fit_mixture(images, texts, SCALE, MixtureOptions(**options))


def fitted_with(images: Tensor, texts: Tensor, corrections: Tensor, **options: Any) -> Mixture:
    return fit_mixture(images, texts, SCALE, MixtureOptions(**options), corrections)


def test_given_classes_are_kept_and_help_the_images_around_them() -> None:
    texts, images = clustered(200, 5, seed=3)
    texts = texts[[1, 0, 2, 3, 4]]  # two names are swapped
    truth = torch.arange(200) % 5
    corrections = torch.full((200,), -1)
    corrections[:25] = truth[:25]
    plain, taught = (
        fitted(images, texts).posteriors,
        fitted_with(images, texts, corrections).posteriors,
    )
    assert torch.equal(taught[:25].argmax(dim=1), truth[:25])
    assert torch.equal(taught[:25].amax(dim=1), torch.ones(25, dtype=torch.float64))
    assert accuracy(taught[25:], truth[25:]) > accuracy(plain[25:], truth[25:]) + 0.05


def test_names_that_a_person_gives_move_clusters_with_other_zero_shot_labels() -> None:
    texts, images = clustered(200, 5, seed=3)
    texts = texts[[1, 0, 2, 3, 4]]  # two names are swapped
    truth = torch.arange(200) % 5
    mixture = fitted_with(images, texts, torch.where(torch.arange(200) < 25, truth, -1))
    assert accuracy(mixture.posteriors, truth) == 1


def test_names_that_a_person_gives_win_against_nearer_names_that_do_not_occur() -> None:
    texts, images = clustered(150, 3, seed=3)
    nearer = normalize(texts + 0.8 * images[:3], dim=1)
    texts = torch.cat([texts, nearer, unit(14, seed=9)])
    truth = torch.arange(150) % 3
    mixture = fitted_with(images, texts, torch.where(torch.arange(150) < 6, truth, -1))
    assert accuracy(fitted(images, texts).posteriors, truth) == 0
    assert accuracy(mixture.posteriors, truth) > 0.9
    assert accuracy(logits(images, texts, mixture), truth) > 0.9


def test_given_images_count_alike_in_means_and_variances() -> None:
    texts, images = clustered(60, 3, seed=5)
    truth = torch.arange(60) % 3
    mixture = fitted_with(images, texts, truth, anchor_images=(0.0, 0.0))
    means = normalize(torch.stack([images[truth == label].sum(dim=0) for label in range(3)]), dim=1)
    variances = (images - means[truth]).square().mean(dim=0)
    expected = means / variances
    assert torch.allclose(mixture.rows / mixture.rows.norm(), expected / expected.norm())


def test_no_given_class_changes_nothing() -> None:
    texts, images = clustered(60, 4, seed=5)
    plain = fitted(images, texts)
    none = fitted_with(images, texts, torch.full((60,), -1))
    assert torch.equal(plain.posteriors, none.posteriors)


def logits(images: Tensor, texts: Tensor, mixture: Mixture) -> Tensor:
    return SCALE * images @ texts.T + images @ mixture.rows.T + mixture.bias


def accuracy(scores: Tensor, truth: Tensor) -> float:
    return float((scores.argmax(dim=1) == truth).double().mean())


def slow_fit(images: Tensor, texts: Tensor, options: MixtureOptions) -> tuple[Tensor, Tensor]:
    """Evidence and posteriors of the images by definition, one number after the other."""
    count, classes, width = len(images), len(texts), images.shape[1]
    text = (SCALE * images @ texts.T).tolist()
    middle = [sum(row[c] for row in text) / count for c in range(classes)]
    nearest = [row.index(max(row)) for row in text]
    gap = images.mean(dim=0) - texts.mean(dim=0)
    anchors = [normalize(text_feature + gap, dim=0) for text_feature in texts]
    graph, agreement = slow_graph(images, nearest, classes, options.neighbours)
    pull = options.neighbour_weight * agreement**2
    logits_now, z = text, [softmax(row) for row in text]
    for iteration in range(options.iterations):
        even = evenness([row.index(max(row)) for row in z], classes)
        weight = even * options.anchor_images[0] + (1 - even) * options.anchor_images[1]
        means = slow_means(images, z, nearest, [weight * anchor for anchor in anchors])
        variances = [
            sum(
                z[i][c] * float(images[i, d] - means[c][d]) ** 2
                for i in range(count)
                for c in range(classes)
            )
            / count
            if iteration
            else 1 / width
            for d in range(width)
        ]
        # What all classes have in common changes no posterior and no spread.
        gauss = [
            [
                log_density(image, mean, variances) - log_density(image, 0 * image, variances)
                for mean in means
            ]
            for image in images
        ]
        share = options.image_weight * spread(text) / spread(gauss)
        debias = even**2 * options.debias
        logits_now = [
            [
                text[i][c] + share * gauss[i][c] - debias * (middle[c] - sum(middle) / classes)
                for c in range(classes)
            ]
            for i in range(count)
        ]
        z = [softmax(row) for row in logits_now]
        for _ in range(5 if pull else 0):
            z = [
                softmax(
                    [
                        logits_now[i][c] + pull * sum(g * z[j][c] for j, g in graph[i].items())
                        for c in range(classes)
                    ]
                )
                for i in range(count)
            ]
    return torch.tensor(logits_now, dtype=torch.float64), torch.tensor(z, dtype=torch.float64)


def slow_means(
    images: Tensor, z: list[list[float]], nearest: list[int], anchors: list[Tensor]
) -> list[Tensor]:
    """Means of the classes; a class counts its anchor more if few of its images have its name."""
    count, labels, means = len(images), [row.index(max(row)) for row in z], []
    for c, anchor in enumerate(anchors):
        names = [nearest[i] for i in range(count) if labels[i] == c]
        most = max((names.count(name) for name in names), default=0)
        support = (names.count(c) + 0.5) / (most + 0.5)
        total = torch.stack([z[i][c] * images[i] for i in range(count)]).sum(dim=0)
        means.append(normalize(total + anchor / support**2, dim=0))
    return means


def slow_graph(
    images: Tensor, nearest: list[int], classes: int, neighbours: int
) -> tuple[list[dict[int, float]], float]:
    """Each image's neighbours in either direction with their weights, and how far they agree."""
    count = len(images)
    neighbour_count = min(neighbours, count - 1)
    graph: list[dict[int, float]] = [{} for _ in range(count)]
    same = 0
    for row in range(count):
        cosines = {j: float(images[row] @ images[j]) for j in range(count) if j != row}
        for j in sorted(cosines, key=lambda j: -cosines[j])[:neighbour_count]:
            weight = max(cosines[j], 0.0) / (2 * neighbour_count)
            graph[row][j] = graph[row].get(j, 0.0) + weight
            graph[j][row] = graph[j].get(row, 0.0) + weight
            same += nearest[row] == nearest[j]
    if not neighbour_count:
        return graph, 0.0
    chance = sum((nearest.count(c) / count) ** 2 for c in range(classes))
    return graph, max(0.0, (same / (count * neighbour_count) - chance) / (1 - chance))


def softmax(scores: list[float]) -> list[float]:
    exponentials = [math.exp(score - max(scores)) for score in scores]
    return [each / sum(exponentials) for each in exponentials]


def evenness(labels: list[int], classes: int) -> float:
    shares = [labels.count(label) / len(labels) for label in {*labels}]
    return math.exp(-sum(share * math.log(share) for share in shares)) / classes


def spread(rows: list[list[float]]) -> float:
    """Root mean square over rows of the standard deviation within a row."""
    variances = [
        sum((value - sum(row) / len(row)) ** 2 for value in row) / len(row) for row in rows
    ]
    return math.sqrt(sum(variances) / len(variances))


def log_density(image: Tensor, mean: Tensor, variances: list[float]) -> float:
    squares: list[float] = ((image - mean) ** 2).tolist()
    return -0.5 * sum(
        square / variance for square, variance in zip(squares, variances, strict=True)
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_weight": 0.5, "debias": 0.0},
        {"anchor_images": (3.0, 0.5), "iterations": 3},
        {"iterations": 1, "neighbours": 3},
        {"neighbours": 0},
        {"neighbours": 50, "neighbour_weight": 5.0, "iterations": 4},
    ],
)
def test_mixture_equals_slow_loops(options: dict[str, Any]) -> None:
    texts, images = clustered(24, 4, seed=5)
    mixture = fitted(images, texts, **options)
    fast_logits = logits(images, texts, mixture)
    slow, posteriors = slow_fit(images, texts, MixtureOptions(**options))
    difference = (fast_logits - fast_logits.mean(dim=1, keepdim=True)) - (
        slow - slow.mean(dim=1, keepdim=True)
    )
    assert float(difference.abs().max()) < 1e-7
    assert float((mixture.posteriors - posteriors).abs().max()) < 1e-7


def test_neighbours_decide_for_images_between_classes() -> None:
    texts, images = clustered(200, 4, seed=3, gap=0.9)
    alone, together = fitted(images, texts, neighbours=0), fitted(images, texts)
    truth = torch.arange(200) % 4
    assert accuracy(together.posteriors, truth) >= accuracy(alone.posteriors, truth)
    assert not torch.allclose(alone.posteriors, together.posteriors)


def test_neighbours_are_looked_for_once_per_features(monkeypatch: pytest.MonkeyPatch) -> None:
    from latte_questions import neighbours

    looked: list[int] = []

    def counted(rows: Tensor, count: int, advance: object) -> tuple[Tensor, Tensor]:
        looked.append(len(rows))
        return nearest_neighbours(rows, count)

    monkeypatch.setattr(neighbours, "nearest_neighbours", counted)
    texts, images = clustered(40, 3, seed=4)
    fitted(images, texts)
    fitted(images, texts, image_weight=0.5)
    fitted(images.clone(), texts)
    assert looked == [40, 40]


def test_neighbours_graph_is_symmetric() -> None:
    from latte_questions.neighbours import neighbours_of

    neighbours = neighbours_of(unit(30, seed=2), 5)
    assert neighbours is not None
    assert torch.equal(neighbours.graph.to_dense(), neighbours.graph.to_dense().T)


def test_single_precision_gives_the_same_labels() -> None:
    texts, images = clustered(300, 10, seed=6)
    double = logits(images, texts, fitted(images, texts))
    single = logits(images.float(), texts.float(), fitted(images.float(), texts.float()))
    assert torch.equal(double.argmax(dim=1), single.argmax(dim=1))
    assert torch.allclose(double, single.double(), atol=1e-2)


def test_mixture_is_better_than_its_prior() -> None:
    truth = torch.arange(400) % 8
    prior_accuracies, mixture_accuracies = [], []
    for seed in range(7, 13):
        texts, images = clustered(400, 8, seed, gap=0.9)
        prior_accuracies.append(accuracy(images @ texts.T, truth))
        mixture_accuracies.append(accuracy(logits(images, texts, fitted(images, texts)), truth))
    assert sum(prior_accuracies) / 6 < 0.91
    assert sum(mixture_accuracies) / 6 > 0.96


def test_anchors_keep_names_that_do_not_occur_from_taking_images() -> None:
    """Three of forty names occur."""
    shares: list[float] = []
    anchored: list[float] = []
    for seed in range(6):
        texts, images = clustered(90, 3, seed, gap=1.2)
        names = torch.cat([texts, unit(37, seed + 50)])
        truth = torch.arange(90) % 3
        zero_shot = accuracy(images @ names.T, truth)
        for gains, changes in ((shares, {"anchor_images": (0.0, 0.0)}), (anchored, {})):
            mixture = fitted(images, names, image_weight=5.0, **changes)
            gains.append(accuracy(mixture.posteriors, truth) - zero_shot)
    assert sum(anchored) > sum(shares) + 0.1
    assert min(anchored) > min(shares)


@given(PROBLEMS)
@settings(deadline=None, max_examples=40)
def test_rows_and_bias_are_finite_and_posteriors_sum_to_one(problem: tuple[int, int, int]) -> None:
    """With one image, one class, fewer images than classes, too."""
    count, classes, seed = problem
    texts, images = clustered(count, classes, seed)
    mixture = fitted(images, texts)
    assert bool(mixture.rows.isfinite().all())
    assert bool(mixture.bias.isfinite().all())
    assert torch.allclose(mixture.posteriors.sum(dim=1), torch.ones(count, dtype=torch.float64))


@given(PROBLEMS)
@settings(deadline=None, max_examples=25)
def test_order_of_images_and_of_classes_does_not_matter(problem: tuple[int, int, int]) -> None:
    count, classes, seed = problem
    texts, images = clustered(count, classes, seed)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(count, generator=generator)
    columns = torch.randperm(classes, generator=generator)
    mixture, permuted_mixture = fitted(images, texts), fitted(images[rows], texts[columns])
    assert torch.allclose(permuted_mixture.rows, mixture.rows[columns], rtol=0, atol=1e-6)
    assert torch.allclose(permuted_mixture.bias, mixture.bias[columns], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_images_get_the_label_of_their_text(dtype: torch.dtype) -> None:
    texts = unit(5, seed=8).to(dtype)
    images = texts[3].repeat(40, 1)
    mixture_logits = logits(images, texts, fitted(images, texts))
    assert bool(mixture_logits.isfinite().all())
    assert mixture_logits.argmax(dim=1).tolist() == [3] * 40


def test_equal_texts_stay_equal() -> None:
    texts, images = clustered(30, 3, seed=9)
    mixture = fitted(images, torch.cat([texts, texts[:1]]))
    assert torch.allclose(mixture.rows[0], mixture.rows[3], atol=1e-6)


def test_texts_that_are_all_equal_add_nothing() -> None:
    texts, images = unit(1, seed=9).repeat(4, 1), unit(20, seed=3)
    mixture = fitted(images, texts)
    assert torch.equal(mixture.rows, torch.zeros_like(texts))


def test_class_without_images_keeps_its_text_as_mean() -> None:
    """Variances are equal in the first iteration, so that rows have the direction of means."""
    texts, images = clustered(60, 3, seed=10)
    names = torch.cat([texts, -normalize(images.mean(dim=0, keepdim=True), dim=1)])
    mixture = fitted(images, names, iterations=1)
    assert not bool((mixture.posteriors.argmax(dim=1) == 3).any())
    anchor = normalize(names[3] + images.mean(dim=0) - names.mean(dim=0), dim=0)
    assert torch.allclose(normalize(mixture.rows[3], dim=0), anchor, atol=1e-3)


def test_support_is_low_where_zero_shot_calls_the_images_otherwise() -> None:
    from latte_questions.assigned import support_of

    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2])
    zero_shot = torch.tensor([1, 1, 1, 0, 1, 1, 0])
    total = labels.bincount(minlength=4).double()
    support = support_of(labels, zero_shot, total)
    expected = torch.tensor([1.5 / 3.5, 1.0, 0.5 / 1.5, 1.0], dtype=torch.float64)
    assert torch.allclose(support, expected)
