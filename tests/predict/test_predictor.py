"""`latte.load`: the predictions of the run, for images in every form, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image

import latte
from latte.data.images import SkippedImage, open_image
from latte.evaluate.predictions import Prediction
from latte.interfaces import ImageReference, LatteError
from latte.predict.predictor import Predictor
from tests.helpers.clip_models import QUICK_GELU, SIGLIP_LIKE, TINY_CLIP, with_parts
from tests.helpers.evaluated import evaluation_view
from tests.helpers.exported_runs import NAMES, UNEVEN, adapted, backbone, photos, write_run

pytestmark = pytest.mark.thorough

SIZES = [(40, 32), (35, 50), (64, 64), (33, 70), (50, 30), (32, 32), (90, 41)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "animals-1a2b"
    return write_run(folder, adapted({"main": TINY_CLIP}), scale=7.5)


@pytest.fixture(scope="module")
def model(run: Path) -> Predictor:
    return latte.load(run, device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos(tmp_path / "photos", SIZES)
    return tmp_path / "photos"


def one_at_a_time(model: Predictor, path: Path, scale: float) -> torch.Tensor:
    """Compute probabilities (C,) directly from the file."""
    similarities = []
    for member in model.adapted.members:
        picture = open_image(ImageReference("", path))
        pixels = evaluation_view(picture, member.encoder.pixel_format)[None]
        with torch.no_grad():
            feature = member.encoder.encode_images(pixels)
        similarities.append(member.classifier.similarities(feature)[0])
    return (torch.stack(similarities).mean(0) * scale).softmax(0)


def test_sigmoid_models_say_how_well_the_best_class_matches(tmp_path: Path, folder: Path) -> None:
    model = latte.load(write_run(tmp_path / "run", adapted({"main": SIGLIP_LIKE}), scale=7.5))
    clip = model.adapted.backbones[0]
    for row in model.predict(folder):
        feature = model.features(row.image)
        cosine = model.adapted.similarities([feature])[0, row.label]
        assert clip.logit_bias is not None
        expected = torch.sigmoid(clip.logit_scale * cosine + clip.logit_bias)
        assert row.match == pytest.approx(expected.item(), rel=1e-4)
    assert model.columns(1).match


def test_prototypes_that_give_no_cosines_have_no_match(tmp_path: Path, folder: Path) -> None:
    biased = adapted({"main": SIGLIP_LIKE}, biased=True)
    (member,) = biased.members
    long = replace(member, classifier=replace(member.classifier, bias=None))
    for name, classifier in (("biased", biased), ("long", replace(biased, members=(long,)))):
        model = latte.load(write_run(tmp_path / name, classifier))
        assert model.adapted.backbones[0].logit_bias is not None
        assert [row.match for row in model.predict(folder)] == [None] * len(SIZES)
        assert not model.columns(1).match


def test_predictions_equal_those_of_one_image_at_a_time(model: Predictor, folder: Path) -> None:
    assert (model.classes, model.device, model.scale) == (NAMES, "cpu", 7.5)
    predictions = model.predict(folder, batch_size=3, top_k=2)
    assert [prediction.image for prediction in predictions] == [
        str(path) for path in sorted(folder.iterdir())
    ]
    for prediction in predictions:
        expected = one_at_a_time(model, Path(prediction.image), 7.5)
        assert prediction.label == int(expected.argmax())
        assert prediction.name == NAMES[prediction.label]
        assert prediction.confidence == pytest.approx(float(expected.max()), abs=1e-5)
        assert [each.score for each in prediction.classes] == sorted(
            (each.score for each in prediction.classes), reverse=True
        )
        assert len(prediction.classes) == 2


def test_several_learners_and_prototypes_are_one_classifier(tmp_path: Path) -> None:
    larger = with_parts({"image_size": 48})
    run = write_run(tmp_path / "run", adapted({"a": QUICK_GELU, "b": larger}, UNEVEN))
    model = latte.load(str(run), device="cpu")
    paths = photos(tmp_path / "photos", SIZES[:3])
    assert model.calibration is None
    assert model.scale == model.adapted.logit_scale
    for prediction, path in zip(model.predict(paths, batch_size=2, top_k=4), paths, strict=True):
        expected = one_at_a_time(model, path, model.scale)
        assert [each.score for each in prediction.classes] == pytest.approx(
            expected.sort(descending=True).values.tolist(), abs=1e-5
        )
    features = model.features(paths)
    assert features.shape == (3, 32)
    assert torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-5)
    cosines = [model.features(paths)[:, part] for part in (slice(0, 16), slice(16, 32))]
    mean = sum(2 * part @ part.T for part in cosines) / 2
    assert torch.allclose(features @ features.T, mean, atol=1e-5)


def test_images_may_be_paths_pillow_images_or_a_generator(model: Predictor, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    expected = [prediction.label for prediction in model.predict(folder)]
    assert [prediction.label for prediction in model.predict(map(str, paths))] == expected
    opened = model.predict(Image.open(path) for path in paths)
    assert [prediction.label for prediction in opened] == expected
    assert [prediction.image for prediction in opened] == [
        str(number) for number in range(len(paths))
    ]
    (single,) = model.predict(paths[0])
    assert single.label == expected[0]
    assert model.predict([]) == []


def test_features_are_those_of_the_backbone(model: Predictor, folder: Path) -> None:
    paths = sorted(folder.iterdir())
    backbone = model.adapted.backbones[0]
    views = [
        evaluation_view(open_image(ImageReference("", p)), backbone.pixel_format) for p in paths
    ]
    with torch.no_grad():
        assert torch.allclose(
            model.features(paths, batch_size=2),
            backbone.encode_images(torch.stack(views)),
            atol=1e-6,
        )
    assert model.features([]).shape == (0, 16)


def test_an_image_turned_by_exif_is_seen_upright(model: Predictor, tmp_path: Path) -> None:
    turned = Image.effect_mandelbrot((60, 40), (-3, -2.5, 2, 2.5), 100)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    by_path = model.features(tmp_path / "turned.png")
    assert torch.allclose(by_path, model.features(Image.open(tmp_path / "turned.png")), atol=1e-6)
    assert not torch.allclose(by_path, model.features(turned), atol=1e-3)


class Reported(list[SkippedImage]):
    """A callback that is false as a condition while it is empty."""

    __call__ = list.append


def test_unreadable_image_is_an_error_or_reported(model: Predictor, folder: Path) -> None:
    (folder / "001.png").write_bytes(b"nothing")
    with pytest.raises(LatteError, match=r"001\.png"):
        model.predict(folder)
    reported = Reported()
    cut_off = Image.open(folder / "000.png")
    cut_off.fp.close()  # type: ignore[union-attr]
    predictions = model.predict([folder, "absent.jpg", cut_off], on_unreadable=reported)
    assert len(predictions) == len(SIZES) - 1
    assert [Path(unreadable.id).name for unreadable in reported] == [
        "001.png",
        "absent.jpg",
        str(len(SIZES) + 1),
    ]
    assert "cannot be read" in reported[1].reason


def test_predictions_are_yielded_before_all_images_are_read(model: Predictor) -> None:
    yielded = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal yielded
        while True:
            yielded += 1
            yield Image.new("RGB", (32, 32), (yielded % 256, 0, 0))

    rows = model.predict_iter(endless(), batch_size=4)
    first_predictions: list[Prediction] = list(islice(rows, 10))
    rows.close()  # type: ignore[attr-defined]
    assert [prediction.image for prediction in first_predictions] == [
        str(number) for number in range(10)
    ]
    assert yielded <= 10 + 3 * 4
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("latte-images")
    ]


def test_predict_does_not_change_the_gradient_mode(model: Predictor) -> None:
    for _ in model.predict_iter([Image.new("RGB", (32, 32))] * 3, batch_size=1):
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_features_of_a_diverged_model_are_an_error(tmp_path: Path) -> None:
    broken = adapted({"main": TINY_CLIP})
    with torch.no_grad():
        backbone(broken).model.visual.proj.fill_(torch.nan)
    model = latte.load(write_run(tmp_path / "run", broken))
    with pytest.raises(LatteError, match="diverged"):
        model.predict(Image.new("RGB", (32, 32)))


def test_load_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="not a run folder"):
        latte.load(tmp_path)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(LatteError, match="no trained model"):
        latte.load(tmp_path)


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"batch_size": 0}, {"top_k": -1}])
def test_counts_below_one_are_errors(wrong: dict[str, int], model: Predictor, folder: Path) -> None:
    (name,) = wrong
    with pytest.raises(LatteError, match=f"^{name}: .* is less than 1"):
        model.predict(folder, **wrong)  # type: ignore[arg-type]


def test_hints_hold_in_python_and_on_the_command_line(run: Path) -> None:
    with pytest.raises(LatteError) as caught:
        latte.load(run, device="warp")
    assert caught.value.hint
    assert "device:" not in caught.value.hint
    assert "--" not in caught.value.hint


def test_importing_latte_imports_no_torch() -> None:
    code = "import latte, sys; latte.LatteError, dir(latte); print('torch' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
    assert {"LatteError", "adapt", "load"} <= {*dir(latte)}
    assert latte.LatteError is LatteError
    with pytest.raises(AttributeError, match="lod"):
        _ = latte.lod  # type: ignore[attr-defined]


@pytest.fixture
def threads() -> Iterator[None]:
    """Let torch use two threads on any machine."""
    threads_before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads_before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.usefixtures("threads")
def test_forked_process_is_refused_instead_of_waiting_for_ever(
    model: Predictor, folder: Path
) -> None:
    child = os.fork()
    if child == 0:
        try:
            model.predict(folder)
        except LatteError as error:
            os._exit(7 if "before this process was forked" in str(error) else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert len(model.predict(folder)) == len(SIZES)


def test_forked_process_with_one_thread_predicts(
    model: Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latte.predict.predictor._FORKS", [None])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert len(model.predict(folder)) == len(SIZES)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(LatteError, match="forked"):
        model.features(folder)
