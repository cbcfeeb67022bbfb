"""The pages in a real browser: no request, no error, readable and usable by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_author.testing.fixtures import unit_rows
from latte_benchmarks.comparison import compare_folders
from latte_benchmarks.page import as_page

from latte.interfaces import (
    ClassifiedImage,
    Classifier,
    Confusion,
    Described,
    ImageReference,
    Interval,
    LabelFlow,
    LearnerPrototypes,
    RunResults,
    Verdict,
)
from latte.report.page.page import run_page as report_page
from tests.helpers.chromium import NEEDS_BROWSER, Page, chromium
from tests.helpers.made_up_runs import run_folder, write
from tests.helpers.report_examples import changed, run_model, run_results

pytestmark = NEEDS_BROWSER

HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</style></script><img src=https://example.org/x.png onerror='window.hacked = 1'>",
    "javascript:window.hacked=1",
    "\"'><svg onload=window.hacked=1>",
    "\u202eright to left\u202c مرحبا",
    "W" * 300,
)

OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"

# WCAG 2.2, 1.4.3: contrast of each text with what is painted behind it.
FAINT_TEXTS = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => value / 255)
      .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = numbers(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return numbers(getComputedStyle(document.body).backgroundColor);
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest("script, style, title, noscript, option")) continue;
    const style = getComputedStyle(element);
    const inPicture = element.namespaceURI.endsWith("svg");
    const own = numbers(inPicture ? style.fill : style.color);
    const colours = [light(own), light(behind(element))];
    const ratio = (Math.max(...colours) + 0.05) / (Math.min(...colours) + 0.05);
    const text = texts.currentNode.data.trim().slice(0, 40);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${text}`);
  }
  return faint;
})()
"""

OPEN_ALL = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def many_classes(folder: Path, classes: int) -> RunResults:
    """Return a run with flows, confusions and a moved prototype of each class."""
    results = run_results(folder)
    names = tuple(f"{HOSTILE[label % 6]} {label}" for label in range(classes))
    images = (20,) * classes
    zero_shot = run_model("zero-shot", (10,) * classes, images=images)
    adapted = run_model("adapted", (12,) * classes, Interval(0.1, 0.05, 0.15), images)
    rows = tuple(
        Confusion(label, (label + step) % classes, 10 - step)
        for label in range(classes)
        for step in (0, 1, 3)
    )
    weights = unit_rows(classes, width=32, seed=1)
    moved = torch.nn.functional.normalize(weights + 0.4 * unit_rows(classes, width=32, seed=2))
    owners = torch.arange(classes)
    described = {HOSTILE[0]: Described(" ".join(HOSTILE))}
    return changed(
        results,
        name=HOSTILE[1],
        class_names=names,
        models=(zero_shot, adapted),
        confusions={"zero-shot": rows, "adapted": rows},
        label_flows=tuple(
            LabelFlow(label, (label + 3) % classes, 9 - label % 7) for label in range(classes)
        ),
        prototypes=(
            LearnerPrototypes("main", Classifier(weights, owners), Classifier(moved, owners)),
        ),
        pseudo_label_counts=((5, 6),) * classes,
        gallery=tuple(replace(image, descriptions=described) for image in results.gallery),
    )


def without_labels(folder: Path) -> RunResults:
    """Return a run without any true label."""
    results = run_results(folder)
    gallery = tuple(replace(image, true_label=None) for image in results.gallery)
    steps = tuple(row for row in results.metrics if row["event"] == "step")
    return changed(results, models=(), confusions={}, gallery=gallery, metrics=steps)


def report(folder: Path, kind: str) -> Path:
    """Write a page with this number of classes, or of a run without labels for `none`."""
    results = without_labels(folder) if kind == "none" else many_classes(folder, int(kind))
    path = folder / "index.html"
    path.write_text(report_page(results), encoding="utf-8")
    return path


def comparison(folder: Path) -> Path:
    """Write a page of two methods with hostile names, one with two seeds."""
    for number, (name, seed, right) in enumerate(
        (("a", 0, 640), ("a", 1, 650), (HOSTILE[0], 0, 690))
    ):
        settings = {"name": name, "seed": seed}
        run = run_folder(folder / "runs" / f"{number}", right=(600, right), settings=settings)
        write(run / "report" / "index.html", "<!doctype html>")
    path = folder / "compare.html"
    path.write_text(as_page(compare_folders([folder / "runs"]), path), encoding="utf-8")
    return path


def mistakes(folder: Path) -> Path:
    """Write a page with mistakes and uncertain images whose file and class names are hostile."""
    results = run_results(folder)
    images = [
        ClassifiedImage(
            ImageReference(name, results.gallery[label % 3].image.path),
            (label, 0),
            (0.9, 0.1),
            1,
            2,
        )
        for label, name in enumerate(HOSTILE)
    ]
    unknown = tuple(replace(image, true_label=None) for image in images)
    unlabelled = changed(
        results,
        name=HOSTILE[1],
        class_names=HOSTILE,
        models=(),
        label_flows=(),
        pseudo_label_counts=((5, 6),) * len(HOSTILE),
        mistakes=tuple(images),
        uncertain=unknown,
    )
    path = folder / "index.html"
    path.write_text(report_page(unlabelled), encoding="utf-8")
    return path


