"""Stored answers of a model are labels of which each counts by its reliability."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from latte.report.statements import label_use
from latte.results.answers import Answer, write_answers
from latte.results.run import open_run
from tests.helpers.records import recorded
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

NAMES = ("red", "green", "blue")
COMMON = ("describer=null", "descriptions=[]", "loss=null", "train.max_steps=0")
SELF_TAUGHT = ("labels=[self-taught]", "prototypes=from-labeler", *COMMON)
FROZEN = ("labels=[frozen]", "prototypes=templates", *COMMON)


def labels(folder: Path) -> list[str]:
    with (folder / "pseudo_labels.csv").open(newline="") as file:
        return [row["adapted"] for row in csv.DictReader(file)]


def written(path: Path, folder: Path, count: int, reliability: float) -> Path:
    """Write wrong classes of the first images of the run `folder`."""
    found, keys = labels(folder), open_run(folder).rows.training_keys
    path.parent.mkdir(exist_ok=True)
    answers = [
        Answer(key, "class", NAMES[NAMES.index(name) - 1], "model", "run", "", by="lmm-1")
        for key, name in zip(keys[:count], found, strict=False)
    ]
    write_answers(path, [replace(answer, reliability=reliability) for answer in answers])
    return path


def taught(recipe: Path, *files: Path, settings: tuple[str, ...] = SELF_TAUGHT) -> Path:
    names = ", ".join(f'"{file}"' for file in files)
    return run(recipe, *settings, f"corrections=[{names}]")[0]


def weights(folder: Path) -> bytes:
    return (folder / "models" / "adapted" / "prototypes.safetensors").read_bytes()


def test_certain_answers_are_those_of_a_person_to_the_bit(recipe: Path) -> None:
    plain = run(recipe, *SELF_TAUGHT)[0]
    person = taught(recipe, written(recipe.parent / "person" / "review.jsonl", plain, 5, 1.0))
    model = taught(recipe, written(recipe.parent / "lmm" / "model_answers.jsonl", plain, 5, 1.0))
    assert weights(person) == weights(model) != weights(plain)
    assert labels(person) == labels(model)
    assert recorded(person, "train", "answers") == recorded(model, "train", "answers")


def test_uncertain_answers_teach_and_are_no_labels(recipe: Path) -> None:
    plain = run(recipe, *SELF_TAUGHT)[0]
    file = written(recipe.parent / "lmm" / "model_answers.jsonl", plain, 5, 0.6)
    uncertain = taught(recipe, file)
    first = weights(uncertain)
    assert first != weights(plain)
    assert recorded(uncertain, "train", "answers") is None
    (stated,) = label_use(open_run(uncertain).record.recipe)
    assert stated.text == f"Answers of a model were used, from {file}."
    written(file, plain, 5, 0.7)
    assert weights(taught(recipe, file)) != first, "other reliabilities are other inputs"


def test_a_labeler_that_knows_no_reliability_ignores_uncertain_answers(recipe: Path) -> None:
    plain = run(recipe, *FROZEN)[0]
    file = written(recipe.parent / "lmm" / "model_answers.jsonl", plain, 5, 0.9)
    uncertain = taught(recipe, file, settings=FROZEN)
    assert labels(uncertain) == labels(plain)
    assert weights(uncertain) == weights(plain)


@pytest.mark.parametrize("is_last", [True, False])
def test_an_answer_of_a_person_replaces_that_of_a_model(recipe: Path, is_last: bool) -> None:
    plain = run(recipe, *SELF_TAUGHT)[0]
    person = written(recipe.parent / "person" / "review.jsonl", plain, 5, 1.0)
    model = written(recipe.parent / "lmm" / "model_answers.jsonl", plain, 5, 0.6)
    both = taught(recipe, *((model, person) if is_last else (person, model)))
    assert weights(both) == weights(taught(recipe, person))
