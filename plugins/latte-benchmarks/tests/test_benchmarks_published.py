"""Published numbers beside measured ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmark_runs import run_folder, write
from latte_benchmarks.comparison import compare_folders, notes
from latte_benchmarks.published import (
    LEAST_TOLERANCE,
    Published,
    average_rows,
    read_published,
    tolerance,
)
from latte_benchmarks.rows import ResultRow

from latte.api import LatteError
from latte.api.runs import find_table

PAPER = find_table(Path("published"))


def published_for(tmp_path: Path, method: str, dataset: str, text: str) -> float | None:
    settings = {"name": method, "dataset": {"use": dataset}}
    run_folder(tmp_path / "run", settings=settings)
    write(tmp_path / "numbers.yaml", text)
    numbers = read_published(tmp_path / "numbers.yaml")
    (row,) = compare_folders([tmp_path / "run"], numbers).rows
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


def test_the_notes_name_the_source(tmp_path: Path) -> None:
    run_folder(tmp_path / "run")
    numbers = Published("a paper", "one seed", {"animals": {"folder": 0.5}})
    printed = " ".join(notes(compare_folders([tmp_path / "run"], numbers)))
    assert "Published: a paper." in printed
    assert "only if model, split and prompts are the same" in " ".join(printed.split())
    assert "one seed" in printed


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "numbers.yaml"
    write(path, "sorce: x\nrows:\n  a: {b: 101, c: true, d: 0.5}\n  e: 3\n  f: {g: -1}\n")
    with pytest.raises(LatteError) as caught:
        read_published(path)
    printed = str(caught.value)
    for words in (
        f"{path}:1 sorce",
        'Did you mean "source"?',
        f"{path}:3 rows.a.b: must be at most 100",
        f"{path}:3 rows.a.c: expected a number",
        f"{path}:4 rows.e: expected a mapping",
        f"{path}:5 rows.f.g: must be at least 0",
    ):
        assert words in printed
    assert "rows.a.d" not in printed


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
    (row,) = compare_folders([tmp_path / "run"], read_published(PAPER)).rows
    assert row.published == pytest.approx(0.5626)
    with pytest.raises(LatteError, match='Did you mean "published"'):
        find_table(Path("publishd"))


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


def published(**rows: dict[str, float]) -> Published:
    return Published("a paper", "", rows, {"zero-shot": 0.5})


def measured_rows(
    folder: Path, numbers: Published, *right: int, datasets: tuple[str, ...] = ("calm",)
) -> tuple[ResultRow, ...]:
    """Return the rows of a method `a`, with a seed per number of right answers of 1,000."""
    for place, dataset in enumerate(datasets):
        for seed, right_after in enumerate(right):
            settings = {"name": f"a-{dataset}", "seed": seed, "dataset": {"use": dataset}}
            path = folder / f"{dataset}-{seed}"
            run_folder(path, right=(500, right_after + 100 * place), settings=settings)
    return compare_folders([folder], numbers).rows


def test_the_tolerance_comes_from_how_published_variants_scatter() -> None:
    numbers = published(a={"calm": 0.5, "wild": 0.5}, b={"calm": 0.501, "wild": 0.6})
    assert tolerance("calm", numbers) == LEAST_TOLERANCE
    assert tolerance("wild", numbers) == pytest.approx(2 * 0.1 / 2**0.5)
    assert tolerance("unknown", numbers) == LEAST_TOLERANCE


def test_the_paper_s_texture_and_food_numbers_are_the_least_certain() -> None:
    numbers = read_published(PAPER)
    allowed = {name: tolerance(name, numbers) for name in numbers.rows["latteclip"]}
    assert {*sorted(allowed, key=lambda name: -allowed[name])[:2]} == {"dtd", "food101"}
    assert allowed["dtd"] == pytest.approx(0.041, abs=0.002)
    assert allowed["eurosat"] == LEAST_TOLERANCE


@pytest.mark.parametrize(
    ("right", "agreement"),
    [
        ((509,), "agrees"),
        ((400, 582), "agrees"),
        ((512,), "differs"),
        ((511, 512, 513), "unclear"),
        ((488, 488, 488), "differs"),
    ],
)
def test_a_number_agrees_within_the_tolerance_and_few_seeds_leave_it_open(
    right: tuple[int, ...], agreement: str, tmp_path: Path
) -> None:
    (row,) = measured_rows(tmp_path, published(a={"calm": 0.5}), *right)
    assert row.agreement == agreement


def test_without_a_published_number_nothing_is_judged(tmp_path: Path) -> None:
    (row,) = measured_rows(tmp_path, published(b={"calm": 0.5}), 500)
    assert (row.published, row.difference, row.agreement) == (None, None, "")


def test_averages_are_over_the_same_datasets(tmp_path: Path) -> None:
    numbers = published(a={"calm": 0.4, "wild": 0.6, "other": 1.0})
    rows = measured_rows(tmp_path, numbers, 490, 510, datasets=("calm", "wild"))
    (average,) = average_rows(rows, numbers)
    assert average.result is not None
    assert average.result.top1.mean == pytest.approx(0.55)
    assert average.published == pytest.approx(0.5)
    reaches = [row.result.top1.reach for row in rows if row.result]
    assert average.result.top1.reach == pytest.approx((reaches[0] or 0) / 2**0.5)
    assert average.tolerance == pytest.approx(LEAST_TOLERANCE * 2**0.5 / 2)
    assert numbers.average("zero-shot", ["calm", "wild"]) is None
    assert numbers.average("zero-shot", ["calm", "wild", "other"]) == 0.5


def test_method_that_lacks_a_dataset_has_no_average(tmp_path: Path) -> None:
    measured_rows(tmp_path, published(), 500, datasets=("calm", "wild"))
    run_folder(tmp_path / "b", settings={"name": "b", "dataset": {"use": "calm"}})
    assert [row.name for row in compare_folders([tmp_path]).averages] == ["a"]
    run_folder(tmp_path / "more", first_image=5, settings={"dataset": {"use": "calm"}})
    assert compare_folders([tmp_path]).averages == ()
