"""A backbone without an export raises an error that names what works instead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from packaging.version import Version
from torch import Tensor, nn

from latte.export.folder import Exported
from latte.export.hugging_face import export_transformers
from latte.export.onnx import export_onnx
from latte.interfaces import Classifier, LatteError
from latte.models.adapted import Adapted, Member
from tests.helpers.small_backbone import (
    WIDTH,
    ExportableBackbone,
    ImageTower,
    SmallBackbone,
    SmallModel,
)

pytestmark = pytest.mark.thorough

AS_ONNX = "export it to ONNX instead: latte export RUN --format onnx"
AS_TRANSFORMERS = "export it to transformers instead: latte export RUN --format transformers"
IN_PYTHON = 'in Python, latte.load("RUN"), and for files: latte predict RUN'


class OfTransformers(SmallBackbone):
    saves_transformers = True


class TwoImages(ImageTower):
    """Encodes images one by one, so that the traced batch size is a constant."""

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat([super(TwoImages, self).forward(image.unsqueeze(0)) for image in pixels])


class Branching(ImageTower):
    """Computes other features of bright images, with a branch that cannot be traced."""

    def forward(self, pixels: Tensor) -> Tensor:
        features = super().forward(pixels)
        return features if pixels.mean() > 0 else -features


class OneByOne(SmallBackbone):
    def image_tower(self) -> nn.Module:
        return TwoImages(self.model)


class Bright(SmallBackbone):
    def image_tower(self) -> nn.Module:
        return Branching(self.model)


def exported(backbone: type[SmallBackbone]) -> Exported:
    classifier = Classifier(torch.eye(2, WIDTH), torch.arange(2))
    member = Member("main", backbone(SmallModel()), classifier)
    return Exported("run", Adapted(("a", "b"), (member,)), None)


@pytest.mark.parametrize(
    ("export", "backbone", "name", "hint"),
    [
        (export_transformers, ExportableBackbone, "transformers", AS_ONNX),
        (export_transformers, SmallBackbone, "transformers", IN_PYTHON),
        (export_onnx, OfTransformers, "ONNX", AS_TRANSFORMERS),
        (export_onnx, SmallBackbone, "ONNX", IN_PYTHON),
    ],
)
def test_without_an_export_the_error_names_another_way(
    export: Callable[..., Path], backbone: type[SmallBackbone], name: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match=f"main has no export to {name}") as refused:
        export(exported(backbone), tmp_path / "out", replace=False)
    assert hint in (refused.value.hint or "")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(
    Version(torch.__version__) < Version("2.10"), reason="older torch exports no ONNX, see latte"
)
@pytest.mark.parametrize(
    ("backbone", "reason"),
    [(OneByOne, "its code depends on the batch size"), (Bright, "data-dependent expression")],
)
def test_an_image_tower_that_torch_cannot_convert_is_refused(
    backbone: type[SmallBackbone], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match=f"cannot convert the image tower to ONNX: .*{reason}"):
        export_onnx(exported(backbone), tmp_path / "out", replace=False)
    assert not (tmp_path / "out").exists()
