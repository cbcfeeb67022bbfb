"""The row of steps above the texts of a run: what taught what."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.report.page.page import run_page
from latte.report.page.teaching import teaching_steps
from tests.helpers.html_document import parse
from tests.helpers.report_examples import changed, run_results

pytestmark = pytest.mark.thorough

LEARNER = {
    "name": "main",
    "trainable": {"use": "projections"},
    "prototypes": {"use": "momentum"},
    "loss": {"use": "contrastive"},
}
RECIPE = {
    "descriptions": [{"use": "image"}, {"use": "group"}],
    "labels": [{"use": "current"}, {"use": "frozen"}],
    "learners": [LEARNER],
    "train": {"batch_size": 4, "max_steps": 7, "max_epochs": 2},
}


def test_steps_go_from_photos_by_texts_and_labels_to_what_is_trained(tmp_path: Path) -> None:
    results = changed(run_results(tmp_path), recipe=RECIPE)
    assert [(step.name, step.components) for step in teaching_steps(results)] == [
        ("Photos", "12,345 photos"),
        ("Texts", "image, group"),
        ("Labels", "current, frozen"),
        ("Prototypes", "momentum"),
        ("Trained", "projections"),
    ]
    shown = parse(run_page(results)).by_id("gallery").one("ol", "teaching")
    assert [item.one("b").words for item in shown.all("li")][-1] == "Trained"


@pytest.mark.parametrize(
    "absent", [{"descriptions": []}, {"train": {"max_steps": 0}}, {"labels": []}]
)
def test_a_method_without_texts_or_training_shows_no_steps(
    tmp_path: Path, absent: dict[str, object]
) -> None:
    results = changed(run_results(tmp_path), recipe={**RECIPE, **absent})
    assert teaching_steps(results) == []
    assert not list(parse(run_page(results)).all("ol", "teaching"))
