"""The recipe `latteclip-choices` trains with the answers of a describer that knows colours."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from latte.interfaces import Choice, ChoiceRequest, Describer, DescribeRequest, NoOptions
from latte.recipe.load import load_recipe
from latte.recipe.shipped import shipped_path
from latte.registry.spec import ComponentSpec
from latte.run.runner import run_recipe
from tests.helpers.recipes import registry_with
from tests.helpers.recorded import RecordedProgress, write_colour_images

NAMES = ("red", "lime", "blue")

pytestmark = pytest.mark.thorough


class Knowing(Describer[NoOptions]):
    """Chooses the colour that most of an image has; "none of these" if it is no option."""

    fingerprint = "knowing-1"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [""] * len(requests)

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        return [self._choice(request) for request in requests]

    def _choice(self, request: ChoiceRequest) -> Choice:
        means = request.images[0].open().resize((1, 1)).getpixel((0, 0))
        assert isinstance(means, tuple)
        colour = NAMES[means.index(max(means))]
        shown = (*request.options, colour)
        return request.choice([float(index == shown.index(colour)) for index in range(len(shown))])


def test_answers_label_the_images_of_a_run_that_trains(
    tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_colour_images(tmp_path / "images", NAMES, 12, (40, 36))
    (tmp_path / "classes.txt").write_text("\n".join(NAMES))
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMAGES", str(tmp_path / "images"))
    monkeypatch.setenv("CLASSES", str(tmp_path / "classes.txt"))
    spec = ComponentSpec("describer", "knowing", f"{__name__}:Knowing", "for tests")
    registry = registry_with(spec)
    path = shipped_path("latteclip-choices")
    assert path is not None
    changes = [
        f'backbone={{model: "local-dir:{tiny_clip_folder}"}}',
        *("describer=knowing", "budget=60", "device=cpu"),
    ]
    recipe = load_recipe(path, registry, changes)
    results = run_recipe(recipe, registry, RecordedProgress(), output=tmp_path / "runs")
    assert results is not None
    kept_counts = {counts.purpose: counts.kept for counts in results.record.train.questions}
    assert kept_counts["controls"] == 8
    assert kept_counts["images"] > 0
    with (results.folder / "pseudo_labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    right = {
        column: sum(Path(row["image"]).parent.name == row[column] for row in rows)
        for column in ("zero_shot", "adapted")
    }
    assert right["zero_shot"] < 30 < right["adapted"]
    steps = [line for line in (results.folder / "metrics.jsonl").open() if '"loss"' in line]
    assert len(steps) == 20
