"""Encoders of timm and transformers keep the contract, and equal the libraries' own features."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import pytest
import timm
import torch
from encoder_checkpoints import (
    SIDE,
    VIT,
    transformers,
    write_dinov2,
    write_dinov3,
    write_timm,
    write_timm_vit,
)
from latte_author.testing import EncoderContract
from latte_author.testing.fixtures import make_context
from latte_encoders.files import EncoderOptions
from latte_encoders.timm_models import TimmEncoder
from latte_encoders.transformers_models import DinoV2Small, DinoV2SmallOptions, TransformersEncoder
from packaging.version import Version
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.transforms import functional as vision

from latte.api import Encoder, EncoderLoader, LatteError

onnxruntime = pytest.importorskip("onnxruntime")
PIPES = {
    "pipe as config": "config.json is damaged",
    "pipe as weights": "model.safetensors is no file",
    "pipe as processor": "preprocessor_config.json is no file",
}
if not hasattr(os, "mkfifo"):  # Windows
    PIPES.clear()
OLD_TORCH = Version(torch.__version__) < Version("2.10")


class TestTransformers(EncoderContract):
    component = "transformers"
    options: ClassVar[dict[str, Any]] = {"model": "./model"}

    def write_files(self, folder: Path) -> None:
        write_dinov2(folder / "model")


class TestTimm(EncoderContract):
    component = "timm"
    options: ClassVar[dict[str, Any]] = {"model": "./model"}

    def write_files(self, folder: Path) -> None:
        write_timm_vit(folder / "model")


def load(
    loader: type[EncoderLoader[Any]], folder: Path, size: int | None = None, model: str = "./model"
) -> Encoder:
    return loader(EncoderOptions(model=model, size=size), make_context(folder)).load()


def photo(width: int = 57, height: int = 40) -> Image.Image:
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(3, 9, 11, generator=generator).mul(255).byte()
    return Image.fromarray(noise.permute(1, 2, 0).numpy()).resize((width, height))


def pixels_of(encoder: Encoder, image: Any) -> Tensor:
    """Return the pixels (1, 3, S, S) that the encoder's pixel format describes."""
    form = encoder.pixel_format
    mode = vision.InterpolationMode(form.interpolation)
    if form.resize_mode == "squash":
        view = vision.resize(image, [form.size, form.size], mode)
    else:
        short_side = form.short_side or form.size
        view = vision.center_crop(vision.resize(image, [short_side], mode), [form.size, form.size])
    scaled_pixels = vision.pil_to_tensor(view).to(torch.float32).div(255)
    return vision.normalize(scaled_pixels, [*form.mean], [*form.std])[None]


def features(encoder: Encoder, image: Image.Image) -> Tensor:
    return encoder.encode_images(pixels_of(encoder, image))[0]


def test_dinov2_gives_the_features_of_transformers_own_pipeline(tmp_path: Path) -> None:
    write_dinov2(tmp_path / "model")
    encoder = load(TransformersEncoder, tmp_path)
    assert (encoder.pixel_format.size, encoder.pixel_format.short_side) == (SIDE, 32)
    assert encoder.embedding_width == 24
    model = transformers.AutoModel.from_pretrained(tmp_path / "model")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model", backend="pil")
    with torch.no_grad():
        output = model(**processor(images=photo(), return_tensors="pt"))
    expected = normalize(output.last_hidden_state[0, 0], dim=0)  # DINOv2's class token
    assert torch.allclose(features(encoder, photo()), expected, atol=1e-5)


