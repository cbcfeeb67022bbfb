"""Steps of the mixture for given classes equal slow loops, and help where they should."""

from __future__ import annotations

import math

import pytest
import torch
from latte_transductive.mixture import fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.taught import (
    Examples,
    answer_weights,
    default_logits,
    logistic_regression,
    propagated_logits,
    sure_examples,
    trust_in_texts,
)
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

pytestmark = pytest.mark.thorough

SCALE = 25.0


def unit(rows: int, seed: int, width: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=1)


def clusters_with_swapped_names(images: int = 240, classes: int = 6) -> tuple[Tensor, Tensor]:
    """Texts and images in clear clusters, where the first two names belong to each other's."""
    texts = unit(classes, seed=3)
    points = normalize(texts + 0.7 * unit(classes, seed=4), dim=1)
    rows = normalize(points[torch.arange(images) % classes] + 0.4 * unit(images, seed=5), dim=1)
    return texts[[1, 0, *range(2, classes)]], rows


def given_classes(images: int, classes: int, each: int) -> Tensor:
    truth = torch.arange(images) % classes
    return torch.where(torch.arange(images) < each * classes, truth, -1)


def test_trust_is_the_likeliest_factor_of_a_slow_search() -> None:
    text, labels = SCALE * unit(8, seed=1) @ unit(5, seed=2).T, torch.arange(8) % 5
    middle = text.mean(dim=0)
    scores = {}
    for factor in (0, 0.06, 0.125, 0.25, 0.375, 0.5, 0.75, 1):
        likelihood = 0.0
        for row, label in zip(text.tolist(), labels.tolist(), strict=True):
            logits = [factor * (value - mean) for value, mean in zip(row, middle, strict=True)]
            likelihood += float(logits[label]) - math.log(sum(math.exp(logit) for logit in logits))
        scores[factor] = likelihood - 0.1 * 5 * (1 - factor) ** 2
    expected = max(scores, key=lambda factor: scores[factor]) / (1 + 8 / 50)
    assert trust_in_texts(text, labels, middle) == pytest.approx(expected)


def test_right_texts_are_trusted_more_than_wrong_ones() -> None:
    text, labels = SCALE * torch.eye(6), torch.arange(6)
    middle = text.mean(dim=0)
    assert trust_in_texts(text, labels, middle) == pytest.approx(1 / 1.1)
    assert trust_in_texts(text, labels.flip(0), middle) == 0


def trust_after_contradictions(classes: int, answers: int) -> float:
    """Return the trust if each answer names another class than its image's text logits."""
    rows = torch.arange(answers)
    return trust_in_texts(
        4.0 * torch.eye(classes)[:answers], (rows + 1) % classes, torch.zeros(classes)
    )


def test_three_contradicting_answers_lower_the_trust_in_few_texts_but_not_in_many() -> None:
    assert trust_after_contradictions(classes=3, answers=3) == 0
    assert trust_after_contradictions(classes=100, answers=3) > 0.7
    assert trust_after_contradictions(classes=100, answers=100) < 0.4


def test_default_counts_by_unanswered_classes_evenness_and_trust() -> None:
    probabilities = torch.eye(4, dtype=torch.float64).repeat(6, 1) * 0.9 + 0.02
    even = torch.arange(24) % 4
    corrections = torch.full((24,), -1)
    corrections[:2] = even[:2]
    logits = default_logits(probabilities, corrections, even, text_spread=3.0)
    assert torch.equal(logits.argmax(dim=1), even)
    # Half of the classes have an answer, all labels are even, and both answers agree.
    assert float(logits.square().mean().sqrt()) == pytest.approx(2 * 0.5 * 3.0 / 1.05)
    half_of_classes = default_logits(probabilities, corrections, even % 2, text_spread=3.0)
    assert torch.allclose(half_of_classes, logits / 4)
    corrections[:2] = even[:2] + 1
    contradicted = default_logits(probabilities, corrections, even, text_spread=3.0)
    assert float(contradicted.abs().max()) < float(logits.abs().max()) / 2


def test_default_is_silent_if_each_class_has_an_answer() -> None:
    probabilities = torch.eye(3, dtype=torch.float64).repeat(2, 1)
    labels = torch.arange(6) % 3
    corrections = torch.where(torch.arange(6) < 3, labels, -1)
    assert not default_logits(probabilities, corrections, labels, text_spread=1.0).any()


