"""Parts of the comparison page beside its tables: overview and links; hostile runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latte.io.redaction import printable
from latte.report.comparison.comparison import compare_runs
from latte.report.comparison.page import overview, page, report_link
from latte.report.comparison.rows import Row
from tests.helpers.comparison_folders import run_folder, write
from tests.helpers.html_document import parse
from tests.helpers.records import record


def runs(path: Path, *changes: dict[str, Any]) -> tuple[Row, ...]:
    """Return the rows of a comparison of runs with these arguments."""
    for number, arguments in enumerate(changes):
        run_folder(path / f"{number}", **arguments)
    return compare_runs([path]).rows


def test_several_datasets_get_a_table_of_methods_by_datasets(tmp_path: Path) -> None:
    rows = runs(
        tmp_path,
        {"right": (600, 640)},
        {"right": (600, 690), "settings": {"name": "flyp"}},
        {"right": (500, 510), "first_image": 5000},
    )
    found = overview(rows)
    assert found is not None
    assert len(found["datasets"]) == 2
    named = dict(found["rows"])
    cells = [None if one is None else tuple(one.values()) for one in named["animals"]]
    assert sorted(cells, key=str) == [("51.0", "+1.0", True), ("64.0", "+4.0", False)]
    assert sorted((one is None for one in named["flyp"]), key=str) == [False, True]


def test_one_dataset_needs_no_overview(tmp_path: Path) -> None:
    assert overview(runs(tmp_path, {}, {"right": None})) is None


def test_reports_below_and_beside_the_page_are_linked(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "runs" / "one"
    write(folder / "report" / "index.html", "x")
    assert report_link(tmp_path / "a" / "page.html", folder) == "./runs/one/report/index.html"
    assert report_link(tmp_path / "a" / "b" / "page.html", folder) == (
        "../runs/one/report/index.html"
    )
    assert report_link(tmp_path / "a" / "b" / "c" / "page.html", folder) is None
    assert report_link(tmp_path / "a" / "page.html", tmp_path / "a" / "other") is None


@pytest.mark.parametrize("name", ["javascript:alert(1)", 'a "b" <c>', "ü#?%41"])
def test_a_link_is_a_path_whatever_the_folder_is_called(name: str, tmp_path: Path) -> None:
    run_folder(tmp_path / name)
    write(tmp_path / name / "report" / "index.html", "x")
    document = parse(page(compare_runs([tmp_path]), tmp_path / "page.html"))
    (link,) = [one.attributes["href"] for one in document.one("tbody").all("a")]
    assert link.startswith("./")
    assert not set(link) & set(':"<>#? ')


def page_of_runs(place: Path, text: str, values: list[Any]) -> str:
    """Return the page of two methods and a broken run that use `text` wherever text is possible."""
    for number, right in enumerate(((600, 640), (600, 690))):
        settings = {
            "name": f"{number}{text}",
            "dataset": {"use": f"folder{text}", "root": text},
            "backbone": {"model": text},
            "prototypes": {"use": f"{number}{text}", text: values},
            "describer": [{"use": text, "label": text}],
        }
        folder = run_folder(
            place / f"{number}{text}".replace("/", "_"), right=right, settings=settings
        )
        record(folder, ("environment",), {"latte": text, "plugins": {text: text}})
        write(folder / "report" / "index.html", "x")
        verdict = {"strength": 1.0, "reason": text, "signals": {text: 0.1}}
        record(folder, ("train", "verdict"), verdict)
    broken = run_folder(place / f"broken{text}".replace("/", "_"), settings={"name": text})
    record(broken, ("evaluate", "evaluations"), [{text: text}])
    write(place / "page.yaml", json.dumps({"source": text, "rows": {f"0{text}": {text: 70.7}}}))
    return page(compare_runs([place], place / "page.yaml"), place / "page.html")


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "<!--<script>",
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;b&gt;\u202e",
    ],
)
def test_page_of_hostile_runs_has_the_elements_of_other_pages(text: str, tmp_path: Path) -> None:
    usual = parse(page_of_runs(tmp_path / "usual", "plain", ["one", "two"]))
    values = [text, 1e308, -0.0, 10**30, None]
    hostile = parse(page_of_runs(tmp_path / "hostile", text, values))
    elements = {(one.tag, *one.attributes) for one in hostile.all()}
    assert elements <= {(one.tag, *one.attributes) for one in usual.all()}
    assert not [*hostile.all("script")]
    links = [one.attributes["href"] for one in hostile.all("a")]
    assert links
    assert all(link.startswith(("./", "#")) for link in links)
    assert "0" + printable(text) in hostile.one("tbody").text