@pytest.fixture(params=["10", "100", "1000", "none", "comparison", "mistakes"])
def page_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_page = {"comparison": comparison, "mistakes": mistakes}.get(request.param)
    return write_page(tmp_path) if write_page else report(tmp_path, request.param)


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_has_no_requests_errors_overflow_or_faint_text(
    browser: Page, page_file: Path, width: int, dark: bool
) -> None:
    browser.show(width, dark=dark)
    browser.open(page_file)
    browser.evaluate(OPEN_ALL)
    assert browser.evaluate(OVERFLOW) == 0
    assert browser.evaluate(FAINT_TEXTS) == []
    assert browser.evaluate("typeof window.hacked") == "undefined"
    assert browser.requests() == []
    assert browser.complaints() == []


def test_checks_fail_on_a_bad_page(browser: Page, tmp_path: Path) -> None:
    """A page that breaks every rule above fails every check."""
    path = tmp_path / "bad.html"
    path.write_text(
        "<!doctype html><body style='background:#fff'><p style='color:#bbb;width:2000px'>faint</p>"
        "<img src='missing.png'><script>window.hacked = 1; throw new Error('x')</script>"
    )
    browser.show(1280)
    browser.open(path)
    assert browser.evaluate(OVERFLOW) > 0
    assert browser.evaluate(FAINT_TEXTS) == ["1.92: faint"]
    assert browser.requests()
    assert browser.complaints()


@pytest.mark.parametrize("width", [390, 1280])
def test_first_photo_of_a_run_without_labels_is_on_the_first_screen(
    browser: Page, tmp_path: Path, width: int
) -> None:
    results = without_labels(tmp_path)
    (image, *_) = (entry.image for entry in results.gallery)
    examples = tuple(
        ClassifiedImage(image, (label,), (0.9,), 0, None) for label in (0, 1, 2) for _ in range(12)
    )
    verdict = Verdict(0.4, "the texts and the groups of images agree")
    path = tmp_path / "index.html"
    path.write_text(
        report_page(changed(results, examples=examples, verdict=verdict)), encoding="utf-8"
    )
    browser.show(width)
    browser.open(path)
    bottom = "document.querySelector('img').getBoundingClientRect().bottom"
    assert browser.evaluate(bottom) <= 800


@pytest.mark.parametrize("width", [1100, 1280])
def test_changes_of_a_hundred_points_are_not_clipped(
    browser: Page, tmp_path: Path, width: int
) -> None:
    zero_shot = run_model("zero-shot", (0, 120, 80))
    adapted = run_model("adapted", (200, 0, 80), Interval(0.2, 0.1, 0.3))
    path = tmp_path / "index.html"
    results = run_results(tmp_path, models=(zero_shot, adapted), class_names=("W" * 90, "b", "c"))
    path.write_text(report_page(results), encoding="utf-8")
    browser.show(width)
    browser.open(path)
    browser.evaluate(OPEN_ALL)
    places = "[...document.querySelectorAll('#classes .columns .scroll')]"
    assert browser.evaluate(f"{places}.length") == 2
    assert browser.evaluate(f"{places}.every((one) => one.scrollWidth <= one.clientWidth)")


SHOWN = "[...document.querySelectorAll('#cards > li')].filter((one) => !one.hidden).length"


def typed(selector: str, value: str) -> str:
    """Return a script that types or chooses a value."""
    return (
        f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
        f" one.value = {json.dumps(value)};"
        " one.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def test_the_gallery_is_searched_by_text_class_and_change(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(report_page(run_results(tmp_path)), encoding="utf-8")
    browser.show(1280)
    browser.open(path)
    assert browser.evaluate(SHOWN) == 3
    browser.evaluate(typed("#gallery-filter", "SNOW fox"))
    assert browser.evaluate(SHOWN) == 1
    assert browser.evaluate("document.querySelector('#gallery output').textContent") == "1 of 3"
    browser.evaluate(typed("#gallery-filter", ""))
    browser.evaluate(typed("#gallery-class", "0"))
    assert browser.evaluate(SHOWN) == 2
    browser.evaluate("document.querySelector('#gallery-changed').click()")
    assert browser.evaluate(SHOWN) == 1
    browser.evaluate(typed("#gallery-class", "2"))
    assert browser.evaluate(SHOWN) == 0


def test_every_control_can_be_reached_with_the_keyboard(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "index.html"
    path.write_text(report_page(run_results(tmp_path)), encoding="utf-8")
    browser.show(1280)
    browser.open(path)
    browser.evaluate(OPEN_ALL)
    focused = "document.activeElement.id || document.activeElement.className"
    reached = []
    for _ in range(100):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.evaluate(focused))
        if {"gallery-changed", "scroll"} <= set(reached):
            break
    assert reached[0] == "skip"
    assert {"gallery-filter", "gallery-class", "gallery-changed"} <= set(reached)
    assert "scroll" in reached


def test_a_page_prints_without_its_controls(browser: Page, tmp_path: Path) -> None:
    path = report(tmp_path, "10")
    browser.show(1280)
    browser.open(path)
    browser.call("Emulation.setEmulatedMedia", media="print")
    hidden = "[...document.querySelectorAll('nav, .filter')].every((one) => !one.checkVisibility())"
    assert browser.evaluate(hidden)
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True)
    browser.call("Emulation.setEmulatedMedia", media="")
    assert len(printed["data"]) > 10_000
