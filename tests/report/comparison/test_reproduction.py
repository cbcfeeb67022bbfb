"""`latte reproduce`: published tables run again, ours beside theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from latte_benchmarks.facts import all_facts

from latte.interfaces import LatteError, RecipeErrors
from latte.registry.registry import load_registry
from latte.report.comparison.published import (
    LEAST_TOLERANCE,
    Own,
    Published,
    average,
    beside,
    read_published,
    tolerance,
)
from latte.report.comparison.reproduction import (
    chosen_datasets,
    plan_dataset,
    read_changes,
    read_table,
)
from latte.run import runner
from tests.helpers.command_line import Latte

pytestmark = pytest.mark.thorough

PAPER = Path(__file__).parents[3] / "recipes" / "paper"
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


def published(**rows: dict[str, float]) -> Published:
    return Published("a paper", "", rows, {"zero-shot": 0.5})


@pytest.fixture
def table(squares: Path) -> Path:
    """A table whose first dataset is not here."""
    folder = squares.parent
    (folder / "numbers.yaml").write_text(NUMBERS)
    (folder / "absent.yaml").write_text("extends: squares.yaml\ndataset: {root: nowhere}\n")
    (folder / "table.yaml").write_text(TABLE)
    return folder / "table.yaml"


def test_the_tolerance_comes_from_how_published_variants_scatter() -> None:
    numbers = published(a={"calm": 0.5, "wild": 0.5}, b={"calm": 0.501, "wild": 0.6})
    assert tolerance("calm", numbers) == LEAST_TOLERANCE
    assert tolerance("wild", numbers) == pytest.approx(2 * 0.1 / 2**0.5)
    assert tolerance("unknown", numbers) == LEAST_TOLERANCE


def test_the_paper_s_texture_and_food_numbers_are_the_least_certain() -> None:
    numbers = read_published(PAPER / "published.yaml")
    allowed = {name: tolerance(name, numbers) for name in numbers.rows["latteclip"]}
    assert {*sorted(allowed, key=lambda name: -allowed[name])[:2]} == {"dtd", "food101"}
    assert allowed["dtd"] == pytest.approx(0.041, abs=0.002)
    assert allowed["eurosat"] == LEAST_TOLERANCE


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        (Own(0.509, None, 1), "agrees"),
        (Own(0.491, 0.6, 2), "agrees"),
        (Own(0.512, None, 1), "differs"),
        (Own(0.512, 0.003, 3), "unclear"),
        (Own(0.488, 0.001, 3), "differs"),
    ],
)
def test_a_number_agrees_within_the_tolerance_and_few_seeds_leave_it_open(
    own: Own, verdict: str
) -> None:
    assert beside("a", "calm", own, published(a={"calm": 0.5})).verdict == verdict


def test_without_a_published_number_nothing_is_said() -> None:
    number = beside("b", "calm", Own(0.5, None, 1), published(a={"calm": 0.5}))
    assert (number.published, number.difference, number.verdict) == (None, None, None)


def test_averages_are_over_the_same_datasets() -> None:
    numbers = published(a={"x": 0.4, "y": 0.6, "z": 1.0})
    own = [("x", Own(0.5, 0.03, 3)), ("y", Own(0.7, 0.04, 3))]
    found = average("a", own, numbers)
    assert (found.own.mean, found.published) == (pytest.approx(0.6), pytest.approx(0.5))
    assert found.own.reach == pytest.approx(0.025)
    assert found.tolerance == pytest.approx(LEAST_TOLERANCE * 2**0.5 / 2)
    assert average("a", [own[0], ("y", Own(0.7, None, 1))], numbers).own.reach is None
    assert average("zero-shot", own, numbers).published is None
    assert average("zero-shot", [*own, ("z", Own(0.9, None, 1))], numbers).published == 0.5


@pytest.mark.parametrize("name", TABLES)
def test_the_paper_s_tables_are_valid_runs(name: str) -> None:
    table = read_table(Path(name))
    registry = load_registry()
    assert {*table.settings.datasets} == {*all_facts()}
    for changes in ({}, read_changes(Path("tiny"))):
        cells = plan_dataset(table, "sun397", changes, [], registry, None)
        assert [cell.row for cell in cells] == [*table.settings.rows]
        assert all(len(cell.runs) == 1 for cell in cells)
    known = {*table.published.rows, "zero-shot", "flyp", "reclip"}
    assert {*table.settings.rows} <= known


def test_rows_of_the_paper_differ_in_what_they_are_about() -> None:
    registry = load_registry()
    cells = plan_dataset(read_table(Path("table-2")), "dtd", {}, [], registry, None)
    sizes = [cell.runs[0].recipe.resolved["descriptions"][2]["size"] for cell in cells]
    assert sizes == [2, 4, 8, 16]
    cells = plan_dataset(read_table(Path("table-1")), "dtd", {}, [], registry, None)
    correct = [cell.runs[0].recipe.resolved["descriptions"][2]["correct"] for cell in cells]
    assert correct == [None, 1, 2, 3, 4]


def test_the_tiny_changes_leave_each_method_what_it_is() -> None:
    table, changes = read_table(Path("methods")), read_changes(Path("tiny"))
    cells = plan_dataset(table, "dtd", changes, [], load_registry(), None)
    recipes = {cell.row: cell.runs[0].recipe for cell in cells}
    assert all(recipe.backbone.options.model == "plugin:tiny" for recipe in recipes.values())
    assert recipes["zero-shot"].train.max_steps == 0
    assert recipes["reclip"].augmentation is None
    assert recipes["latteclip"].describers[0].spec.name == "phrases"


def test_mistakes_in_a_table_are_told_with_their_line(table: Path) -> None:
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


def test_a_table_is_run_and_compared_and_absent_datasets_are_named(
    table: Path, latte: Latte
) -> None:
    said = latte("reproduce", table, "--seeds", "0,1", "--set", "evaluate.batch_size=8")
    assert "[4/4] baseline on squares, seed 1" in said.err
    lines = said.out.splitlines()
    assert (
        lines[:4]
        == [
            "momentum",
            "",
            "squares",
            "            ours           published  difference  tolerance",
        ]
        or lines[0] == "momentum"
    )
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert "±" in rows["fast"]
    assert "50.00" in rows["fast"]
    assert rows["fast"].split()[-1] in ("agrees", "unclear", "differs")
    assert "–" in rows["baseline"]
    text = " ".join(said.out.split())
    assert "Left out: absent (no such folder" in text
    assert "nothing is judged" not in text
    assert "twice the standard deviation" in text
    assert max(map(len, lines)) <= 80

    again = latte("reproduce", table, "--seeds", "0,1", "--set", "evaluate.batch_size=8", "-q")
    assert again.out == said.out
    changed = latte("reproduce", table, "--seeds", "0,1", "--set", "train.max_epochs=0", "-q")
    assert "nothing is judged" in " ".join(changed.out.split())
    assert not {"agrees", "unclear", "differs"} & {
        line.split()[-1] for line in changed.out.splitlines() if line.startswith("  ")
    }
    planned = latte("reproduce", table, "--dry-run", "--seeds", "0,2")
    states = [line.split()[0] for line in planned.out.splitlines()]
    assert states == ["to"] * 4 + ["finished", "to"] * 2
    assert "not run:\n  absent: no such folder" in planned.err


def test_without_any_dataset_it_says_what_is_missing(table: Path, latte: Latte) -> None:
    said = latte("reproduce", table, "--datasets", "absent", code=2)
    assert "none of the table's datasets is on this machine" in said.err
    assert "absent: no such folder" in said.err


def test_without_latte_data_the_runs_are_listed_with_what_to_do(
    latte: Latte, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATTE_DATA", raising=False)
    arguments = ("reproduce", "table-2", "--datasets", "eurosat,dtd")
    planned = latte(*arguments, "--dry-run")
    assert {"eurosat", "dtd"} == {
        line.rpartition(" on ")[2].split(",")[0] for line in planned.out.splitlines()
    }
    way_on = "eurosat, dtd: LATTE_DATA is not set\n  Set it, or run `latte datasets get eurosat"
    assert way_on in planned.err
    assert way_on in latte(*arguments, code=2).err


def test_one_value_at_a_time_is_set(table: Path, latte: Latte) -> None:
    said = latte("reproduce", table, "--set", "seed=1,2", code=2)
    assert "--set seed=1,2: takes one value here" in said.err


def test_runs_that_fail_are_named_and_the_others_are_shown(
    table: Path, latte: Latte, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner.run_recipe

    def run(recipe: Any, *arguments: Any, **options: Any) -> Any:
        if recipe.train.max_steps > 0:
            raise LatteError("there is no such model", where="describer.model")
        return real(recipe, *arguments, **options)

    monkeypatch.setattr(runner, "run_recipe", run)
    said = latte("reproduce", table, code=1)
    assert "1 of 2 runs failed" in said.err
    assert "describer.model: there is no such model" in said.err
    shown = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert "baseline" in shown
    assert "fast" not in shown
