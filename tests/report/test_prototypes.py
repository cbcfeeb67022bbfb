"""The map of prototypes: principal components, the same picture every time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latte.interfaces import Classifier, LearnerPrototypes
from latte.report.page.prototypes import MapPoint, point_map, project, prototype_maps
from latte.testing.fixtures import unit_rows
from tests.helpers.html_document import parse
from tests.helpers.report_examples import PROTOTYPES, run_results

coordinates = st.tuples(st.floats(-5, 5), st.floats(-5, 5))


def test_the_projection_is_that_of_a_singular_value_decomposition() -> None:
    rows = unit_rows(40, seed=3).double()
    centred = rows - rows.mean(dim=0)
    left, values, _ = torch.linalg.svd(centred, full_matrices=False)
    expected = (left * values)[:, :2]
    found = project(rows)
    assert torch.allclose(found.points.abs(), expected.abs(), atol=1e-9)
    shares = values.square() / values.square().sum()
    assert found.shares == pytest.approx(tuple(shares[:2].tolist()))


@pytest.mark.parametrize("seed", range(12))
def test_an_axis_points_to_its_largest_loading(seed: int) -> None:
    rows = unit_rows(12, seed=seed).double()
    loadings = (rows - rows.mean(dim=0)).T @ project(rows).points
    largest = loadings.abs().argmax(dim=0)
    assert loadings[largest[0], 0] > 0
    assert loadings[largest[1], 1] > 0


@pytest.mark.parametrize(
    "rows", [torch.ones(1, 4), torch.ones(5, 4), torch.eye(2), torch.ones(3, 1)]
)
def test_few_or_equal_points_are_no_trouble(rows: torch.Tensor) -> None:
    found = project(rows)
    assert found.points.shape == (len(rows), 2)
    assert bool(found.points.isfinite().all())


def test_a_map_tells_what_moved_and_what_is_near_now(tmp_path: Path) -> None:
    (found,) = prototype_maps(run_results(tmp_path))
    assert found.learner is None
    assert not found.still
    first = found.moved[0]
    assert (first.name, first.moved, first.nearest) == ("red fox", "0.600", "barn owl")
    assert (first.before, first.after) == ("0.000", "0.800")
    names = [text.words.strip("\u2068\u2069") for text in parse(str(found.chart)).all("text")]
    assert names[0] == "red fox"


def test_a_run_that_moved_nothing_says_so(tmp_path: Path) -> None:
    same = (LearnerPrototypes("main", PROTOTYPES[0], PROTOTYPES[0]),)
    (found,) = prototype_maps(run_results(tmp_path, prototypes=same))
    assert found.still


def test_several_prototypes_a_class_are_several_points(tmp_path: Path) -> None:
    several = Classifier(unit_rows(6, width=3), torch.tensor([0, 0, 1, 1, 2, 2]))
    learners = tuple(LearnerPrototypes(name, PROTOTYPES[0], several) for name in ("text", "visual"))
    maps = prototype_maps(run_results(tmp_path, prototypes=learners))
    assert [one.learner for one in maps] == ["text", "visual"]
    circles = [one.attributes["class"] for one in parse(str(maps[0].chart)).all("circle")]
    assert (circles.count("dot zero-shot"), circles.count("dot adapted")) == (3, 6)


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=30))
def test_every_point_stays_in_the_picture_at_one_scale(
    ways: list[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    points = [MapPoint("x" * 30, start, (end,), "tip") for start, end in ways]
    picture = parse(str(point_map(points, "map")))
    width, height = map(float, picture.one("svg").attributes["viewbox"].split()[2:])
    for circle in picture.all("circle"):
        assert 0 <= float(circle.attributes["cx"]) <= width
        assert 0 <= float(circle.attributes["cy"]) <= height
    texts = [*picture.all("text")]
    boxes = [(float(t.attributes["x"]), float(t.attributes["y"])) for t in texts]
    for index, (x, y) in enumerate(boxes):
        assert all(abs(x - other) > 100 or abs(y - place) >= 13.8 for other, place in boxes[:index])
