"""The ONNX file equals torch, for any batch, several learners and several prototypes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from latte_author.testing import StubEncoder
from latte_author.testing.fixtures import unit_rows
from numpy.typing import NDArray
from packaging.version import Version

import latte
from latte.export.folder import Exported
from latte.export.onnx import export_onnx
from latte.export.run import export_run
from latte.interfaces import Classifier, LatteError
from latte.models.adapted import Member
from latte.predict.encoding import encode_stream
from latte.predict.stream import named_images
from tests.helpers.clip_models import QUICK_GELU, RESNET, TINY_CLIP, with_parts
from tests.helpers.exported_runs import (
    NAMES,
    ODD_PHOTOS,
    UNEVEN,
    adapted,
    odd_photo,
    photos,
    write_run,
)
from tests.helpers.recorded import RecordedProgress

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(
        Version(torch.__version__) < Version("2.10"),
        reason="older torch exports no ONNX, see latte",
    ),
]

Outputs = list[NDArray[numpy.float32]]

SIZES = [(40, 32), (35, 50), (64, 64), (35, 32), (300, 37)]


def session(folder: Path) -> Callable[[NDArray[numpy.float32]], Outputs]:
    opened = onnxruntime.InferenceSession(folder / "model.onnx")
    return lambda pixels: opened.run(None, {"pixels": pixels})


@pytest.fixture(scope="module", params=[False, True], ids=["unit rows", "rows with bias"])
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Two learners of different towers, and classes with one to three prototypes."""
    model = adapted({"text": QUICK_GELU, "visual": RESNET}, UNEVEN, biased=request.param)
    return write_run(tmp_path_factory.mktemp("onnx") / "cats-1a2b", model, scale=7.5)


@pytest.fixture(scope="module")
def folder(run: Path) -> Path:
    return export_run(run, "onnx", None, RecordedProgress())


@pytest.mark.parametrize("images", [1, 2, 5])
def test_probabilities_and_features_equal_those_of_torch(
    images: int, run: Path, folder: Path, tmp_path: Path
) -> None:
    paths = photos(tmp_path, SIZES[:images])
    model = latte.load(run, device="cpu")
    about = json.loads((folder / "metadata.json").read_text())
    scope: dict[str, object] = {}
    code = readme_code(folder).split("inputs = ")[0].replace(f"'{folder.name}'", f"{str(folder)!r}")
    exec(compile(code, "README", "exec"), scope)
    (pixels_input,) = about["inputs"]
    pixels: Any = scope["pixels"]
    batch = numpy.stack([pixels(path, pixels_input["preprocessing"]) for path in paths])

    probabilities, features = session(folder)(batch)
    assert probabilities.shape == (images, len(NAMES))
    assert numpy.allclose(features, model.features(paths).numpy(), atol=1e-5)
    for row, prediction in zip(probabilities, model.predict(paths, top_k=4), strict=True):
        for option in prediction.classes:
            assert row[about["class_names"].index(option.name)] == pytest.approx(
                option.score, abs=1e-5
            )


def test_metadata_describes_classes_and_preprocessing(folder: Path) -> None:
    about = json.loads((folder / "metadata.json").read_text())
    assert tuple(about["class_names"]) == NAMES
    assert about["learners"] == ["text", "visual"]
    assert (about["scale"], about["calibrated"]) == (7.5, True)
    (pixels_input,) = about["inputs"]
    assert (pixels_input["name"], pixels_input["shape"]) == ("pixels", ["batch", 3, 32, 32])
    assert pixels_input["preprocessing"]["interpolation"] == "bicubic"
    assert (folder / "prototypes.safetensors").is_file()


@pytest.mark.parametrize("kind", ODD_PHOTOS)
def test_the_readme_classifies_a_photo_as_latte_does(
    kind: str,
    run: Path,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    odd_photo(Path("photo.jpg"), kind)
    (tmp_path / "onnx").symlink_to(folder)
    scope: dict[str, Any] = {}
    exec(compile(readme_code(folder), "README", "exec"), scope)
    model = latte.load(run)
    (expected,) = model.predict("photo.jpg")
    assert capsys.readouterr().out.rsplit(" ", 1)[0] == expected.name
    assert numpy.allclose(scope["features"], model.features("photo.jpg").numpy(), atol=1e-5)


def test_export_replaces_itself_but_no_other_folder(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LatteError, match="is here already"):
        export_run(run, "onnx", tmp_path, RecordedProgress())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_members_with_different_pixel_formats_have_an_input_each(tmp_path: Path) -> None:
    model = adapted({"a": TINY_CLIP, "b": with_parts({"image_size": 48})}, UNEVEN)
    eyes = Member(
        "eyes",
        StubEncoder(),
        Classifier(unit_rows(4, 6), torch.arange(4)),
        component="latte-x/eyes",
    )
    model = replace(model, members=(*model.members, eyes))
    folder = export_onnx(Exported("run", model, None), tmp_path / "onnx", replace=False)

    opened = onnxruntime.InferenceSession(folder / "model.onnx")
    assert [model_input.name for model_input in opened.get_inputs()] == [
        "pixels",
        "pixels_b",
        "pixels_eyes",
    ]
    paths = photos(tmp_path, SIZES)
    (encoded,) = encode_stream(model, named_images(paths), batch_size=len(paths))
    scope: dict[str, Any] = {}
    code = readme_code(folder).split("inputs = ")[0].replace("'onnx'", f"{str(folder)!r}")
    exec(compile(code, "README", "exec"), scope)
    batch = {
        input_facts["name"]: numpy.stack(
            [scope["pixels"](path, input_facts["preprocessing"]) for path in paths]
        )
        for input_facts in scope["about"]["inputs"]
    }
    probabilities, features = opened.run(None, batch)
    similarities = model.similarities(encoded.features)
    expected = (similarities * model.logit_scale).softmax(dim=1)
    assert numpy.allclose(probabilities, expected.numpy(), atol=1e-5)
    assert numpy.allclose(features, torch.cat(encoded.features, 1) / 3**0.5, atol=1e-5)


@pytest.mark.slow
def test_large_weights_are_stored_beside_the_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.export.onnx._LARGEST_FILE", 1000)
    folder = export_run(run, "onnx", tmp_path / "beside", RecordedProgress())
    assert (folder / "model.onnx.data").stat().st_size > 100_000
    probabilities, _ = session(folder)(numpy.zeros((3, 3, 32, 32), dtype=numpy.float32))
    assert probabilities.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def readme_code(folder: Path) -> str:
    return (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
