"""The orders of asking of papers ask what their formulas say; the measurement compares fairly."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from latte_author.testing.fixtures import unit_rows
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks import orders
from benchmarks.order_badge import badge_order
from benchmarks.order_clusters import clusters_of
from benchmarks.order_margin import margin_order
from benchmarks.order_probcover import probcover_order
from benchmarks.order_problem import AskingProblem
from benchmarks.order_typiclust import typiclust_order
from benchmarks.order_uherding import uherding_order
from latte.interfaces import Posterior

SIZES = (30, 20, 12)
OWNER = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))


def problem(answered: tuple[int, ...] = (), probabilities: Tensor | None = None) -> AskingProblem:
    """Three tight groups of images, of which some have an answer."""
    noise = 0.15 * unit_rows(len(OWNER), 8, seed=1)
    features = normalize(torch.eye(8)[OWNER] + noise, dim=1)
    is_answered = torch.zeros(len(OWNER), dtype=torch.bool)
    is_answered[list(answered)] = True
    even = torch.full((len(OWNER), 3), 1 / 3) if probabilities is None else probabilities
    best = even.topk(2, dim=1)
    return AskingProblem(
        features,
        Posterior(best.indices, best.values),
        OWNER,
        is_answered,
        3,
        torch.Generator().manual_seed(0),
    )


@pytest.mark.parametrize("name", orders.ORDERS)
def test_each_order_asks_once_about_each_image_without_an_answer(name: str) -> None:
    rows = orders.ORDERS[name](problem(answered=(0, 31)), 100).tolist()
    assert sorted(rows) == [row for row in range(len(OWNER)) if row not in (0, 31)]


@pytest.mark.parametrize("order", [typiclust_order, probcover_order, uherding_order])
def test_orders_of_coverage_ask_about_each_group_first(
    order: Callable[[AskingProblem, int], Tensor],
) -> None:
    assert sorted(OWNER[order(problem(), 3)].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("order", [typiclust_order, probcover_order])
def test_orders_of_coverage_leave_out_groups_with_an_answer(
    order: Callable[[AskingProblem, int], Tensor],
) -> None:
    assert sorted(OWNER[order(problem(answered=(0,)), 2)].tolist()) == [1, 2]


def test_margin_asks_about_the_closest_two_classes() -> None:
    probabilities = torch.tensor([0.9, 0.05, 0.05]).repeat(len(OWNER), 1)
    probabilities[7] = torch.tensor([0.4, 0.35, 0.25])
    probabilities[50] = torch.tensor([0.5, 0.3, 0.2])
    assert margin_order(problem(probabilities=probabilities), 2).tolist() == [7, 50]


def test_uncertainty_herding_covers_uncertain_groups_alone() -> None:
    probabilities = torch.tensor([1.0, 0.0, 0.0]).repeat(len(OWNER), 1)
    probabilities[OWNER == 2] = torch.tensor([0.5, 0.5, 0.0])
    rows = uherding_order(problem(answered=(0, 31), probabilities=probabilities), 2)
    assert OWNER[rows].tolist() == [2, 2]


def test_badge_draws_gradients_as_the_outer_products_say() -> None:
    generator = torch.Generator().manual_seed(3)
    probabilities = torch.rand(len(OWNER), 3, generator=generator).softmax(dim=1)
    asked = problem(probabilities=probabilities)
    stored = asked.probabilities
    errors = stored - torch.eye(3)[stored.argmax(dim=1)]
    gradients = torch.einsum("nc,nd->ncd", errors, asked.directions).flatten(1)
    assert int(badge_order(asked, 1)) == int(gradients.norm(dim=1).argmax())


def test_k_means_finds_tight_groups() -> None:
    clusters = clusters_of(problem().directions, 3, torch.Generator().manual_seed(0))
    assert [len(set(clusters[group == OWNER].tolist())) for group in range(3)] == [1, 1, 1]


def labelled_set() -> LabelledSet:
    texts = torch.eye(8)[[1, 0, 2]] + 0.2 * unit_rows(3, 8, seed=5)
    parts = []
    for seed in (2, 3):
        owner = torch.arange(150) % 3
        noise = 0.5 * unit_rows(150, 8, seed=seed)
        parts.append(LabelledImages(normalize(torch.eye(8)[owner] + noise, dim=1), owner))
    return LabelledSet("toy", "toy", ("a", "b", "c"), normalize(texts, dim=1), 25.0, *parts)


def test_every_order_starts_from_the_same_labels_and_gets_ten_answers_at_a_time() -> None:
    runs = [
        orders.steps(labelled_set(), orders.ORDERS[name], 0, 120) for name in ("latte", "random")
    ]
    assert [step.answers for step in runs[0]] == [0, 10, 20, 30, 40, 50, 60]
    assert runs[0][0] == runs[1][0]
    assert runs[0] != runs[1]
    assert runs[0][6].all_own >= runs[0][6].own
    assert runs[0][0].expected == 0 < runs[0][1].expected


def test_tables_have_means_over_sets_and_differences_to_latte() -> None:
    def run(own: float) -> list[orders.Step]:
        return [orders.Step(10 * place, own + place, own, own + place, 2.0) for place in range(7)]

    draws = {
        "first": [{"latte": run(50.0), "random": run(47.0)}],
        "second": [{"latte": run(60.0), "random": run(59.0)}],
    }
    rows = orders.means_table(draws, "own", ["latte", "random"]).splitlines()
    assert rows[2] == "| latte | 56.0 | 58.0 | 60.0 |"
    assert rows[3].startswith("| random | 54.0 (-2.0 ± 1.0) |")
    assert orders.gains_table(draws).splitlines()[2] == "| 10 | 2.00 | 1.00 | 0.50 |"
