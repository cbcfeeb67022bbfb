"""A backbone without an export raises an error that names what works instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latte.export.folder import Exported
from latte.export.hugging_face import export_transformers
from latte.export.onnx import export_onnx
from latte.interfaces import Classifier, LatteError
from latte.run.adapted import Adapted, Member
from tests.helpers.small_backbone import WIDTH, SmallBackbone, SmallModel

pytestmark = pytest.mark.thorough


class WithoutTower(SmallBackbone):
    def image_tower(self) -> None:
        return None


class OfTransformers(WithoutTower):
    saves_transformers = True


def exported(backbone: type[SmallBackbone]) -> Exported:
    classifier = Classifier(torch.eye(2, WIDTH), torch.arange(2))
    member = Member("main", backbone(SmallModel()), classifier)
    return Exported("run", Adapted(("a", "b"), (member,)), None)


@pytest.mark.parametrize(
    ("backbone", "hint"),
    [
        (SmallBackbone, "export it to ONNX instead: latte export RUN --format onnx"),
        (WithoutTower, 'in Python, latte.load("RUN"), and for files: latte predict RUN'),
    ],
)
def test_without_an_export_to_transformers_the_error_names_another_way(
    backbone: type[SmallBackbone], hint: str, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match="main has no export to transformers") as refused:
        export_transformers(exported(backbone), tmp_path / "out", replace=False)
    assert hint in (refused.value.hint or "")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("backbone", "hint"),
    [
        (OfTransformers, "export it to transformers instead: latte export RUN --format tr"),
        (WithoutTower, 'in Python, latte.load("RUN"), and for files: latte predict RUN'),
    ],
)
def test_without_an_export_to_onnx_the_error_names_another_way(
    backbone: type[SmallBackbone], hint: str, tmp_path: Path
) -> None:
    with pytest.raises(LatteError, match="main has no export to ONNX") as refused:
        export_onnx(exported(backbone), tmp_path / "out", replace=False)
    assert hint in (refused.value.hint or "")
    assert not (tmp_path / "out").exists()
