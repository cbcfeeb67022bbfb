"""Trainings on a pretended device: nothing mixes devices, and steps stay within their budgets."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.measuring import ROOT
from tests.helpers.pretended_device import available
from tests.helpers.pretended_steps import MUTANTS, TRAININGS

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not available, reason="this torch has no devices written in Python"),
]

MOST_WAITS = 3
MOST_LAUNCHES = {"fp32": 1_700, "bf16": 2_400}


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


@pytest.mark.parametrize("precision", MOST_LAUNCHES)
def test_launches_of_a_published_step_stay_within_budget(found: Any, precision: str) -> None:
    step = found["large"][precision]
    assert step["launches"] <= MOST_LAUNCHES[precision], step["most launches"]
    assert step["waits"] <= MOST_WAITS, step["lines"]


def test_the_benchmark_of_a_gpu_counts_the_waits_of_a_step(found: Any) -> None:
    counted = found["benchmark"]
    assert 0 < counted["waits of step"] <= MOST_WAITS, counted
    assert all(line.split(" at ")[1].startswith("latte/") for line in counted["lines of step"])


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_found_with_their_line(found: Any, name: str) -> None:
    mutant, plain = found["mutants"][name], found["trainings"]["published"]
    if "error" in mutant:
        named = (
            "mixes devices at latte/",
            "on the device pretended:0, not cpu",
            "cpu, not pretended:0",
        )
        assert any(place in mutant["error"] for place in named)
        return
    new = [
        line
        for kind in ("steps", "views")
        for one, other in zip(mutant[kind], plain[kind], strict=True)
        for line in one["lines"].keys() - other["lines"].keys()
    ]
    assert len(new) == 7
