"""Trainings on a pretended device: nothing mixes devices, and steps stay within their budgets."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.measuring import ROOT
from tests.helpers.pretended_device import available
from tests.helpers.pretended_steps import MUTANTS, TRAININGS, VIEWS_AHEAD

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not available, reason="this torch has no devices written in Python"),
]

MOST_WAITS = 3
MOST_LAUNCHES = {"fp32": 1_700, "bf16": 2_400}
MOST_LAUNCHES_OF_VIEWS = 100
MOST_LAUNCHES_OF_A_PASS = 35


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("pretended") / "counts.json"
    command = [sys.executable, "-m", "tests.helpers.pretended_steps", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", TRAININGS)
def test_steps_wait_for_the_device_at_most_three_times(found: Any, name: str) -> None:
    steps = found["trainings"][name]["steps"]
    assert len(steps) == 7
    for step in steps:
        assert step["waits"] <= MOST_WAITS * (2 if name == "reclip" else 1), step["lines"]


@pytest.mark.parametrize("name", TRAININGS)
def test_views_never_wait_for_the_device(found: Any, name: str) -> None:
    views = found["trainings"][name]["views"]
    assert len(views) >= (0 if name == "frozen images" else 7)
    assert [one["lines"] for one in views] == [{}] * len(views)


def test_views_on_a_side_stream_cost_as_much_as_views_made_when_due(found: Any) -> None:
    ahead, due = (found["trainings"][name] for name in (VIEWS_AHEAD, "published"))
    for kind in ("steps", "views"):
        # The first views of the process also make the tables of hues.
        for one, other in zip(ahead[kind][1:], due[kind][1:], strict=True):
            assert (one["launches"], one["waits"]) == (other["launches"], other["waits"])


@pytest.mark.parametrize("precision", MOST_LAUNCHES)
def test_launches_of_a_published_step_stay_within_budget(found: Any, precision: str) -> None:
    step = found["large"][precision]
    assert step["launches"] <= MOST_LAUNCHES[precision], step["most launches"]
    assert step["waits"] <= MOST_WAITS, step["lines"]


def test_launches_of_512_views_stay_within_budget(found: Any) -> None:
    views = found["views"]
    assert views["launches"] <= MOST_LAUNCHES_OF_VIEWS, views["most launches"]
    assert views["lines"] == {}


def test_launches_of_views_of_large_photos_stay_within_budget(found: Any) -> None:
    photos = found["photos"]
    assert photos["passes"] > 1
    further = MOST_LAUNCHES_OF_A_PASS * (photos["passes"] - 1)
    assert photos["launches"] <= MOST_LAUNCHES_OF_VIEWS + further, photos["most launches"]
    assert photos["lines"] == {}


def test_the_benchmark_of_a_gpu_counts_the_waits_of_a_step_and_its_views(found: Any) -> None:
    counted = found["benchmark"]
    assert 0 < counted["waits of step"] <= MOST_WAITS, counted
    assert all(line.split(" at ")[1].startswith("latte/") for line in counted["lines of step"])
    assert counted["lines of views"] == {}


def test_views_have_the_bits_of_views_made_without_tables_of_hues(found: Any) -> None:
    assert found["views"]["difference"] == 0


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_found_with_their_line(found: Any, name: str) -> None:
    mutant, plain = found["mutants"][name], found["trainings"]["published"]
    if "error" in mutant:
        assert " at latte/" in mutant["error"]
        return
    new = [
        line
        for kind in ("steps", "views")
        for one, other in zip(mutant[kind], plain[kind], strict=True)
        for line in one["lines"].keys() - other["lines"].keys()
    ]
    assert len(new) == 7
