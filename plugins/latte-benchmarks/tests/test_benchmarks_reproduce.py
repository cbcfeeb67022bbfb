"""`latte reproduce`: published tables run again, ours beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from latte_benchmarks.facts import all_facts
from latte_benchmarks.reproduction import chosen_datasets, plan_dataset, read_changes, read_table

from conftest import Call
from latte.api import LatteError, RecipeErrors
from latte.api.runs import PreparedRun

pytestmark = pytest.mark.thorough

TABLES = ("methods", "table-1", "table-2")
NUMBERS = """\
source: a paper
note: one seed
averages: {baseline: 60}
rows:
  fast: {squares: 50, absent: 60}
  slow: {squares: 52, absent: 60}
"""
TABLE = """\
title: momentum
published: numbers.yaml
datasets: [absent, squares]
rows:
  fast: {recipe: "{dataset}.yaml", set: {prototypes.momentum: 0.5}}
  baseline:
    recipe: "{dataset}.yaml"
    set: {train: {max_steps: 0}, labels: [], prototypes: templates}
"""


@pytest.fixture
def table(squares: Path) -> Path:
    """A table whose first dataset is not here."""
    folder = squares.parent
    (folder / "numbers.yaml").write_text(NUMBERS)
    (folder / "absent.yaml").write_text("extends: squares.yaml\ndataset: {root: nowhere}\n")
    (folder / "table.yaml").write_text(TABLE)
    return folder / "table.yaml"


@pytest.mark.parametrize("name", TABLES)
def test_the_paper_s_tables_are_valid_runs(name: str) -> None:
    table = read_table(Path(name))
    assert {*table.settings.datasets} == {*all_facts()}
    for changes in ({}, read_changes(Path("tiny"))):
        cells = plan_dataset(table, "sun397", changes, [], None)
        assert [cell.row for cell in cells] == [*table.settings.rows]
        assert all(len(cell.runs) == 1 for cell in cells)
    methods = {*table.published.rows, "zero-shot", "flyp", "reclip"}
    assert {*table.settings.rows} <= methods


def test_rows_of_the_paper_differ_in_what_they_are_about() -> None:
    cells = plan_dataset(read_table(Path("table-2")), "dtd", {}, [], None)
    assert [cell.runs[0].values["descriptions"][2]["size"] for cell in cells] == [2, 4, 8, 16]
    cells = plan_dataset(read_table(Path("table-1")), "dtd", {}, [], None)
    correct = [cell.runs[0].values["descriptions"][2]["correct"] for cell in cells]
    assert correct == [None, 1, 2, 3, 4]


def test_the_tiny_changes_leave_each_method_what_it_is() -> None:
    table, changes = read_table(Path("methods")), read_changes(Path("tiny"))
    cells = plan_dataset(table, "dtd", changes, [], None)
    recipes = {cell.row: cell.runs[0].values for cell in cells}
    assert all(values["backbone"]["model"] == "plugin:tiny" for values in recipes.values())
    assert recipes["zero-shot"]["train"]["max_steps"] == 0
    assert recipes["reclip"]["augmentation"] is None
    assert recipes["latteclip"]["describers"][0]["use"].rpartition("/")[2] == "phrases"


def test_mistakes_in_a_table_are_reported_with_their_line(table: Path) -> None:
    table.write_text(TABLE.replace("title", "titel").replace("recipe:", "recipes:", 1))
    with pytest.raises(RecipeErrors) as caught:
        read_table(table)
    assert f"{table}:1 titel" in str(caught.value)
    assert f'{table}:5 rows.fast.recipes: unknown key "recipes"' in str(caught.value)


def test_unknown_tables_and_datasets_get_the_nearest_name(table: Path) -> None:
    with pytest.raises(LatteError, match="table-3: there is no such file\n  Did you mean"):
        read_table(Path("table-3"))
    with pytest.raises(LatteError, match='Did you mean "squares"'):
        chosen_datasets(read_table(table), "square")


def test_a_table_is_run_and_compared_and_absent_datasets_are_named(table: Path, tiny: Call) -> None:
    options = ("reproduce", "table.yaml", "--seeds", "0,1")
    printed = tiny(*options, "--set", "evaluate.batch_size=8")
    assert "[4/4] baseline on squares, seed 1" in printed.err
    lines = printed.out.splitlines()
    assert lines[:3] == ["momentum", "", "squares, 6 images"]
    assert lines[3].split() == ["method", "ours", "published", "difference", "tolerance"]
    rows = {line.split()[0]: line for line in lines[4:6]}
    assert [*rows] == ["fast", "baseline"]
    assert "±" in rows["fast"]
    assert "50.00" in rows["fast"]
    assert rows["fast"].split()[-1] in ("agrees", "unclear", "differs")
    assert "–" in rows["baseline"]
    text = " ".join(printed.out.split())
    assert "Left out: absent (no such folder" in text
    assert "nothing is judged" not in text
    assert "twice the standard deviation" in text
    assert max(map(len, lines)) <= 80

    reprinted = tiny(*options, "--set", "evaluate.batch_size=8", "-q")
    assert reprinted.out == printed.out
    changed = tiny(*options, "--set", "train.max_epochs=0", "-q")
    assert "nothing is judged" in " ".join(changed.out.split())
    judgements = {"agrees", "unclear", "differs"}
    assert not judgements & {line.split()[-1] for line in changed.out.splitlines()[3:6]}
    planned = tiny("reproduce", "table.yaml", "--dry-run", "--seeds", "0,2")
    states = [line.split()[0] for line in planned.out.splitlines()]
    assert states == ["to"] * 4 + ["finished", "to"] * 2
    assert "not run:\n  absent: no such folder" in planned.err


def test_without_any_dataset_it_says_what_is_missing(table: Path, latte: Call) -> None:
    printed = latte("reproduce", table, "--datasets", "absent", code=2)
    assert "none of the table's datasets is on this machine" in printed.err
    assert "absent: no such folder" in printed.err


def test_without_latte_data_the_runs_are_listed_with_what_to_do(
    latte: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATTE_DATA", raising=False)
    arguments = ("reproduce", "table-2", "--datasets", "eurosat,dtd")
    planned = latte(*arguments, "--dry-run")
    assert {"eurosat", "dtd"} == {
        line.rpartition(" on ")[2].split(",")[0] for line in planned.out.splitlines()
    }
    fix = "eurosat, dtd: LATTE_DATA is not set\n  Set it, or run `latte datasets get eurosat"
    assert fix in planned.err
    assert fix in latte(*arguments, code=2).err


def test_one_value_at_a_time_is_set(table: Path, latte: Call) -> None:
    printed = latte("reproduce", table, "--set", "seed=1,2", code=2)
    assert "--set seed=1,2: takes one value here" in printed.err


def test_runs_that_fail_are_named_and_the_others_are_shown(
    table: Path, tiny: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PreparedRun.start

    def start(run: PreparedRun, *arguments: Any) -> Any:
        if run.values["train"]["max_steps"] > 0:
            raise LatteError("there is no such model", where="describer.model")
        return real(run, *arguments)

    monkeypatch.setattr(PreparedRun, "start", start)
    printed = tiny("reproduce", "table.yaml", code=1)
    assert "1 of 2 runs failed" in printed.err
    assert "describer.model: there is no such model" in printed.err
    shown = [line.split()[0] for line in printed.out.splitlines() if line]
    assert "baseline" in shown
    assert "fast" not in shown