def chain_with_an_end_per_class() -> tuple[Tensor, Tensor]:
    """Graph of two chains of five images, whose first images have the given classes 0 and 1."""
    graph = torch.zeros(10, 10, dtype=torch.float64)
    for row in (0, 1, 2, 3, 5, 6, 7, 8):
        graph[row, row + 1] = graph[row + 1, row] = 0.8
    corrections = torch.full((10,), -1)
    corrections[0], corrections[5] = 0, 1
    return graph, corrections


def test_propagated_logits_are_those_of_the_closed_form() -> None:
    graph, corrections = chain_with_an_end_per_class()
    probabilities = unit(10, seed=8, width=3).abs()
    logits = propagated_logits(probabilities, corrections, graph, text_spread=2.0)
    seeds = 0.01 * probabilities
    seeds[0], seeds[5] = torch.eye(3)[0], torch.eye(3)[1]
    root = graph.sum(dim=1).rsqrt()
    scores = torch.linalg.inv(torch.eye(10) - 0.9 * root[:, None] * graph * root) @ seeds
    shares = scores / scores.sum(dim=1, keepdim=True)
    expected = (shares + 1e-4).log()
    expected -= expected.mean(dim=1, keepdim=True)
    expected *= 0.45 * 2.0 / expected.square().mean().sqrt()
    assert torch.allclose(logits, expected, rtol=0.01, atol=0.01)


def test_answers_reach_the_end_of_a_chain_and_weigh_less_there() -> None:
    graph, corrections = chain_with_an_end_per_class()
    logits = propagated_logits(
        torch.full((10, 2), 0.5).double(), corrections, graph, text_spread=1.0
    )
    assert logits.argmax(dim=1).tolist() == [0] * 5 + [1] * 5
    margins = (logits[:, 0] - logits[:, 1])[:5].tolist()
    assert margins == sorted(margins, reverse=True)


def test_propagation_without_neighbours_or_with_one_class_is_finite() -> None:
    corrections = torch.tensor([0, -1, -1])
    alone = propagated_logits(
        torch.full((3, 1), 1.0), corrections, torch.zeros(3, 3), text_spread=0.0
    )
    assert alone.tolist() == [[0.0]] * 3
    isolated_logits = propagated_logits(
        torch.full((3, 2), 0.5), corrections, torch.zeros(3, 3), text_spread=1.0
    )
    assert bool(isolated_logits.isfinite().all())


@pytest.mark.parametrize("images", [30, 3000])
def test_answers_of_a_class_count_ten_each_or_a_fifth_of_a_class_together(images: int) -> None:
    weights = answer_weights(torch.tensor([0, 0, 0, 2]), 3, images)
    assert bool((weights >= 10).all())
    if images == 3000:
        assert weights.tolist() == pytest.approx([200 / 3] * 3 + [200])


def test_sure_images_are_examples_and_no_class_outweighs_the_median() -> None:
    posteriors = torch.tensor([[0.95, 0.05]] * 6 + [[0.05, 0.95]] * 2 + [[0.6, 0.4]] * 3)
    corrections = torch.full((11,), -1)
    corrections[8] = 1  # the texts say otherwise
    examples = sure_examples(posteriors, corrections)
    assert examples.rows.tolist() == [8, *range(8)]
    assert examples.labels.tolist() == [1, *[0] * 6, 1, 1]
    assert examples.weights.tolist() == pytest.approx([10, *[2 / 6] * 6, 1, 1])


def test_large_sets_are_thinned_but_every_answer_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_transductive.taught._MOST_EXAMPLES", 10)
    corrections = torch.where(torch.arange(100) % 9 == 0, 1, -1)
    examples = sure_examples(torch.tensor([[1.0, 0.0]]).repeat(100, 1), corrections)
    assert len(examples.rows) <= 10 + int((corrections >= 0).sum())
    assert {*(corrections >= 0).nonzero().flatten().tolist()} <= {*examples.rows.tolist()}


