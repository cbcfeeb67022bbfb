"""Parts of the comparison page beside its tables: overview and links; hostile runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_pages import parse
from benchmark_runs import record, run_folder, write
from latte_benchmarks.comparison import compare_folders
from latte_benchmarks.page import as_page, report_link
from latte_benchmarks.published import read_published


def test_one_dataset_needs_no_overview(tmp_path: Path) -> None:
    run_folder(tmp_path / "0")
    run_folder(tmp_path / "1", right=None)
    assert "overview" not in as_page(compare_folders([tmp_path]))


def test_the_page_says_what_is_not_in_the_table(tmp_path: Path) -> None:
    run_folder(tmp_path / "good")
    run_folder(tmp_path / "bad", stages=())
    notes = parse(as_page(compare_folders([tmp_path]))).by_id("notes").words
    assert f"{tmp_path / 'bad'} : this run is not finished" in notes


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
    document = parse(as_page(compare_folders([tmp_path]), tmp_path / "page.html"))
    (link,) = [link.attributes["href"] for link in document.all("tbody")[0].all("a")]
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
        record(folder, ("judge", "verdict"), verdict)
    broken = run_folder(place / f"broken{text}".replace("/", "_"), settings={"name": text})
    record(broken, ("evaluate", "models"), [{text: text}])
    write(place / "page.yaml", json.dumps({"source": text, "rows": {f"0{text}": {text: 70.7}}}))
    comparison = compare_folders([place], read_published(place / "page.yaml"))
    return as_page(comparison, place / "page.html")


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
    elements = {(element.tag, *element.attributes) for element in hostile.inner}
    assert elements <= {(element.tag, *element.attributes) for element in usual.inner}
    assert not hostile.all("script")
    links = [link.attributes["href"] for link in hostile.all("a")]
    assert links
    assert all(link.startswith(("./", "#")) for link in links)
    assert f"0{text}" in " ".join(hostile.all("tbody")[0].texts)
