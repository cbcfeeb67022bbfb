"""Parts of the comparison page beside its tables: overview, links, curves, classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from latte.io.redaction import printable
from latte.report.comparison.comparison import compare_runs
from latte.report.comparison.page import overview, page, report_link
from latte.report.comparison.panels import COLOURS, differences, training_curves
from latte.report.comparison.rows import Row
from tests.helpers.comparison_folders import run_folder, write
from tests.helpers.html_document import parse

METHODS = ("near", "far")


def runs(path: Path, *changes: dict[str, Any]) -> tuple[Row, ...]:
    """Return the rows of a comparison of runs with these arguments."""
    for number, arguments in enumerate(changes):
        run_folder(path / f"{number}", **arguments)
    return compare_runs([path]).rows


def with_classes(folder: Path, before: list[int], after: list[int], names: list[str]) -> None:
    """Give each class 10 evaluation images, of which `before` and `after` are right."""
    scores = json.loads((folder / "evaluation.json").read_text())
    for score, right in zip(scores, (before, after), strict=True):
        score["classes"] = [{"correct": one, "images": 10} for one in right]
        score["images"] = 10 * len(right)
    write(folder / "evaluation.json", json.dumps(scores))
    listed = folder / "data" / "evaluation.jsonl"
    lines = listed.read_text().splitlines(keepends=True)
    write(listed, "".join(lines[: 10 * len(before)]))
    about = json.dumps({"class_names": names, "learners": ["main"]})
    save_file({"x": torch.zeros(1)}, folder / "prototypes.safetensors", {"latte": about})


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


def metrics(folder: Path, *losses: float) -> None:
    lines = [
        json.dumps({"event": "step", "step": step, "epoch": 0, "loss": loss})
        for step, loss in enumerate(losses, start=1)
    ]
    write(folder / "metrics.jsonl", "".join(f"{line}\n" for line in lines))


def test_each_run_is_a_line_and_seeds_share_a_colour(tmp_path: Path) -> None:
    for number in range(3):
        settings = {"seed": number % 2, "name": METHODS[number // 2]}
        metrics(run_folder(tmp_path / f"{number}", settings=settings), 3.0, 2.0, 1.0 + number)
    found = training_curves(compare_runs([tmp_path]).rows)
    assert found is not None
    assert [name for _, name in found["legend"]] == ["far", "near"]
    ((title, chart),) = found["charts"]
    assert title == "Loss"
    lines = [one.attributes["class"] for one in parse(str(chart)).all("polyline")]
    assert lines == ["line line-1", "line line-2", "line line-2"]


def test_of_many_methods_the_best_are_drawn(tmp_path: Path) -> None:
    for number in range(COLOURS + 2):
        settings = {"name": f"method {number}"}
        folder = run_folder(tmp_path / f"{number}", right=(600, 610 + number), settings=settings)
        metrics(folder, 2.0, 1.0)
    found = training_curves(compare_runs([tmp_path]).rows)
    assert found is not None
    assert found["left_out"] == 2
    assert [name for _, name in found["legend"]] == [f"method {one}" for one in range(2, 8)]


def test_runs_without_steps_have_no_curves(tmp_path: Path) -> None:
    assert training_curves(runs(tmp_path, {})) is None


def test_damaged_metrics_cost_their_line_alone(tmp_path: Path) -> None:
    write(run_folder(tmp_path / "0") / "metrics.jsonl", "{broken\n")
    assert training_curves(compare_runs([tmp_path]).rows) is None


def test_the_two_best_methods_are_compared_class_by_class(tmp_path: Path) -> None:
    names = ["cat", "</script><script>alert(1)</script>", "owl"]
    for number, (right, after) in enumerate((((600, 640), [5, 5, 5]), ((600, 690), [9, 4, 5]))):
        folder = run_folder(tmp_path / f"{number}", right=right, settings={"name": METHODS[number]})
        with_classes(folder, [2, 2, 2], after, names)
    rows = compare_runs([tmp_path]).rows
    found = differences(rows)
    assert found is not None
    assert found["choices"] == ["zero-shot", "far", "near"]
    assert (found["first"], found["second"]) == (2, 1)
    assert [(one.name, one.before, one.after, one.points) for one in found["lines"]] == [
        ("cat", "50", "90", "+40"),
        ("owl", "50", "50", "0"),
        (names[1], "50", "40", "−10"),
    ]
    html = page(compare_runs([tmp_path]))
    data = next(one for one in parse(html).all("script") if one.attributes)
    assert json.loads(data.text)["names"] == names
    assert "<script>alert" not in html


def test_classes_of_seeds_are_averaged(tmp_path: Path) -> None:
    for seed, after in enumerate(([4, 8], [6, 10])):
        folder = run_folder(tmp_path / f"{seed}", settings={"seed": seed})
        with_classes(folder, [5, 5], after, ["cat", "owl"])
    found = differences(compare_runs([tmp_path]).rows)
    assert found is not None
    assert found["data"]["choices"][1] == [0.5, 0.9]
    assert (found["first"], found["second"]) == (0, 1)


def test_without_labels_classes_are_not_compared(tmp_path: Path) -> None:
    assert differences(runs(tmp_path, {"right": None})) is None


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
        with_classes(folder, [2, 2, 2], [9, 4, 4 + number], ["cat", text, "owl"])
        metrics(folder, 3.0, 2.0, 1.0 + number)
        row = {"event": "step", "step": 4, "epoch": 0, "loss": 0.5, text: 1.0, f"loss/{text}": 1.0}
        write(folder / "metrics.jsonl", json.dumps(row) + "\n" + json.dumps({**row, "step": 5}))
        write(folder / "environment.json", json.dumps({"latte": text, "plugins": {text: text}}))
        write(folder / "report" / "index.html", "x")
        verdict = {"strength": 1.0, "reason": text, "signals": {text: 0.1}}
        write(folder / "verdict.json", json.dumps(verdict))
    broken = run_folder(place / f"broken{text}".replace("/", "_"), settings={"name": text})
    write(broken / "evaluation.json", json.dumps([{text: text}]))
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
    assert len([*hostile.all("script")]) == len([*usual.all("script")]) == 2
    links = [one.attributes["href"] for one in hostile.all("a")]
    assert links
    assert all(link.startswith(("./", "#")) for link in links)
    assert "0" + printable(text) in hostile.one("tbody").text
    json.loads(hostile.one("script").text)
