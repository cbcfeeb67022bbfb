"""Each method gives the numbers of its paper's formulas, computed by slow references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import slow_methods
import torch
from latte_author.testing import StubClip
from latte_field.base import FieldFit, FieldLabeler, FieldProblem
from latte_field.class_means import ClassMeansLabeler
from latte_field.ecalp import EcalpLabeler
from latte_field.em_dirichlet import DirichletLabeler
from latte_field.frolic import FrolicLabeler
from latte_field.inmap import InmapLabeler
from latte_field.otter import OtterLabeler
from latte_field.stata import StataLabeler
from latte_field.tda import TdaLabeler
from latte_field.transclip import TransclipLabeler
from latte_field.zlap import ZlapLabeler
from torch.nn.functional import normalize

from latte.api import Context

CONTEXT = Context(Path(), Path(), "cpu", 0, StubClip)
LABELERS: dict[str, type[FieldLabeler[Any]]] = {
    "zlap": ZlapLabeler,
    "class-means": ClassMeansLabeler,
    "ecalp": EcalpLabeler,
    "inmap": InmapLabeler,
    "otter": OtterLabeler,
    "em-dirichlet": DirichletLabeler,
    "stata": StataLabeler,
    "transclip": TransclipLabeler,
    "frolic-bias": FrolicLabeler,
    "tda": TdaLabeler,
}


def problem(images: int, scale: float = 8.0, answered: tuple[int, ...] = ()) -> FieldProblem:
    """Return three loose clusters whose texts are a little off; some images have an answer."""
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(3, 6, generator=generator)
    truth = torch.arange(images) % 3
    features = centres[truth] + 0.9 * torch.randn(images, 6, generator=generator)
    texts = centres + 0.8 * torch.randn(3, 6, generator=generator)
    answers = torch.full((images,), -1)
    answers[list(answered)] = truth[list(answered)]
    return FieldProblem(normalize(features, dim=1), normalize(texts, dim=1), scale, answers)


def fit(name: str, case: FieldProblem) -> FieldFit:
    labeler = LABELERS[name]
    with torch.no_grad():
        return labeler(labeler.options_type(), CONTEXT).fit(case)


def arrays(case: FieldProblem) -> tuple[Any, Any, float, list[int]]:
    images, texts = (rows.double().numpy() for rows in (case.images, case.texts))
    return images, texts, case.scale, case.answers.tolist()


def assert_same(probabilities: torch.Tensor, expected: slow_methods.Numbers) -> None:
    numpy.testing.assert_allclose(probabilities.double().numpy(), expected, atol=1e-3, rtol=0)
    assert probabilities.argmax(dim=1).tolist() == expected.argmax(axis=1).tolist()


@pytest.mark.parametrize("name", slow_methods.METHODS)
def test_probabilities_are_those_of_the_formulas(name: str) -> None:
    case = problem(15)
    expected = slow_methods.METHODS[name](*arrays(case))
    assert_same(fit(name, case).probabilities, expected)
    zero_shot = slow_methods.zero_shot(*arrays(case)[:3])
    assert numpy.abs(zero_shot - expected).max() > 0.01, (
        "the case does not show that it does anything"
    )


def test_inmap_takes_the_published_steps_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    case = problem(15)
    monkeypatch.setattr("latte_field.inmap._STEPS", 7)
    expected = slow_methods.inmap(*arrays(case), steps=7)
    assert_same(fit("inmap", case).probabilities, expected)
    assert numpy.abs(expected - slow_methods.inmap(*arrays(case))).max() > 0.01


@pytest.mark.parametrize("name", slow_methods.TAKES_ANSWERS)
def test_answers_enter_as_in_the_formulas(name: str) -> None:
    case = problem(21, answered=(0, 1, 2, 9, 13))
    expected = slow_methods.METHODS[name](*arrays(case))
    probabilities = fit(name, case).probabilities
    assert_same(probabilities, expected)
    unanswered = (case.answers < 0).numpy()
    unanswered_fit = fit(name, problem(21)).probabilities.double().numpy()
    assert numpy.abs(unanswered_fit - expected)[unanswered].max() > 0.01


def test_otter_finds_the_best_assignment_with_equal_classes() -> None:
    case = problem(9, scale=3.0)
    expected = slow_methods.otter(*arrays(case)).argmax(axis=1).tolist()
    assert fit("otter", case).probabilities.argmax(dim=1).tolist() == expected
    assert case.log_prior.argmax(dim=1).tolist() != expected


def test_tda_passes_the_images_once_in_an_order_of_the_seed() -> None:
    case = problem(30, scale=5.0)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0)).tolist()
    expected = slow_methods.tda(*arrays(case), order)
    assert_same(fit("tda", case).probabilities, expected)
    other_order = slow_methods.tda(*arrays(case), [*range(30)])
    assert numpy.abs(expected - other_order).max() > 0.01


@pytest.mark.parametrize("name", ["inmap", "otter", "frolic-bias"])
def test_linear_methods_classify_new_images_as_the_images_they_saw(name: str) -> None:
    case = problem(15)
    result = fit(name, case)
    assert result.classifier is not None
    similarities = result.classifier.similarities(case.images)
    assert torch.equal(similarities.argmax(dim=1), result.probabilities.argmax(dim=1))
    probabilities = (case.scale * similarities).softmax(dim=1)
    if name != "inmap":
        torch.testing.assert_close(probabilities, result.probabilities, atol=1e-4, rtol=0)


def test_class_means_are_those_of_zero_shot_labels_and_answers() -> None:
    case = problem(15, answered=(0, 4))
    images, texts, scale, answers = arrays(case)
    prior = slow_methods.fixed(slow_methods.zero_shot(images, texts, scale), answers)
    means = [
        slow_methods.unit(
            sum(prior[row, label] * images[row] for row in range(15))
            + (texts[label] - texts.mean(axis=0) + images.mean(axis=0))
        )
        for label in range(3)
    ]
    expected = numpy.array([slow_methods.softmax(scale * numpy.array(means) @ x) for x in images])
    assert_same(fit("class-means", case).probabilities, slow_methods.fixed(expected, answers))


def test_nearest_means_are_class_means_with_the_moved_text() -> None:
    case = problem(15)
    one_hots = torch.eye(3)[case.log_prior.argmax(dim=1)]
    rows = case.nearest_means(one_hots).weights
    moved = case.texts - case.texts.mean(dim=0) + case.images.mean(dim=0)
    members = case.images[one_hots[:, 1] > 0]
    torch.testing.assert_close(rows[1], normalize(members.sum(dim=0) + moved[1], dim=0))
    absent = replace(case, images=case.images[:2])
    nothing = absent.nearest_means(torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])).weights
    assert bool(torch.isfinite(nothing).all())


@pytest.mark.parametrize("name", LABELERS)
@pytest.mark.parametrize("images", [1, 2, 4])
def test_there_may_be_fewer_images_than_classes(name: str, images: int) -> None:
    texts = normalize(torch.randn(7, 6, generator=torch.Generator().manual_seed(1)), dim=1)
    case = replace(problem(images), texts=texts)
    result = fit(name, case)
    assert result.probabilities.shape == (images, 7)
    assert bool(torch.isfinite(result.probabilities).all())
    rows = (result.classifier or case.nearest_means(result.probabilities)).weights
    assert bool(torch.isfinite(rows).all())
