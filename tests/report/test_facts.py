"""Facts about a run and its method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.interfaces import Verdict
from latte.report.facts import method_facts, page_title, run_facts, run_title
from tests.helpers.report_examples import changed, run_results

LEARNER = {
    "name": "main",
    "trainable": {"use": "all"},
    "prototypes": {"use": "templates"},
    "loss": {"use": "contrastive"},
}
RECIPE = {
    "labels": [{"use": "frozen"}],
    "learners": [LEARNER],
    "train": {"batch_size": 4, "max_steps": 7, "max_epochs": 2},
}


def test_a_method_with_steps_says_what_trains() -> None:
    assert dict(method_facts(RECIPE)) == {
        "Pseudo-labels": "frozen",
        "Trained parameters": "all",
        "Prototypes": "templates",
        "Loss": "contrastive",
        "Training": "batches of 4 images, at most 7 steps and 2 epochs",
    }


def test_options_of_what_trains_are_shown() -> None:
    facts = dict(
        method_facts(RECIPE | {"learners": [LEARNER | {"trainable": {"use": "lora", "rank": 4}}]})
    )
    assert facts["Trained parameters"] == "lora (rank 4)"


def test_the_augmentation_of_a_plugin_is_shown() -> None:
    facts = dict(method_facts(RECIPE | {"augmentation": {"use": "flips", "probability": 0.1}}))
    assert facts["Augmentation"] == "flips (probability 0.1)"


@pytest.mark.parametrize("none", ["max_steps", "max_epochs"])
def test_a_method_without_a_step_trains_nothing(none: str) -> None:
    train = {"batch_size": 4, "max_steps": 7, "max_epochs": 2, none: 0}
    assert dict(method_facts(RECIPE | {"train": train})) == {
        "Pseudo-labels": "frozen",
        "Prototypes": "templates",
        "Training": "none: no step is taken",
    }


def test_signals_of_the_guard_are_facts_of_the_run(tmp_path: Path) -> None:
    results = run_results(tmp_path)
    assert "Signals of the guard" not in dict(run_facts(results))
    verdict = Verdict(0.5, "halves agree", {"stability": 0.8612, "lead": 1.0})
    facts = run_facts(changed(results, verdict=verdict))
    assert dict(facts)["Signals of the guard"] == "stability 0.861, lead 1"


@pytest.mark.parametrize(
    ("file", "name", "title"),
    [
        ("Größe.yaml", "Groesse", "Größe"),
        ("my run.yaml", "my-run", "my run"),
        ("adapt.yaml", "birds", "birds"),
    ],
)
def test_titles_have_the_letters_that_names_of_folders_lack(
    tmp_path: Path, file: str, name: str, title: str
) -> None:
    results = changed(run_results(tmp_path), name=name)
    source = results.record.source.model_copy(update={"recipe": f"/recipes/{file}"})
    results = replace(results, record=results.record.model_copy(update={"source": source}))
    assert run_title(results.record) == title
    assert page_title(results).startswith(f"{title}: ")
