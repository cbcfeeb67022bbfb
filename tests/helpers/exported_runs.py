"""Run folders with only a model, and photos for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import ExifTags, Image
from torch.nn.functional import normalize

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import Calibration, Classifier, RunModel
from latte.interfaces.record import DataFacts, EvaluateFacts, Source, StageRecord
from latte.models.adapted import Adapted, Member
from latte.models.saved_model import save_adapted
from latte.results.folder import RunFolder
from latte.results.stages import STAGES
from tests.helpers.clip_models import build_clip

NAMES = ("tabby cat", 'a "quoted" owl', "red fox", "Übel")

TWO_EACH = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
UNEVEN = torch.tensor([3, 0, 1, 1, 2, 1])


def adapted(
    configs: Mapping[str, Mapping[str, Any]],
    owners: torch.Tensor = TWO_EACH,
    seed: int = 0,
    biased: bool = False,
) -> Adapted:
    """Build a model per name, with random weights and random prototypes of `owners`.

    Prototypes have unit length, or any length and a bias if `biased`.
    """
    return Adapted(
        NAMES,
        tuple(
            Member(
                name, build_clip(dict(config), seed + number), _classifier(config, owners, biased)
            )
            for number, (name, config) in enumerate(configs.items())
        ),
    )


def write_run(folder: Path, model: Adapted, scale: float | None = None) -> Path:
    """Write a run folder with `model`; with `scale`, it is calibrated."""
    run = RunFolder(folder)
    folder.mkdir(parents=True)
    run.recipe.write_text("dataset: {}\n")
    save_adapted(run.adapted_model, model)
    run.results.begin(Source(recipe=str(run.recipe), values={"dataset": {}}))
    for stage in STAGES[:-1]:
        calibration = Calibration(scale, model.logit_scale, 0.5, 100) if scale else None
        models = (
            RunModel("zero-shot", "zero-shot"),
            RunModel("adapted", "adapted", calibration=calibration),
        )
        facts = {
            "data": DataFacts(class_names=model.class_names),
            "evaluate": EvaluateFacts(models=models),
        }
        run.results.finish(stage, StageRecord(fingerprint="", seconds=0.0), facts.get(stage))
    return folder


def backbone(model: Adapted, number: int = 0) -> OpenClipBackbone:
    """Return the backbone of a member."""
    member = model.backbones[number]
    assert isinstance(member, OpenClipBackbone)
    return member


def photos(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    """Write lossless noise images of these widths and heights."""
    random = numpy.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (width, height) in enumerate(sizes):
        values = random.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
        paths.append(folder / f"{number:03}.png")
        Image.fromarray(values).save(paths[-1])
    return paths


ODD_PHOTOS = ("rotated", "16-bit")
"""Photos that `Image.open` alone does not read as latte does."""


def odd_photo(path: Path, kind: str) -> None:
    """Write one of `ODD_PHOTOS`; the content, not the suffix, says the format."""
    ramp = numpy.linspace(0, 60_000, 64 * 48).reshape(48, 64)
    if kind == "16-bit":
        Image.fromarray(ramp.astype(numpy.uint16)).save(path, format="PNG")
        return
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray((ramp / 257).astype(numpy.uint8)).convert("RGB").save(
        path, format="PNG", exif=exif
    )


def _classifier(config: Mapping[str, Any], owners: torch.Tensor, biased: bool) -> Classifier:
    generator = torch.Generator().manual_seed(len(owners))
    rows = torch.randn(len(owners), config["embed_dim"], generator=generator)
    if biased:
        return Classifier(rows, owners.clone(), torch.randn(len(owners), generator=generator))
    return Classifier(normalize(rows, dim=1), owners.clone())