def test_no_sure_image_leaves_the_answers_alone() -> None:
    examples = sure_examples(torch.full((4, 3), 1 / 3), torch.tensor([-1, 2, -1, -1]))
    assert (examples.rows.tolist(), examples.labels.tolist()) == ([1], [2])


def test_regression_finds_the_minimum_that_autograd_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latte_transductive.taught._STEPS", 60)
    images, start_rows, start_bias = (
        unit(40, seed=6),
        SCALE * unit(4, seed=7),
        torch.zeros(4).double(),
    )
    labels, weights = torch.arange(40) % 4, torch.arange(40).double() % 3 + 1
    examples = Examples(torch.arange(40), labels, weights)
    rows, bias = logistic_regression(images, examples, start_rows, start_bias)
    parameters = [rows.clone().requires_grad_(), bias.clone().requires_grad_()]
    losses = weights * cross_entropy(
        torch.addmm(parameters[1], images, parameters[0].T), labels, reduction="none"
    )
    near = (
        0.0015 * (parameters[0] - start_rows).square().sum() + 0.001 * parameters[1].square().sum()
    )
    torch.autograd.backward((losses.sum() + near) / weights.sum())
    assert all(
        float(parameter.grad.abs().max()) < 1e-4
        for parameter in parameters
        if parameter.grad is not None
    )


def test_regression_without_a_contradiction_stays_at_its_start() -> None:
    images = torch.eye(3, dtype=torch.float64)
    start = 1000 * torch.eye(3, dtype=torch.float64)
    examples = Examples(torch.arange(3), torch.arange(3), torch.ones(3, dtype=torch.float64))
    rows, bias = logistic_regression(images, examples, start, torch.zeros(3).double())
    assert torch.allclose(rows, start)
    assert torch.allclose(bias, torch.zeros(3).double())


@pytest.mark.parametrize("each", [2, 5])
def test_few_answers_per_class_put_swapped_names_right(each: int) -> None:
    texts, images = clusters_with_swapped_names()
    truth = torch.arange(len(images)) % len(texts)
    corrections = given_classes(len(images), len(texts), each)
    plain = fit_mixture(images, texts, SCALE, MixtureOptions())
    taught = fit_mixture(images, texts, SCALE, MixtureOptions(), corrections)
    unseen = (images @ (SCALE * texts + taught.rows).T + taught.bias).argmax(dim=1)
    assert float((plain.posteriors.argmax(dim=1) == truth).double().mean()) < 0.75
    assert float((taught.posteriors.argmax(dim=1) == truth).double().mean()) > 0.95
    assert float((unseen == truth).double().mean()) > 0.95


@pytest.mark.parametrize("each", [1, 40])
def test_answers_for_one_class_or_for_every_image_are_sound(each: int) -> None:
    texts, images = clusters_with_swapped_names()
    corrections = given_classes(len(images), len(texts), each)
    only_first = torch.where(corrections == 0, corrections, -1)
    for classes in (corrections, only_first):
        mixture = fit_mixture(images, texts, SCALE, MixtureOptions(), classes)
        assert bool(mixture.rows.isfinite().all() and mixture.bias.isfinite().all())
        answered_labels = mixture.posteriors.argmax(dim=1)[classes >= 0]
        assert torch.equal(answered_labels, classes[classes >= 0])


def test_equal_inputs_give_equal_bits() -> None:
    texts, images = clusters_with_swapped_names()
    corrections = given_classes(len(images), len(texts), 2)
    mixture, repeated = (
        fit_mixture(images, texts, SCALE, MixtureOptions(), corrections) for _ in range(2)
    )
    assert torch.equal(mixture.posteriors, repeated.posteriors)
    assert torch.equal(mixture.rows, repeated.rows)


def test_answers_and_a_describers_evidence_count_together() -> None:
    texts, images = clusters_with_swapped_names()
    truth = torch.arange(len(images)) % len(texts)
    corrections = given_classes(len(images), len(texts), 1)
    evidence = torch.zeros(len(images), len(texts), dtype=torch.float64)
    evidence[-30:].scatter_(1, truth[-30:, None], 8.0)
    mixture = fit_mixture(images, texts, SCALE, MixtureOptions(), corrections, evidence)
    assert torch.equal(mixture.posteriors.argmax(dim=1)[-30:], truth[-30:])
