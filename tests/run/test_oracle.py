"""Oracle recipes: use of the training labels, and the mark on such runs."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from tests.helpers.records import recorded
from tests.helpers.whole_runs import assert_same_results, coop_split, run

pytestmark = pytest.mark.thorough

TRUE = [index // 4 for index in range(12)]
DATASET = "dataset={use: coop, split: split.json, root: .}"
GROUPS = "descriptions=[class, image, {use: group, size: 2, correct: CORRECT}]"
NOTE = (
    "Oracle: group descriptions used ground-truth labels of the training images; "
    "not an unsupervised result."
)


@pytest.fixture
def labelled(recipe: Path, tmp_path: Path) -> Path:
    """The recipe, beside a split file with the true labels of the training images."""
    write_split(tmp_path, TRUE)
    return recipe


def write_split(folder: Path, labels: list[int] | list[int | None]) -> None:
    split = coop_split(folder / "images", folder / "test", [*labels])
    (folder / "split.json").write_text(json.dumps(split))


def changes(correct: int) -> tuple[str, ...]:
    return (DATASET, "oracle=true", GROUPS.replace("CORRECT", str(correct)))


def groups(folder: Path) -> list[tuple[int, list[int]]]:
    """Return per training image its zero-shot label, and the true labels of its group."""
    lines = [json.loads(line) for line in (folder / "descriptions.jsonl").read_text().splitlines()]
    label_of = dict(zip([line["id"] for line in lines], TRUE, strict=True))
    return [
        (line["frozen_label"], [label_of[id_] for id_ in line["descriptions"]["group"]["group"]])
        for line in lines
    ]


@pytest.mark.parametrize("correct", [0, 1, 2])
def test_every_group_has_so_many_correct_images(labelled: Path, correct: int) -> None:
    folder, _, progress = run(labelled, *changes(correct), until="describe")
    assert [members.count(label) for label, members in groups(folder)] == [correct] * 12
    assert not any(line.startswith("oracle") for line in progress.lines)


def test_a_run_is_marked_in_its_summary_report_and_model_card_and_by_evaluate(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from latte.report.summary import summary_table

    folder, results, _ = run(labelled, *changes(1))
    assert results is not None
    assert NOTE in " ".join(summary_table(results).split())
    assert NOTE in (folder / "report" / "index.html").read_text()
    assert NOTE in (folder / "models/adapted/model" / "README.md").read_text()
    assert "without labels" not in (folder / "models/adapted/model" / "README.md").read_text()
    capsys.readouterr()
    assert run_command_line(["evaluate", "--quiet", str(folder)]) == 0
    assert NOTE in " ".join(capsys.readouterr().out.split())
    assert run_command_line(["evaluate", "--quiet", "--json", str(folder)]) == 0
    captured = capsys.readouterr()
    assert NOTE in " ".join(captured.err.split())
    assert [model["name"] for model in json.loads(captured.out)] == ["zero-shot", "adapted"]


def test_an_ordinary_run_is_not_marked(labelled: Path) -> None:
    folder, _, _ = run(labelled, DATASET)
    for name in ("report/index.html", "models/adapted/model/README.md"):
        assert "Oracle" not in (folder / name).read_text()


def test_other_labels_describe_again_and_encode_nothing_again(
    labelled: Path, tmp_path: Path
) -> None:
    first_folder, _, _ = run(labelled, *changes(1))
    first_stages = recorded(first_folder, "stages")
    write_split(tmp_path, random.Random(0).sample(TRUE, 12))
    second_folder, _, progress = run(labelled, *changes(1))
    second_stages = recorded(second_folder, "stages")
    assert first_folder == second_folder
    assert second_stages["zero-shot"]["fingerprint"] == first_stages["zero-shot"]["fingerprint"]
    assert second_stages["describe"]["fingerprint"] != first_stages["describe"]["fingerprint"]
    assert "describe: its inputs have changed, so it is done again" in progress.lines


def test_a_dry_run_knows_of_other_labels(labelled: Path, tmp_path: Path) -> None:
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry
    from latte.run.runner import plan_run
    from tests.helpers.recorded import RecordedProgress

    registry = load_registry()
    recipe = load_recipe(labelled, registry, changes(1))
    run(labelled, *changes(1), until="describe")
    reused = []
    for labels in (TRUE, TRUE[::-1]):
        write_split(tmp_path, labels)
        _, stages = plan_run(recipe, registry, RecordedProgress(), None)
        reused.append([stage.name for stage in stages if stage.seconds is not None])
    assert reused == [["data", "zero-shot", "describe"], ["data", "zero-shot"]]


def test_going_on_after_the_descriptions_equals_one_go(labelled: Path, tmp_path: Path) -> None:
    uninterrupted, _, _ = run(labelled, *changes(1), output=tmp_path / "whole")
    run(labelled, *changes(1), output=tmp_path / "part", until="describe")
    part, _, _ = run(labelled, *changes(1), output=tmp_path / "part")
    assert_same_results(uninterrupted, part)


@pytest.mark.parametrize(
    ("labels", "unlabelled"), [([None] * 12, 12), ([*TRUE[:11], None], 1)], ids=["none", "some"]
)
def test_without_labels_of_all_images_nothing_is_done(
    labelled: Path, tmp_path: Path, labels: list[int | None], unlabelled: int
) -> None:
    write_split(tmp_path, labels)
    with pytest.raises(LatteError, match=f"oracle, and {unlabelled} of 12 training") as caught:
        run(labelled, *changes(1))
    assert caught.value.where == "dataset"
    assert not list((tmp_path / "runs").rglob("zero_shot.safetensors"))


def test_a_control_that_is_an_oracle_is_named(labelled: Path) -> None:
    control = (
        "controls={upper: {oracle: true, descriptions: "
        "[class, image, {use: group, size: 2, correct: 2}]}}"
    )
    folder, results, _ = run(labelled, DATASET, control)
    assert results is not None
    (inside,) = (folder / "controls" / "upper").iterdir()
    assert [members.count(label) for label, members in groups(inside)] == [2] * 12
    assert (
        NOTE.replace("Oracle:", "Oracle (upper):")
        in (folder / "models/adapted/model" / "README.md").read_text()
    )
    alone, _, _ = run(labelled, DATASET, output=folder.parent / "alone")
    assert_same_results(folder, alone)
