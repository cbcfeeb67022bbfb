"""The list of prototypes that moved most."""

from __future__ import annotations

from pathlib import Path

import torch
from latte_author.testing.fixtures import unit_rows

from latte.interfaces import Classifier, LearnerPrototypes
from latte.report.page.labels import moved_prototypes
from tests.helpers.report_examples import PROTOTYPES, run_results


def test_the_list_tells_what_moved_and_what_is_near_now(tmp_path: Path) -> None:
    (learner,) = moved_prototypes(run_results(tmp_path))
    assert learner["learner"] is None
    assert not learner["still"]
    moved_class = learner["classes"][0]
    assert (moved_class["name"], moved_class["moved"], moved_class["nearest"]) == (
        "red fox",
        "0.600",
        "barn owl",
    )
    assert (moved_class["before"], moved_class["after"]) == ("0.000", "0.800")


def test_a_run_that_moved_nothing_says_so(tmp_path: Path) -> None:
    same = (LearnerPrototypes("main", PROTOTYPES[0], PROTOTYPES[0]),)
    (learner,) = moved_prototypes(run_results(tmp_path, prototypes=same))
    assert learner["still"]


def test_the_cosine_of_a_class_is_the_mean_over_its_prototypes(tmp_path: Path) -> None:
    rows = unit_rows(6, width=3)
    two_per_class = Classifier(rows, torch.tensor([0, 0, 1, 1, 2, 2]))
    learners = tuple(
        LearnerPrototypes(name, PROTOTYPES[0], two_per_class) for name in ("text", "visual")
    )
    learners_moved = moved_prototypes(run_results(tmp_path, prototypes=learners))
    assert [learner["learner"] for learner in learners_moved] == ["text", "visual"]
    cosines = (rows * PROTOTYPES[0].weights.repeat_interleave(2, dim=0)).sum(dim=1)
    means = sorted(cosines.reshape(3, 2).mean(dim=1).tolist())
    assert [row["moved"] for row in learners_moved[0]["classes"]] == [
        f"{mean:.3f}" for mean in means
    ]
