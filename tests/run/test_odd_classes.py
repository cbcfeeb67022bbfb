"""Odd class lists: several names or templates per class, equal classes, empty classes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from latte.interfaces import LatteError
from latte.models.zero_shot import ZeroShot, load_zero_shot, zero_shot_labels
from tests.helpers.records import accuracies, recorded
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

TEMPLATES = 'dataset.template=["a photo of a {class}.", "a {class} square."]'


def zero_shot(folder: Path) -> ZeroShot:
    return load_zero_shot(folder / "zero_shot.safetensors")


def test_several_templates_are_one_classifier_for_every_stage(recipe: Path) -> None:
    photo_folder, _, _ = run(recipe, "dataset.template=a photo of a {class}.", until="zero-shot")
    square_folder, _, _ = run(recipe, "dataset.template=a {class} square.", until="zero-shot")
    combined_folder, results, _ = run(recipe, TEMPLATES)
    mean = zero_shot(photo_folder).class_features + zero_shot(square_folder).class_features
    combined = zero_shot(combined_folder)
    torch.testing.assert_close(combined.class_features, normalize(mean, dim=1), atol=1e-6, rtol=0)
    assert results is not None
    assert next(iter(accuracies(results))) == "zero-shot"
    # What is written where no text was wanted from a describer is the first template's.
    assert '"a photo of a {class}."' in (combined_folder / "recipe.yaml").read_text()


def test_an_alias_names_its_class_in_the_evaluation_folders(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "test" / "red").rename(tmp_path / "test" / "Scarlet")
    folder, results, _ = run(recipe, 'dataset.classes=["red | scarlet", "green", "blue"]')
    assert results is not None
    assert results.record.data.class_names == ("red", "green", "blue")
    assert [
        class_accuracy.images for class_accuracy in accuracies(results)["zero-shot"].classes
    ] == [3, 3, 3]
    with (folder / "predictions.csv").open() as file:
        assert {row["class_1"] for row in csv.DictReader(file)} <= {"red", "green", "blue"}


def test_aliases_and_templates_change_what_the_images_stand_for(recipe: Path) -> None:
    prints = [
        recorded(run(recipe, *sets, until="data")[0], "stages", "data")
        for sets in ((), (TEMPLATES,), ('dataset.classes=["red | ruby", "green", "blue"]',))
    ]
    assert len({stage_record["fingerprint"] for stage_record in prints}) == 3


def test_classes_with_equal_text_features_are_a_warning(recipe: Path) -> None:
    _, _, progress = run(
        recipe, 'dataset.classes=["red", "green", "blue", "Red"]', until="zero-shot"
    )
    assert any("'Red' is the same as 'red'" in line for line in progress.lines)
    _, _, quiet = run(recipe, until="zero-shot")
    assert not any("is the same as" in line for line in quiet.lines)


def test_classes_without_images_and_of_one_image_break_nothing(recipe: Path) -> None:
    names = ", ".join(f'"thing {number}"' for number in range(20))
    classes = f'dataset.classes=["red", "green", "blue", {names}]'
    _, results, _ = run(recipe, classes, "descriptions.2.size=16")
    assert results is not None
    evaluated = accuracies(results)["adapted"]
    assert [class_accuracy.images for class_accuracy in evaluated.classes] == [3, 3, 3] + [0] * 20
    shares = [
        class_accuracy.correct / class_accuracy.images for class_accuracy in evaluated.classes[:3]
    ]
    assert evaluated.mean_per_class == pytest.approx(sum(shares) / 3)


def test_one_class_is_refused(recipe: Path) -> None:
    with pytest.raises(LatteError, match="at least 2 are needed"):
        run(recipe, 'dataset.classes=["red"]')


def test_labels_do_not_depend_on_how_many_images_a_block_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, classes = torch.randn(50, 8), torch.randn(7, 8)
    unblocked_labels = zero_shot_labels(images, classes)
    monkeypatch.setattr("latte.toolkit.blocks.BLOCK_ENTRIES", 3 * 7)
    assert torch.equal(zero_shot_labels(images, classes), unblocked_labels)
