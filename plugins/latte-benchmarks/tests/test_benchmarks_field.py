"""`latte field`: rows, summaries and files of the comparison of methods."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing import StubClip
from latte_benchmarks.feature_files import read_sets
from latte_benchmarks.field_methods import About, all_methods, chosen_methods
from latte_benchmarks.field_page import HTML_START, signed
from latte_benchmarks.field_rows import CELLS, FieldRow, TextCache, measured_rows
from latte_benchmarks.field_summary import lines_of, loses
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize

from latte.api import LatteError
from latte.api.output import make_progress

QUIET = make_progress(quiet=True)
ROW = FieldRow("birds", "all names", 0, "mine", 0, 100, 100, 50.0, 0.0, 0.0, 1.0, 3.0)


def feature_file(folder: Path, name: str, classes: int = 6, width: int = 16) -> Path:
    """Write loose clusters around class texts that are off, 30 images per class."""
    generator = torch.Generator().manual_seed(len(name))
    centres = torch.randn(classes, width, generator=generator)
    texts = normalize(centres + 1.5 * torch.randn(classes, width, generator=generator), dim=1)
    tensors = {"class_features": texts}
    for part in ("training", "evaluation"):
        labels = torch.arange(classes).repeat_interleave(30)
        noise = torch.randn(len(labels), width, generator=generator)
        tensors[part] = normalize(centres[labels] + 0.8 * noise, dim=1)
        tensors[f"{part}_labels"] = labels
    path = folder / f"{name}.safetensors"
    names = [f"{name} {number}" for number in range(classes)]
    save_file(tensors, path, {"classes": json.dumps(names), "logit_scale": "20"})
    return path


def rows_of(paths: Sequence[Path], methods: Sequence[str]) -> list[FieldRow]:
    clip = TextCache(StubClip())
    compared_methods = chosen_methods(methods, (), QUIET)
    return [
        *measured_rows(read_sets(paths, clip.backbone, QUIET), compared_methods, 1, clip, QUIET)
    ]


def test_rows_have_all_cells_and_answers_only_for_methods_that_take_them(tmp_path: Path) -> None:
    paths = [feature_file(tmp_path, "birds"), feature_file(tmp_path, "cats")]
    rows = rows_of(paths, ["stata", "otter"])
    assert {(row.set, row.cell) for row in rows} == {
        (name, cell) for name in ("birds", "cats") for cell in CELLS
    }
    taught = [row for row in rows if row.answers]
    assert {row.method for row in taught} == {"zero-shot", "stata"}
    assert {row.counted for row in taught} == {180 - 6 * 5}
    foreign = [row for row in rows if row.cell == "30 % of no class"]
    assert {row.images - row.counted for row in foreign} == {77}
    for row in rows:
        if row.method == "zero-shot":
            assert (row.own, row.unseen) == (0, 0)
    balanced = {row.method: row.own for row in rows if row.cell == "all names" and not row.answers}
    assert balanced["stata"] > 0


def test_single_set_has_no_foreign_images(tmp_path: Path) -> None:
    rows = rows_of([feature_file(tmp_path, "birds")], ["frolic-bias"])
    assert {row.cell for row in rows} == {*CELLS} - {"30 % of no class"}


def test_texts_are_encoded_once_and_outside_the_measured_time(tmp_path: Path) -> None:
    calls: list[int] = []

    class Counted(StubClip):
        def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
            calls.append(len(texts))
            return super().encode_texts(texts)

    clip = TextCache(Counted())
    sets = read_sets([feature_file(tmp_path, "birds")], clip.backbone, QUIET)
    [*measured_rows(sets, chosen_methods(["waffle"], (), QUIET), 1, clip, QUIET)]
    assert calls == [30 * 6]


def test_summary_averages_cells_and_counts_losses() -> None:
    about = About(name="mine", title="Mine", sees="all", constants="none")
    rows = [
        replace(ROW, own=4.0),
        replace(ROW, own=-3.0, draw=1),
        replace(ROW, cell="50 images", own=-2.0, counted=50),
        replace(ROW, cell="50 images", own=-2.0, counted=100, draw=1, set="cats"),
        replace(ROW, answers=5, own=20.0, unseen=10.0),
    ]
    assert [loses(row) for row in rows] == [False, True, False, True, False]
    (line,) = lines_of(rows, [about])
    assert line.overall.mean == pytest.approx((0.5 - 2.0) / 2)
    assert (line.overall.worst, line.overall.losing) == (-3.0, 0.5)
    assert line.taught == (20.0, 10.0)
    assert line.cells[0] is not None and line.cells[0].mean == 0.5
    assert line.cells[1] is None
    assert line.interval.low <= line.interval.value <= line.interval.high


def test_folder_of_class_folders_is_half_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (20, 20 + number)).save(tmp_path / "pets" / name / f"{number}.png")
    (labelled,) = read_sets([tmp_path / "pets"], StubClip(), QUIET)
    assert labelled.names == ("cat", "dog")
    assert [part.labels.bincount().tolist() for part in (labelled.train, labelled.test)] == [
        [3, 3],
        [2, 2],
    ]


def test_command_writes_page_table_figure_and_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latte: Callable[..., Any]
) -> None:
    monkeypatch.setattr("latte_benchmarks.field.load_clip", lambda model: StubClip())
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "dataset: {use: folder, root: ., classes: [cat, dog]}\n"
        "backbone: {model: 'plugin:tiny'}\n"
        "labels: [otter]\nprototypes: from-labeler\ntrain: {max_steps: 0}\n",
        encoding="utf-8",
    )
    path = feature_file(tmp_path, "birds")
    command = (
        "field",
        path,
        "--methods",
        "zlap",
        "--recipe",
        "mine=mine.yaml",
        "--draws",
        "1",
        "-q",
    )
    assert "ZLaP" in latte(*command).out
    out = tmp_path / "field"
    page = (out / "field.html").read_text(encoding="utf-8")
    assert (
        page.startswith(HTML_START)
        and "<button" in page
        and "aria-sort" in page
        and ">mine<" in page
    )
    assert (out / "field.svg").read_text(encoding="utf-8").startswith("<svg xmlns=")
    assert r"\toprule" in (out / "field.tex").read_text(encoding="utf-8")
    assert "| ZLaP |" in (out / "field.md").read_text(encoding="utf-8")
    rows = [*csv.DictReader((out / "field.csv").open(encoding="utf-8"))]
    assert {row["method"] for row in rows} == {"zero-shot", "zlap", "mine"}
    (out / "field.html").write_text("my own page", encoding="utf-8")
    latte(*command, code=2)
    assert (out / "field.html").read_text(encoding="utf-8") == "my own page"


@pytest.mark.parametrize(
    ("change", "message"),
    [({"classes": "["}, "no file of features"), ({}, "width")],
)
def test_unusable_feature_files_are_named(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    path = feature_file(tmp_path, "birds", width=12)
    if change:
        save_file({"training": torch.zeros(1, 2)}, path, change)
    with pytest.raises(LatteError, match=message):
        read_sets([path], StubClip(), QUIET)


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match='Did you mean "stata"'):
        chosen_methods(["statta"], (), QUIET)
    with pytest.raises(LatteError, match="NAME=RECIPE"):
        chosen_methods([], ["zlap=mine.yaml"], QUIET)
    twice = [tmp_path / "a" / "birds", tmp_path / "b" / "birds"]
    with pytest.raises(LatteError, match="two sets"):
        read_sets(twice, StubClip(), QUIET)


def test_table_of_methods_is_complete() -> None:
    methods = all_methods()
    assert len(methods) >= 13
    assert [signed(value) for value in (-0.04, 1.25, None)] == ["+0.0", "+1.2", "–"]
    for about in methods:
        assert about.sees and about.constants
        assert (about.published is None) == (about.published_on == "")
