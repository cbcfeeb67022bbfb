"""Whole runs: their files, reused stages, resume, and determinism."""

from __future__ import annotations

import csv
import json
import random
import re
from pathlib import Path

import pytest
import torch
from latte_author.testing import TinyRuns
from safetensors.torch import load_file

from latte.interfaces import LatteError
from latte.registry import discovery
from tests.helpers.records import accuracies, record, recorded
from tests.helpers.reversed_labeler import SETTINGS, reversed_labeler
from tests.helpers.shared_runs import SharedRuns
from tests.helpers.whole_runs import RESULT_FILES, assert_same_results, coop_split, run

pytestmark = pytest.mark.thorough


def test_run_folder_has_all_files(shared_runs: SharedRuns) -> None:
    folder, results = shared_runs.of().folder, shared_runs.of().results
    expected = (
        *RESULT_FILES,
        "recipe.yaml",
        "results.json",
        "data/skipped.csv",
        "models/adapted/model/open_clip_config.json",
        "models/adapted/model/README.md",
        "report/index.html",
    )
    assert [name for name in expected if not (folder / name).exists()] == []
    assert list(folder.rglob("*.tmp")) == []
    assert [*accuracies(results)] == ["zero-shot", "adapted"]
    assert results.record.data.training_images == 12
    assert {evaluation.images for evaluation in accuracies(results).values()} == {9}
    assert folder.name.startswith("squares-")


def test_a_second_run_reuses_every_stage(recipe: Path) -> None:
    folder, first_results, _ = run(recipe)
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    _, repeated_results, progress = run(recipe)
    assert repeated_results == first_results
    reused = [line.split(":")[0] for line in progress.lines if "reused" in line]
    assert reused == ["data", "zero-shot", "describe", "train", "judge", "evaluate", "report"]
    trained = folder / "models/adapted/model" / "open_clip_model.safetensors"
    assert trained.stat().st_mtime_ns == times[trained]


def test_stopping_after_each_stage_and_going_on_equals_one_go(
    recipe: Path, shared_runs: SharedRuns, tmp_path: Path
) -> None:
    for stage in ("data", "zero-shot", "describe", "train", "judge", "evaluate", "report"):
        stepwise, results, _ = run(recipe, output=tmp_path / "stepwise", until=stage)
        assert (results is None) == (stage != "report")
    assert_same_results(shared_runs.of().folder, stepwise)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(
    recipe: Path, shared_runs: SharedRuns, tmp_path: Path
) -> None:
    first_folder = shared_runs.of().folder
    second_folder, _, _ = run(recipe, output=tmp_path / "second")
    assert_same_results(first_folder, second_folder)
    third_folder, _, _ = run(recipe, "seed=1", output=tmp_path / "third")
    assert first_folder.name != third_folder.name
    first_prototypes, third_prototypes = (
        load_file(folder / "models/adapted/prototypes.safetensors")
        for folder in (first_folder, third_folder)
    )
    assert not torch.equal(first_prototypes["main.weights"], third_prototypes["main.weights"])


def test_a_changed_reporter_repeats_the_report_alone(recipe: Path) -> None:
    first_folder, _, _ = run(recipe)
    second_folder, _, progress = run(recipe, "reporters=[{use: html, gallery: 3}]")
    assert first_folder == second_folder
    assert "evaluate: reused" in " ".join(progress.lines)
    assert "report: its inputs have changed, so it is done again" in progress.lines


def test_an_added_image_repeats_training_from_the_start(recipe: Path, tmp_path: Path) -> None:
    run(recipe)
    source = tmp_path / "images" / "part-0" / "000.jpg"
    (tmp_path / "images" / "part-0" / "new.jpg").write_bytes(source.read_bytes() + b"\0")
    changed, results, progress = run(recipe)
    assert results is not None
    assert results.record.data.training_images == 13
    (warning,) = [
        line for line in progress.lines if line.startswith("warning: images have changed")
    ]
    assert warning.endswith(f"so its results are moved to runs/{changed.name}.previous")
    fresh, _, _ = run(recipe, output=tmp_path / "fresh")
    assert_same_results(changed, fresh)


def test_edited_code_of_a_plugin_repeats_the_stages_that_use_it(
    recipe: Path, tmp_path: Path
) -> None:
    with reversed_labeler(tmp_path):
        first_folder, _, _ = run(recipe, *SETTINGS)
        assert "train: reused" in " ".join(run(recipe, *SETTINGS)[2].lines)
        code = tmp_path / "plugin" / "reversed_labeler.py"
        code.write_text(code.read_text() + "\n# an edited line\n")
        discovery._digest_of_code.cache_clear()  # as in a new process
        second_folder, _, progress = run(recipe, *SETTINGS)
    assert first_folder == second_folder
    assert "describe: reused" in " ".join(progress.lines)
    assert "train: the code of reversed-labeler has changed, so it is done again" in progress.lines


