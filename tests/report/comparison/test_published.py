"""Published numbers beside measured ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import LatteError
from latte.report.comparison.comparison import compare_runs, notes
from latte.report.comparison.published import read_published
from tests.helpers.comparison_folders import run_folder, write

PAPER = Path(__file__).parents[3] / "recipes" / "paper" / "published.yaml"


def published_for(tmp_path: Path, method: str, dataset: str, text: str) -> float | None:
    settings = {"name": method, "dataset": {"use": dataset}}
    run_folder(tmp_path / "run", settings=settings)
    write(tmp_path / "numbers.yaml", text)
    (row,) = compare_runs([tmp_path / "run"], tmp_path / "numbers.yaml").rows
    return row.published


@pytest.mark.parametrize(
    ("method", "dataset"),
    [
        ("flyp", "stanford-cars"),
        ("FLYP", "stanford_cars"),
        ("flyp-stanford-cars", "stanford-cars"),
        ("stanford_cars-flyp", "stanford-cars"),
        ("flyp", "latte-coop/stanford-cars"),
    ],
)
def test_a_number_stands_beside_the_row_of_its_method_and_dataset(
    method: str, dataset: str, tmp_path: Path
) -> None:
    text = "source: x\nrows: {latteclip: {stanford-cars: 90}, flyp: {stanford-cars: 87.4}}\n"
    assert published_for(tmp_path, method, dataset, text) == pytest.approx(0.874)


@pytest.mark.parametrize(("method", "dataset"), [("flyp-2", "a"), ("flyp", "b"), ("a", "a")])
def test_other_rows_have_none(method: str, dataset: str, tmp_path: Path) -> None:
    text = "source: x\nrows: {flyp: {a: 87.4}}\n"
    assert published_for(tmp_path, method, dataset, text) is None


def test_the_notes_name_the_source_and_what_has_no_run(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    text = "source: a paper\nnote: one seed\nrows: {animals: {folder: 50}, other: {folder: 60}}\n"
    write(tmp_path / "numbers.yaml", text)
    said = " ".join(notes(compare_runs([tmp_path / "run"], tmp_path / "numbers.yaml")))
    assert "Published: a paper." in said
    assert "only if model, split and prompts are the same" in " ".join(said.split())
    assert "one seed" in said
    assert "without a run here: other." in said


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    write(path, "sorce: x\nrows:\n  a: {b: 101, c: true, d: 0.5}\n  e: 3\n  f: {g: -1}\n")
    with pytest.raises(LatteError) as caught:
        read_published(path)
    said = str(caught.value)
    for words in (
        f"{path}:1 sorce",
        'Did you mean "source"?',
        f"{path}:3 rows.a.b: must be at most 100",
        f"{path}:3 rows.a.c: expected a number",
        f"{path}:4 rows.e: expected a mapping",
        f"{path}:5 rows.f.g: must be at least 0",
    ):
        assert words in said
    assert "rows.a.d" not in said


@pytest.mark.parametrize("text", ["", "- 1", "source: !!python/object:os.system {}", "source: ["])
def test_a_file_that_is_something_else_is_refused(text: str, tmp_path: Path) -> None:
    write(tmp_path / "numbers.yaml", text)
    with pytest.raises(LatteError):
        read_published(tmp_path / "numbers.yaml")


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="cannot be read"):
        read_published(tmp_path / "absent.yaml")


def test_those_of_the_paper_have_a_name(tmp_path: Path) -> None:
    settings = {"name": "latteclip-dtd", "dataset": {"use": "dtd"}}
    run_folder(tmp_path / "run", settings=settings)
    (row,) = compare_runs([tmp_path / "run"], Path("published")).rows
    assert row.published == pytest.approx(0.5626)
    with pytest.raises(LatteError, match='Did you mean "published"'):
        compare_runs([tmp_path / "run"], Path("publishd"))


def test_averages_are_percentages_too(tmp_path: Path) -> None:
    write(tmp_path / "numbers.yaml", "source: x\nrows: {}\naverages: {a: 50, b: 101}\n")
    with pytest.raises(LatteError, match=r"averages\.b: must be at most 100"):
        read_published(tmp_path / "numbers.yaml")
    assert read_published(PAPER).averages == {"zero-shot": 0.6749}


@pytest.mark.parametrize(
    ("method", "average"),
    [
        ("latteclip", 72.23),
        ("latteclip-gt-1", 72.48),
        ("latteclip-gt-2", 72.61),
        ("latteclip-gt-3", 72.72),
        ("latteclip-gt-4", 72.64),
        ("latteclip-group-2", 71.55),
        ("latteclip-group-8", 72.31),
        ("latteclip-group-16", 72.49),
    ],
)
def test_the_papers_rows_have_the_averages_that_it_prints(method: str, average: float) -> None:
    row = read_published(PAPER).rows[method]
    assert len(row) == 10
    assert 100 * sum(row.values()) / 10 == pytest.approx(average, abs=0.0051)
