"""Loading code of reports: it runs, and gives the label that the run gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image
from torch import Tensor

from latte.backbone.open_clip import OpenClipBackbone
from latte.data.images import decode_image
from latte.interfaces import Classifier
from latte.models.adapted import Adapted, Member
from latte.models.saved_model import save_adapted
from latte.report.facts import loading_code
from latte.results.folder import RunFolder
from tests.helpers.exported_runs import ODD_PHOTOS, odd_photo

NAMES = ["tabby cat", 'a "quoted" owl', "red fox"]


def photo_feature(clip: Path, photo: Path) -> Tensor:
    """Return the CLIP's unit feature of the photo, (D,)."""
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{clip}")
    with torch.inference_mode(), Image.open(photo) as image:
        pixels = preprocess(image.convert("RGB")).unsqueeze(0)
        return model.eval().encode_image(pixels, normalize=True)[0].clone()


def classifier(feature: Tensor, likeness: dict[int, float]) -> Classifier:
    """Return two prototypes per class: the second with this cosine to `feature`, the first far."""
    alike = torch.tensor([likeness.get(label, 0.0) for label in range(len(NAMES))])
    weights = torch.cat([-feature.expand(len(NAMES), -1), alike[:, None] * feature])
    return Classifier(weights, torch.arange(len(NAMES)).repeat(2))


@pytest.mark.parametrize(
    ("likeness", "bias", "label"),
    [
        ({"main": {1: 0.9, 2: 0.5}}, None, 1),
        ({"main": {1: 0.9, 2: 0.5}}, torch.tensor([0, 0, 0, 0, 0, 0.5]), 2),
        ({"text": {0: 0.6, 2: 0.5}, "visual": {1: 0.6, 2: 0.5}}, None, 2),
        (
            {"text": {0: 0.6, 2: 0.5}, "visual": {1: 0.6, 2: 0.5}},
            torch.tensor([0, 0, 0, 0, 0.5, 0]),
            1,
        ),
    ],
)
def test_the_printed_code_classifies_a_photo(
    likeness: dict[str, dict[int, float]],
    bias: Tensor | None,
    label: int,
    tiny_clip_folder: Path,
    tiny_backbone: OpenClipBackbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, has_several = tmp_path / "animals-1a2b", len(likeness) > 1
    Image.new("RGB", (50, 40), "orange").save(tmp_path / "photo.jpg")
    feature = photo_feature(tiny_clip_folder, tmp_path / "photo.jpg")
    members = tuple(
        Member(
            name,
            tiny_backbone,
            replace(classifier(feature, alike), bias=None if bias is None else bias.clone()),
        )
        for name, alike in likeness.items()
    )
    save_adapted(RunFolder(run).adapted_model, Adapted(tuple(NAMES), members))
    recipe = {"learners": [{"name": name} for name in likeness]} if has_several else {}

    monkeypatch.chdir(tmp_path)
    exec(compile(loading_code(run, recipe), "printed code", "exec"), {})
    assert capsys.readouterr().out == NAMES[label] + "\n"


@pytest.mark.parametrize("kind", ODD_PHOTOS)
def test_the_printed_code_opens_a_photo_as_latte_does(
    kind: str,
    tiny_backbone: OpenClipBackbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, photo = tmp_path / "animals-1a2b", tmp_path / "photo.jpg"
    odd_photo(photo, kind)
    rows = classifier(torch.eye(16)[0], {})
    save_adapted(
        RunFolder(run).adapted_model, Adapted(tuple(NAMES), (Member("main", tiny_backbone, rows),))
    )

    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(compile(loading_code(run, {}), "printed code", "exec"), scope)
    assert scope["photo"].tobytes() == decode_image(photo.read_bytes()).tobytes()


def test_the_code_names_the_run_folder_but_not_its_path(tmp_path: Path) -> None:
    code = loading_code(tmp_path / 'it\'s "mine"\n', {})
    assert str(tmp_path) not in code
    compile(code, "printed code", "exec")