def test_timm_gives_the_features_of_timms_own_pipeline(tmp_path: Path) -> None:
    write_timm_vit(tmp_path / "model")
    encoder = load(TimmEncoder, tmp_path)
    model = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True, num_classes=0)
    data: Any = timm.data
    transform = data.create_transform(**data.resolve_model_data_config(model))
    with torch.no_grad():
        expected = normalize(model.eval()(transform(photo())[None]), dim=1)[0]
    assert torch.allclose(features(encoder, photo()), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_folder_of_timms_save_for_hf_gives_the_features_of_timms_own_pipeline(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model: Any = timm.create_model(name, num_classes=7).eval()
    models: Any = timm.models
    models.save_for_hf(model, str(tmp_path / "model"), safe_serialization=True)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["model_args"]["num_classes"] == 7
    encoder = load(TimmEncoder, tmp_path)
    model.reset_classifier(0)
    with torch.no_grad():
        expected = normalize(model(pixels_of(encoder, photo())), dim=1)[0]
    assert torch.allclose(features(encoder, photo()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("in_chans", 1, "takes images with 1 channels"),
        ("in_chans", "x", "takes images with x channels"),
        ("global_pool", "", "it has no pooled features"),
        ("pretrained_cfg", {"file": "/x"}, "sets pretrained_cfg, which latte refuses"),
    ],
)
def test_arguments_of_save_for_hf_that_do_not_fit_are_refused(
    key: str, value: object, what: str, tmp_path: Path
) -> None:
    write_timm(tmp_path / "model", "resnet10t", {})
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["model_args"] = {"num_classes": 5, "in_chans": 3, "global_pool": "avg", key: value}
    path.write_text(json.dumps(config))
    with pytest.raises(LatteError, match=what) as caught:
        load(TimmEncoder, tmp_path)
    assert caught.value.where == "encoders: model ./model"


def test_convolutions_of_timm_take_images_of_any_size(tmp_path: Path) -> None:
    write_timm(tmp_path / "model", "mobilenetv3_small_050", {}, crop_pct=1.0)
    encoder = load(TimmEncoder, tmp_path, size=64)
    assert (encoder.pixel_format.size, encoder.pixel_format.short_side) == (64, None)
    assert features(encoder, photo()).shape == (encoder.embedding_width,)


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_other_image_sizes_interpolate_the_positions(library: str, tmp_path: Path) -> None:
    write, loader = (
        (write_timm_vit, TimmEncoder) if library == "timm" else (write_dinov2, TransformersEncoder)
    )
    write(tmp_path / "model")
    encoder = load(loader, tmp_path, size=56)
    assert (encoder.pixel_format.size, encoder.pixel_format.short_side) == (56, 64)
    assert features(encoder, photo()).isfinite().all()
    encoder.save(tmp_path / "saved")
    saved = loader.load_saved(tmp_path / "saved", "cpu")
    assert torch.equal(features(saved, photo()), features(encoder, photo()))


def test_dinov3_squashes_images_and_takes_its_class_token(tmp_path: Path) -> None:
    write_dinov3(tmp_path / "model")
    encoder = load(TransformersEncoder, tmp_path)
    assert (encoder.pixel_format.size, encoder.pixel_format.resize_mode) == (32, "squash")
    model = transformers.AutoModel.from_pretrained(tmp_path / "model")
    pixels = pixels_of(encoder, photo())
    with torch.no_grad():
        expected = normalize(model(pixel_values=pixels).last_hidden_state[:, 0], dim=1)
    assert torch.allclose(encoder.encode_images(pixels), expected, atol=1e-5)


@pytest.mark.skipif(OLD_TORCH, reason="older torch exports no ONNX, see latte")
@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_the_module_is_the_same_in_onnx_for_any_batch(library: str, tmp_path: Path) -> None:
    write, loader = (
        (write_timm_vit, TimmEncoder) if library == "timm" else (write_dinov2, TransformersEncoder)
    )
    write(tmp_path / "model")
    encoder, path = load(loader, tmp_path), tmp_path / "model.onnx"
    batch, pixels = {0: torch.export.Dim("batch")}, torch.zeros(2, 3, SIDE, SIDE)
    tower = encoder.image_tower()
    assert tower is not None
    names: dict[str, Any] = {
        "input_names": ["pixels"],
        "dynamic_shapes": (batch,),
        "opset_version": 18,
    }
    torch.onnx.export(tower, (pixels,), path, **names, dynamo=True, verbose=False)
    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    (rows,) = onnxruntime.InferenceSession(path).run(None, {"pixels": images.numpy()})
    exported = normalize(torch.from_numpy(rows), dim=1)
    assert torch.allclose(exported, encoder.encode_images(images), atol=1e-5)


def test_weights_that_are_missing_offline_name_the_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    loader = DinoV2Small(DinoV2SmallOptions(), make_context(tmp_path))
    assert not loader.is_cached()
    assert loader.licence == "Apache-2.0"
    with pytest.raises(LatteError, match="cannot download facebook/dinov2-small") as caught:
        loader.fetch()
    assert "hf download facebook/dinov2-small --local-dir FOLDER" in str(caught.value.hint)
    assert "--encoder NAME:FOLDER" in str(caught.value.hint)
    assert loader.repository in str(caught.value.where)


def damage(folder: Path, how: str) -> None:
    """Damage the checkpoint of transformers in `folder`."""
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    match how:
        case "no config":
            (folder / "config.json").unlink()
        case "pickled weights":
            (folder / "model.safetensors").unlink()
            torch.save(weights, folder / "pytorch_model.bin")
        case "missing weight":
            del weights["layernorm.bias"]
            save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        case "own code":
            config |= {"model_type": "mine", "auto_map": {"AutoModel": "mine.Model"}}
        case "absurd size":
            config["hidden_size"] = 2**30
        case "other library":
            config = {"architecture": "resnet18"}
        case "nested config":
            (folder / "config.json").write_text("[" * 100_000)
        case "pipe as config":
            (folder / "config.json").unlink()
            os.mkfifo(folder / "config.json")
        case "endless config":
            os.truncate(folder / "config.json", 2**37)
        case "pipe as weights":
            (folder / "model.safetensors").unlink()
            os.mkfifo(folder / "model.safetensors")
        case "endless weights":
            os.truncate(folder / "model.safetensors", 2**37)
        case "pipe as processor":
            (folder / "preprocessor_config.json").unlink()
            os.mkfifo(folder / "preprocessor_config.json")
    if "config" not in how:
        (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no config", "config.json is missing"),
        ("pickled weights", "no weights as safetensors"),
        ("missing weight", "layernorm.bias is missing"),
        ("own code", "code of its own"),
        ("absurd size", "absurd hidden_size"),
        ("other library", "no configuration of transformers"),
        ("nested config", "config.json is damaged"),
        ("endless config", "config.json is damaged"),
        ("endless weights", "model.safetensors has more than"),
        *PIPES.items(),
    ],
)
def test_a_bad_folder_raises_an_error_that_names_the_model(
    how: str, message: str, tmp_path: Path
) -> None:
    write_dinov2(tmp_path / "model")
    damage(tmp_path / "model", how)
    with pytest.raises(LatteError, match=message) as caught:
        load(TransformersEncoder, tmp_path)
    assert "./model" in str(caught.value.where)


@pytest.mark.parametrize("how", ["endless config", "endless weights", *PIPES])
def test_no_endless_file_is_read_for_the_identity(how: str, tmp_path: Path) -> None:
    write_dinov2(tmp_path / "model")
    damage(tmp_path / "model", how)
    options = EncoderOptions(model="./model")
    with pytest.raises(LatteError, match=r"is no file|more than"):
        TransformersEncoder(options, make_context(tmp_path)).identity()


def test_an_image_size_below_the_patch_is_refused(tmp_path: Path) -> None:
    write_timm_vit(tmp_path / "model")
    with pytest.raises(LatteError, match="timm cannot load model") as caught:
        load(TimmEncoder, tmp_path, size=7)
    assert "./model" in str(caught.value.where)


@pytest.mark.parametrize("name", ["../model", "hf-hub:someone/model", "no_such_model"])
def test_a_saved_architecture_names_models_of_timm_only(name: str, tmp_path: Path) -> None:
    with pytest.raises(LatteError, match="no architecture"):
        TimmEncoder.build({"name": name, "arguments": {}})
    with pytest.raises(LatteError, match="checkpoint_path"):
        TimmEncoder.build({"name": "resnet18", "arguments": {"checkpoint_path": "/etc/passwd"}})
    with pytest.raises(LatteError, match="absurd depth"):
        TimmEncoder.build({"name": "vit_small_patch14_dinov2", "arguments": {**VIT, "depth": 9999}})


def test_a_changed_weight_changes_the_fingerprint(tmp_path: Path) -> None:
    write_dinov2(tmp_path / "model")
    encoder = load(TransformersEncoder, tmp_path)
    encoder.save(tmp_path / "saved")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    weights["layernorm.bias"] += 0.5
    save_file(weights, tmp_path / "model" / "model.safetensors", metadata={"format": "pt"})
    assert load(TransformersEncoder, tmp_path).fingerprint != encoder.fingerprint
    (tmp_path / "saved" / "encoder.json").write_text("{}")
    with pytest.raises(LatteError, match="encoder is damaged"):
        TransformersEncoder.load_saved(tmp_path / "saved", "cpu")
