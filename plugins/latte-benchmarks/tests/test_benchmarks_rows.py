"""Rows: averaged runs, runs that are kept apart, and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from benchmark_runs import add_control, record, run_folder, set_peak_memory, write
from latte_benchmarks.comparison import Comparison, compare_folders, notes
from latte_benchmarks.measured import read_run
from latte_benchmarks.rows import ResultRow, mean_seconds

from latte.api import LatteError

pytestmark = pytest.mark.thorough


def compared(runs: Path) -> Comparison:
    return compare_folders([runs])


def control_rows(comparison: Comparison) -> dict[str, ResultRow]:
    return {row.model: row for row in comparison.rows if row.model.startswith("control")}


def seeds(folder: Path, *right_counts: tuple[int, int], **changes: Any) -> None:
    """Write a run per seed, with these images right before and after."""
    settings = changes.pop("settings", {})
    for seed, right in enumerate(right_counts):
        path = folder / f"{len(list(folder.glob('*')))}"
        run_folder(path, right=right, settings={**settings, "seed": seed}, **changes)


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = read_run(run_folder(tmp_path, right=(600, 640), images=1000))
    assert (run.method, run.seed) == ("animals", 0)
    assert (run.dataset.name, run.dataset.images) == ("folder", 1000)
    assert run.zero_shot == 0.6
    (adapted,) = run.scores
    assert (adapted.model, adapted.top1) == ("adapted", 0.64)
    assert adapted.gain.value == pytest.approx(0.04)
    assert run.seconds == 100.0
    assert run.peak_memory_mb is None


def test_seeds_of_one_recipe_are_averaged(tmp_path: Path) -> None:
    seeds(tmp_path, (600, 640), (600, 650), (600, 690))
    (row,) = compared(tmp_path).rows
    assert row.seeds == (0, 1, 2)
    assert row.settings == ()
    assert row.zero_shot is not None
    assert (row.zero_shot.mean, row.zero_shot.deviation) == (0.6, 0.0)
    assert row.result is not None
    assert row.result.top1.mean == pytest.approx(0.66)
    assert row.result.top1.deviation == pytest.approx((0.0014 / 2) ** 0.5)
    over_seeds = 4.302653 * (0.0014 / 2) ** 0.5 / 3**0.5
    singles = [run.scores[0].gain for run in row.runs]
    over_images = sum((gain.high - gain.value) ** 2 for gain in singles) / 3
    assert row.result.gain.value == pytest.approx(0.06)
    high = 0.06 + (over_seeds**2 + over_images) ** 0.5
    assert row.result.gain.high == pytest.approx(high, abs=1e-8)


def test_one_seed_has_its_paired_interval_and_no_deviation(tmp_path: Path) -> None:
    seeds(tmp_path, (600, 640), changed=100)
    (row,) = compared(tmp_path).rows
    assert row.result is not None
    assert row.result.gain == read_run(tmp_path / "0").scores[0].gain
    assert row.result.top1.deviation is None


def test_seeds_that_gain_the_same_keep_the_interval_over_images(tmp_path: Path) -> None:
    seeds(tmp_path, (600, 640), (600, 640), (600, 640), changed=100)
    (row,) = compared(tmp_path).rows
    single = read_run(tmp_path / "0").scores[0]
    assert row.result is not None
    assert row.result.gain.low == pytest.approx(single.gain.low, abs=1e-12)
    assert row.result.gain.high == pytest.approx(single.gain.high, abs=1e-12)


def test_seeds_do_not_make_a_gain_of_few_images_measurable(tmp_path: Path) -> None:
    seeds(tmp_path, (600, 618), (600, 619), (600, 620), changed=300)
    (row,) = compared(tmp_path).rows
    assert row.result is not None
    for run in row.runs:
        assert run.scores[0].gain.low < 0 < run.scores[0].gain.high
    assert row.result.gain.low < 0 < row.result.gain.high


def test_an_interval_stays_among_possible_differences(tmp_path: Path) -> None:
    seeds(tmp_path, (0, 10), (0, 1000))
    (row,) = compared(tmp_path).rows
    assert row.result is not None
    assert (row.result.gain.low, row.result.gain.high) == (-1.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"first_image": 1},
        {"inputs": "fedcba9876543210"},
        {"limit": 500},
        {"version": "0.2.0"},
        {"settings": {"name": "beasts"}},
        {"settings": {"prototypes": {"use": "momentum", "momentum": 0.9}}},
        {"settings": {"prototypes": {"use": "templates"}}},
        {"settings": {"dataset": {"use": "list", "root": "photos"}}},
    ],
)
def test_runs_that_differ_in_what_matters_are_not_averaged(
    change: dict[str, Any], tmp_path: Path
) -> None:
    seeds(tmp_path, (600, 640), (600, 650))
    settings = {"seed": 2, **change.get("settings", {})}
    run_folder(tmp_path / "other", **{**change, "settings": settings})
    assert sorted(row.seeds for row in compared(tmp_path).rows) == [(0, 1), (2,)]


@pytest.mark.parametrize(
    "change",
    [
        {"output": "elsewhere"},
        {"device": "cuda"},
        {"evaluate": {"batch_size": 8}},
        {"reporters": [{"use": "html"}]},
        {"requires": ["latte-tiny"]},
    ],
)
def test_what_changes_no_result_keeps_no_runs_apart(change: dict[str, Any], tmp_path: Path) -> None:
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "other", settings={"seed": 1, **change})
    (row,) = compared(tmp_path).rows
    assert row.seeds == (0, 1)


def test_the_order_of_images_makes_no_difference(tmp_path: Path) -> None:
    run_folder(tmp_path / "one")
    evaluation_file = (
        run_folder(tmp_path / "other", settings={"seed": 1}) / "data" / "evaluation.jsonl"
    )
    evaluation_file.write_text("\n".join(reversed(evaluation_file.read_text().splitlines())) + "\n")
    assert len(compared(tmp_path).rows) == 1


def test_rows_are_labelled_by_the_keys_in_which_they_differ(tmp_path: Path) -> None:
    for number, (momentum, rate) in enumerate([(0.9, 1e-5), (0.99, 1e-5), (0.99, 1e-6)]):
        optimizer = {"learning_rate": rate, "betas": [0.9, 0.98]}
        settings = {
            "prototypes": {"use": "momentum", "momentum": momentum},
            "train": {"batch_size": 64, "optimizer": optimizer},
        }
        run_folder(tmp_path / f"{number}", settings=settings)
    assert [row.settings for row in compared(tmp_path).rows] == [
        ("momentum=0.9", "learning_rate=1e-05"),
        ("momentum=0.99", "learning_rate=1e-06"),
        ("momentum=0.99", "learning_rate=1e-05"),
    ]


def test_a_label_has_as_much_of_its_key_as_it_needs(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", settings={"a": {"size": 1}, "b": {"size": [1, 2]}})
    run_folder(tmp_path / "1", settings={"a": {"size": 2}, "b": {"size": None}, "c": "text"})
    square, text = compared(tmp_path).rows
    assert square.settings == ("a.size=1", "b.size=[1, 2]", "c=(none)")
    assert text.settings == ("a.size=2", "b.size=null", "c=text")


def test_labels_of_long_lists_are_short_and_differ(tmp_path: Path) -> None:
    names = [f"name {number}" for number in range(30)]
    for number, last_name in enumerate(("fox", "owl")):
        run_folder(tmp_path / f"{number}", settings={"dataset.classes": [*names, last_name]})
    label_of_fox, label_of_owl = (
        label for row in compared(tmp_path).rows for label in row.settings
    )
    assert label_of_fox != label_of_owl
    for label in (label_of_fox, label_of_owl):
        assert re.fullmatch(r"classes=\[name 0, …\] \(31 values, [0-9a-f]{6}\)", label)


def test_inputs_are_named_where_nothing_else_tells_rows_apart(tmp_path: Path) -> None:
    run_folder(tmp_path / "0", inputs="aaaaaaaaaa")
    run_folder(tmp_path / "1", inputs="bbbbbbbbbb")
    assert [row.settings for row in compared(tmp_path).rows] == [
        ("inputs=aaaaaa",),
        ("inputs=bbbbbb",),
    ]


def test_secrets_stand_in_no_label(tmp_path: Path) -> None:
    for number, key in enumerate(("sk-one", "sk-two")):
        run_folder(tmp_path / f"{number}", settings={"seed": number, "describer": {"api_key": key}})
    (row,) = compared(tmp_path).rows
    assert row.settings == ()


def test_data_of_one_name_and_size_are_told_apart(tmp_path: Path) -> None:
    run_folder(tmp_path / "0")
    run_folder(tmp_path / "1", first_image=500, settings={"seed": 1})
    comparison = compared(tmp_path)
    titles = [*comparison.sections]
    assert [title.rpartition(" (")[0] for title in titles] == ["folder, 1,000 images"] * 2
    assert len(set(titles)) == 2
    assert any("kept apart" in note for note in notes(comparison))


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    run_folder(tmp_path / "one")
    run_folder(tmp_path / "two", settings={"output": "elsewhere"})
    comparison = compare_folders([tmp_path, tmp_path / "one"])
    (row,) = comparison.rows
    assert row.seeds == (0,)
    assert [(run.where, "the same recipe" in run.what) for run in comparison.skipped] == [
        (str(tmp_path / "two"), True)
    ]


def test_controls_are_averaged_beside_their_recipe(tmp_path: Path) -> None:
    for seed, right in enumerate((610, 630)):
        settings = {"seed": seed, "controls": {"plain": {}, "missing": {}}}
        add_control(run_folder(tmp_path / f"{seed}", settings=settings), "plain", right)
    ((model, row),) = control_rows(compared(tmp_path)).items()
    assert model == "control plain"
    assert row.result is not None
    assert row.result.top1.mean == pytest.approx(0.62)
    assert row.result.gain.value == pytest.approx(0.02)


def test_controls_that_share_only_their_name_are_not_averaged(tmp_path: Path) -> None:
    for seed, momentum in enumerate((0.1, 0.2)):
        changes = {"prototypes": {"use": "momentum", "momentum": momentum}}
        settings = {"seed": seed, "controls": {"plain": changes}}
        add_control(run_folder(tmp_path / f"{seed}", settings=settings), "plain", 610)
    rows = control_rows(compared(tmp_path))
    assert [name.partition(" (")[0] for name in rows] == ["control plain", "control plain"]
    assert [row.result and row.result.top1.runs for row in rows.values()] == [1, 1]


def test_runs_without_labels_have_a_row_without_accuracies(tmp_path: Path) -> None:
    run_folder(tmp_path / "run", right=None)
    comparison = compared(tmp_path)
    (row,) = comparison.rows
    assert (row.zero_shot, row.result) == (None, None)
    assert [*comparison.sections] == ["folder, no labelled images"]


def test_times_are_means_and_memory_is_the_largest(tmp_path: Path) -> None:
    for seed, memory in enumerate((512.0, 700.5)):
        folder = run_folder(tmp_path / f"{seed}", settings={"seed": seed})
        set_peak_memory(folder, memory)
    record(tmp_path / "1", ("stages", "train", "seconds"), 80.0)
    (row,) = compared(tmp_path).rows
    assert mean_seconds(row) == 110.0
    assert [run.peak_memory_mb for run in row.runs] == [512.0, 700.5]


def damage(folder: Path, what: str) -> None:
    if what == "unfinished":
        run_folder(folder, stages=("data", "zero-shot"))
    elif what == "not a recipe":
        record(folder, ("source", "values"), [1])
    elif what == "no name":
        record(folder, ("source", "values"), {"seed": 0})
    elif what == "no record":
        (folder / "results.json").unlink()
    elif what == "torn record":
        write(folder / "results.json", '{"data": {"fing')
    elif what == "foreign stages":
        record(folder, ("stages", "evaluate"), 3)
    elif what == "foreign evaluation":
        record(folder, ("evaluate", "models"), [{"name": "zero-shot"}])
    elif what == "no versions":
        record(folder, ("environment",), {})
    else:
        assert what == "binary"
        (folder / "results.json").write_bytes(b"\xff\xfe\0")


DAMAGES = ["unfinished", "not a recipe", "no name", "no record", "torn record"]
DAMAGES += ["foreign stages", "foreign evaluation", "no versions", "binary"]


@pytest.mark.parametrize("what", DAMAGES)
def test_a_broken_or_unfinished_run_is_named_and_skipped(what: str, tmp_path: Path) -> None:
    run_folder(tmp_path / "good")
    damage(run_folder(tmp_path / "bad", settings={"seed": 1}), what)
    comparison = compared(tmp_path)
    assert [row.seeds for row in comparison.rows] == [(0,)]
    (skipped,) = comparison.skipped
    assert (skipped.where or "").startswith(str(tmp_path / "bad"))


def test_without_a_usable_run_there_is_an_error_that_says_why(tmp_path: Path) -> None:
    damage(run_folder(tmp_path / "bad"), "unfinished")
    with pytest.raises(LatteError, match="no finished run") as caught:
        compare_folders([tmp_path, tmp_path / "absent"])
    assert "not finished" in str(caught.value)
    assert f"latte run {tmp_path / 'bad' / 'recipe.yaml'}" in str(caught.value)
    assert "there is no such folder" in str(caught.value)


def test_folders_are_searched_one_level_deep(tmp_path: Path) -> None:
    run_folder(tmp_path / "runs" / "animals-1")
    write(tmp_path / "runs" / "notes" / "todo.txt", "")
    assert len(compare_folders([tmp_path / "runs"]).rows) == 1
    with pytest.raises(LatteError, match="no finished run"):
        compare_folders([tmp_path])


def test_of_many_differing_settings_rows_show_those_that_tell_them_apart(tmp_path: Path) -> None:
    many = {f"key{number}": number for number in range(20)}
    for name, component, options in (
        ("a", "plain", {}),
        ("b", "latte-x/mine", many),
        ("c", "other", many),
    ):
        settings = {
            "prototypes": {"use": component, **options},
            "guard": {"use": f"guard {len(options)}"},
        }
        run_folder(tmp_path / f"animals-{name}", settings=settings)
    comparison = compared(tmp_path)
    assert [row.shown for row in comparison.rows] == [
        ("prototypes=mine",),
        ("prototypes=other",),
        ("prototypes=plain",),
    ]
    assert [len(row.settings) for row in comparison.rows] == [22] * 3
    assert any("21 more settings differ" in note for note in notes(comparison))


def test_two_settings_are_shown_if_no_single_one_tells_rows_apart(tmp_path: Path) -> None:
    for first_value in range(2):
        for second_value in range(2):
            train = {"first": first_value, "second": second_value}
            same = {f"copy{number}": first_value for number in range(3)}
            run_folder(
                tmp_path / f"{first_value}{second_value}", settings={"train": {**train, **same}}
            )
    labels = {row.shown for row in compared(tmp_path).rows}
    assert labels == {(f"first={a}", f"second={b}") for a in (0, 1) for b in (0, 1)}
