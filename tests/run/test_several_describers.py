"""Runs with several describers, prompts and samples, and with fewer groups."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from latte.interfaces import LatteError
from latte.recipe.load import load_recipe
from latte.run.describing import describe
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import find_images
from latte.run.workspace import Workspace, run_folder
from latte.run.zero_shot import compute_zero_shot
from tests.helpers.echo_describer import Echo, echo_registry, run_with_echo
from tests.helpers.fingerprints import fingerprints_of
from tests.helpers.recorded import RecordedProgress
from tests.helpers.records import recorded
from tests.helpers.whole_runs import assert_same_results

pytestmark = pytest.mark.thorough

TWO = """\
describers: [{use: echo, word: small}, {use: echo, name: big, word: large, varied: true}]
descriptions:
  - class
  - {use: image, IMAGE}
  - {use: group, size: 2, by: big, GROUP}
"""
ONE = """\
describer: phrases
descriptions:
  - class
  - image
  - {use: group, size: 2}
"""


def with_two(recipe: Path, image: str = "prompt: one", group: str = "prompt: many") -> Path:
    text = recipe.read_text()
    assert ONE in text or "describers:" in text
    recipe_start, _, recipe_end = text.partition("describer")
    recipe_end = recipe_end[recipe_end.index("labels:") :]
    recipe.write_text(
        recipe_start + TWO.replace("IMAGE", image).replace("GROUP", group) + recipe_end
    )
    return recipe


def written(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "descriptions.jsonl").read_text().splitlines()
    return [json.loads(line)["descriptions"] for line in lines]


def test_one_describes_images_and_another_groups_each_closed_before_the_next(recipe: Path) -> None:
    folder, progress = run_with_echo(with_two(recipe))
    kinds = [entry.rsplit(" ", 1)[0] for entry in Echo.log if not entry.startswith("close")]
    assert [*dict.fromkeys(kinds)] == ["small", "large"]
    assert Echo.log.index("close small") < Echo.log.index("large 12")
    assert Echo.log[-1] == "close large"
    for entry in written(folder):
        assert entry["image"]["text"].startswith("small one ")
        assert entry["group"]["text"].startswith("large many ")
    assert "describer echo: image" in progress.lines
    assert "describer big: group" in progress.lines
    card = (folder / "models/adapted/model" / "README.md").read_text()
    (describers,) = [line for line in card.splitlines() if line.startswith("- Describers:")]
    assert "(big)" in describers.replace("\\", "")
    assert "group by big" in card
    assert "and texts about the images" in card
    assert {"latte-test"} <= {*recorded(folder, "environment", "plugins")}


def test_a_describer_that_fails_is_closed_and_so_is_the_one_that_waits(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Echo, requests: object) -> list[str]:
        raise LatteError("out of order")

    monkeypatch.setattr(Echo, "describe", broken)
    with pytest.raises(LatteError, match="out of order"):
        run_with_echo(with_two(recipe))
    assert sorted(Echo.log) == ["close large", "close small"]


def test_samples_and_prompts_are_all_kept_and_shown(recipe: Path) -> None:
    with_two(recipe, "prompt: [one, other]", "prompt: many, samples: 3")
    folder, _ = run_with_echo(recipe)
    page = (folder / "report" / "index.html").read_text()
    for entry in written(folder):
        assert [text.split()[1] for text in entry["image"]["texts"]] == ["one", "other"]
        assert [text.split()[-1] for text in entry["group"]["texts"]] == ["0", "1", "2"]
        assert all(text in page for text in entry["image"]["texts"] + entry["group"]["texts"])


def test_samples_of_a_describer_that_never_varies_stop_before_anybody_is_asked(
    recipe: Path,
) -> None:
    with pytest.raises(LatteError, match="wants 2 samples"):
        run_with_echo(with_two(recipe, "samples: 2"))
    assert sorted(Echo.log) == ["close large", "close small"]


def test_a_run_with_several_texts_goes_on_after_a_stop_to_the_bit(
    recipe: Path, tmp_path: Path
) -> None:
    with_two(recipe, "prompt: [one, other], weight: 2.0", "samples: 2, groups_per_class: 2")
    stepwise, _ = run_with_echo(recipe, until="describe")
    asked_entries = [entry for entry in Echo.log if not entry.startswith("close")]
    assert sum(int(entry.split()[-1]) for entry in asked_entries) <= 12 * 2 + 3 * 2 * 2
    run_with_echo(recipe)
    assert Echo.log == [], "the texts are there"
    copy = tmp_path / "copy"
    stepwise.rename(copy)
    uninterrupted, _ = run_with_echo(recipe)
    assert_same_results(copy, uninterrupted)


@pytest.mark.parametrize(
    ("image", "group"),
    [
        ("prompt: [one]", "prompt: [many, more]"),
        ("prompt: one", "prompt: many, samples: 2"),
        ("prompt: one, by: big", "prompt: many"),
        ("prompt: one", "prompt: many, groups_per_class: 2"),
        ("prompt: one, weight: 3.0", "prompt: many"),
    ],
)
def test_changed_describer_options_repeat_the_stage(recipe: Path, image: str, group: str) -> None:
    registry = echo_registry()

    def fingerprint(*changes: str) -> str:
        loaded = load_recipe(with_two(recipe, *changes), registry)
        return fingerprints_of(loaded)["describe"]

    assert fingerprint() == fingerprint("prompt: one", "prompt: many")
    assert fingerprint(image, group) != fingerprint()


def test_frozen_features_of_several_texts_are_their_normalised_mean(recipe: Path) -> None:
    registry, progress = echo_registry(), RecordedProgress()
    loaded = load_recipe(with_two(recipe, "prompt: [one, other]", "samples: 3"), registry)
    workspace = Workspace(loaded, registry, progress, run_folder(loaded, None))
    images = find_images(workspace)
    described = describe(workspace, images, compute_zero_shot(workspace, images))
    assert described is not None
    bank, _ = described
    bank.save(workspace.folder.descriptions)
    texts = FrozenTexts(workspace, bank)
    for name, entries in (
        ("image", [entry["image"]["texts"] for entry in written(workspace.folder.path)]),
        ("group", [entry["group"]["texts"] for entry in written(workspace.folder.path)]),
    ):
        with torch.no_grad():
            encoded = [workspace.frozen_clip.encode_texts(entry_texts) for entry_texts in entries]
        expected = normalize(torch.stack([features.mean(dim=0) for features in encoded]), dim=1)
        torch.testing.assert_close(texts.named(name), expected)
        torch.testing.assert_close(texts.of(bank.zero_shot_labels)[name], expected)