def test_unreadable_images_are_skipped_and_named(recipe: Path, tmp_path: Path) -> None:
    photo = next((tmp_path / "images").rglob("*.jpg")).read_bytes()
    (tmp_path / "images" / "empty.jpg").write_bytes(b"")
    (tmp_path / "images" / "empty2.jpg").write_bytes(b"")
    for number in range(3):
        (tmp_path / "images" / f"text{number}.png").write_text(f"{number} is not an image")
    for number in range(2):
        (tmp_path / "images" / f"cut{number}.jpg").write_bytes(photo[: len(photo) // 2 - number])
    header = photo.index(b"\xff\xc0") + 5
    wide = b"\xff\xff\xff\xff"
    (tmp_path / "images" / "wide.jpg").write_bytes(photo[:header] + wide + photo[header + 4 :])
    folder, results, progress = run(recipe)
    assert results is not None
    assert (results.record.data.training_images, results.record.data.skipped_images) == (12, 8)
    with (folder / "data" / "skipped.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)][2:4] == ["empty.jpg", "empty2.jpg"]
    place = next(n for n, line in enumerate(progress.lines) if line.startswith("skipped"))
    headline, *lines = progress.lines[place : place + 6]
    assert headline == f"skipped 8 images; all: {folder / 'data' / 'skipped.csv'}"
    assert lines[0].startswith("  1 image, such as wide.jpg: 65535 x 65535 pixels")
    assert lines[1].startswith("  3 images, such as text0.png: not an image of a known format")
    assert lines[2].startswith("  2 images, such as cut0.jpg: damaged or cut short")
    assert lines[3] == "  2 images, such as empty.jpg: the file is empty"
    assert not any("other reasons" in line for line in progress.lines)


def test_changed_class_names_are_named_before_the_result_is_replaced(recipe: Path) -> None:
    names = recipe.parent / "classes.txt"
    names.write_text("red\ngreen\nblue\n")
    changes = ("dataset.classes=classes.txt", "dataset.evaluation=null")
    first_folder, _, _ = run(recipe, *changes)
    names.write_text("red\ngreen\nbright blue\n")
    second_folder, _, progress = run(recipe, *changes)
    assert first_folder == second_folder
    warning = "warning: class names have changed since the earlier run in this folder"
    assert any(line.startswith(warning) for line in progress.lines)


def test_files_that_look_like_images_are_named_once(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "images" / "1.cr2").touch()
    _, _, progress = run(recipe, until="data")
    assert sum("left out 1 file (1 .cr2)" in line for line in progress.lines) == 1


def test_limit_draws_a_sample_and_runs_beside_the_whole(
    recipe: Path, shared_runs: SharedRuns
) -> None:
    limited, results, _ = run(recipe, limit=6)
    assert shared_runs.of().folder.name != limited.name
    assert results is not None
    assert results.record.data.training_images == 6
    assert accuracies(results)["zero-shot"].images == 6


def test_shuffled_or_removed_training_labels_change_nothing(recipe: Path, tmp_path: Path) -> None:
    true = [index // 4 for index in range(12)]
    shuffled = random.Random(0).sample(true, 12)
    folders = []
    for name, labels in (("true", true), ("shuffled", shuffled), ("removed", [None] * 12)):
        split = coop_split(tmp_path / "images", tmp_path / "test", list(labels))
        (tmp_path / "split.json").write_text(json.dumps(split))
        dataset = "dataset={use: coop, split: split.json, root: .}"
        folder, _, _ = run(recipe, dataset, output=tmp_path / name)
        folders.append(folder)
    assert_same_results(folders[0], folders[1])
    assert_same_results(folders[0], folders[2])


def test_without_labelled_images_there_is_a_report_and_no_accuracy(recipe: Path) -> None:
    folder, results, _ = run(recipe, "dataset={use: folder, root: images, classes: [red, blue]}")
    assert results is not None
    assert accuracies(results) == {}
    assert (folder / "report" / "index.html").exists()
    assert len((folder / "pseudo_labels.csv").read_text().splitlines()) == 13


def test_a_control_runs_beside_the_recipe_with_its_changes_alone(
    recipe: Path, tmp_path: Path
) -> None:
    control = "controls={no-texts: {descriptions: [class], describer: null}}"
    folder, results, _ = run(recipe, control)
    assert results is not None
    assert [*accuracies(results)] == ["zero-shot", "adapted", "no-texts"]
    alone, _, _ = run(recipe, "descriptions=[class]", "describer=null", output=tmp_path / "alone")
    inside = next((folder / "controls" / "no-texts").iterdir())
    assert_same_results(inside, alone)


def test_zero_shot_is_a_recipe_without_steps(recipe: Path) -> None:
    changes = ("train.max_steps=0", "descriptions=[]", "describer=null", "prototypes=templates")
    _, results, _ = run(recipe, *changes)
    assert results is not None
    zero_shot, adapted = accuracies(results).values()
    assert zero_shot.top1 == adapted.top1


def test_two_processes_do_not_share_a_run_folder(recipe: Path) -> None:
    from latte.results.folder import RunFolder

    folder, _, _ = run(recipe, until="data")
    with RunFolder(folder).lock(), pytest.raises(LatteError, match="another process"):
        run(recipe)


def test_descriptions_are_reused_by_other_recipes(recipe: Path) -> None:
    run(recipe)
    _, _, progress = run(recipe, "train.optimizer.learning_rate=0.01")
    assert any(" 0 written" in line for line in progress.lines)
    assert not any(task.name == "describe" for task in progress.tasks)


@pytest.mark.parametrize(("trainable", "encoded"), [("none", 0), ("projections", 2)])
def test_images_are_encoded_again_only_where_a_tower_has_trained(
    recipe: Path, trainable: str, encoded: int
) -> None:
    _, _, progress = run(recipe, f"trainable={trainable}", "train.evaluate_every=0")
    labelled = [task.name for task in progress.tasks if task.name.startswith("label ")]
    assert len(labelled) == encoded


def test_too_few_images_per_class_are_one_warning(recipe: Path, tmp_path: Path) -> None:
    control = "controls={plain: {descriptions: [class], describer: null}}"
    _, _, progress = run(recipe, "train.max_steps=1", control, output=tmp_path / "all")
    assert not [line for line in progress.lines if line.startswith("warning: ")]
    names = "dataset.classes=[red, green, blue, pink, grey]"
    _, _, progress = run(recipe, "dataset.evaluation=null", names, control, until="report")
    assert [line for line in progress.lines if "per name" in line] == [
        "warning: 12 images for 5 class names (2.4 per name): remove names that cannot occur, or "
        "add images; with so few, adapting helps less"
    ]


def test_limit_that_causes_too_few_images_is_reported(recipe: Path) -> None:
    _, _, progress = run(recipe, until="data", limit=6)
    (line,) = [line for line in progress.lines if "per name" in line]
    assert "6 images for 3 names is 2 per name" in line


@pytest.mark.parametrize(
    ("stop_after", "until"), [(2, "report"), (None, "zero-shot"), (None, "train")]
)
def test_resume_with_other_packages_or_threads_says_that_bits_may_differ(
    tmp_path: Path, stop_after: int | None, until: str
) -> None:
    runs = TinyRuns(tmp_path)
    recipe = (
        "labels: [frozen]\nprototypes: momentum\nloss: contrastive\n"
        "train: {batch_size: 4, checkpoint_every: 1}"
    )
    folder = runs.run(recipe, stop_after=stop_after, until=until)
    environment = recorded(folder, "environment")
    threads, torch = environment["torch_threads"], environment["packages"]["torch"]
    earlier_packages = {**environment["packages"], "torch": "1.0"}
    earlier_environment = {
        **environment,
        "torch_threads": threads + 1,
        "packages": earlier_packages,
    }
    record(folder, ["environment"], {**earlier_environment, "cpus": 1000})
    ended = runs.latte("run", "recipe.yaml", "--set=output=runs")
    assert ended.code == 0, ended.err
    (warning,) = re.findall(r"warning: (.* bit-identical)$", ended.err, re.MULTILINE | re.DOTALL)
    assert " ".join(warning.split()) == (
        f"this run started with packages.torch 1.0, torch_threads {threads + 1} and resumed with "
        f"packages.torch {torch}, torch_threads {threads}, so results may not be bit-identical"
    )
    is_trained = until == "train"
    packages = recorded(folder, "environment", "packages")
    assert packages["torch"] == ("1.0" if is_trained else torch)


def test_finished_run_in_another_environment_is_reused_in_silence(tmp_path: Path) -> None:
    runs = TinyRuns(tmp_path)
    folder = runs.run("prototypes: templates\ntrain: {max_steps: 0}")
    record(folder, ["environment", "packages", "torch"], "1.0")
    ended = runs.latte("run", "recipe.yaml", "--set=output=runs")
    assert ended.code == 0, ended.err
    assert "bit-identical" not in " ".join(ended.err.split())


def test_exact_copies_among_the_training_images_are_counted(recipe: Path, tmp_path: Path) -> None:
    image = next((tmp_path / "images").rglob("*.jpg"))
    for number in range(2):
        image.with_name(f"copy-{number}.jpg").write_bytes(image.read_bytes())
    folder, _, _ = run(recipe, until="data")
    assert recorded(folder, "data", "training_images") == 14
    assert recorded(folder, "data", "copies") == 2
