"""All kinds of names of a CLIP, and the errors for a wrong name, file or download."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import open_clip.factory
import open_clip.pretrained
import pytest
import torch
from safetensors.torch import load_file, save_file

from latte.backbone.load import load_backbone
from latte.backbone.open_clip import OpenClipBackbone
from latte.backbone.source import find_model
from latte.interfaces import LatteError
from latte.interfaces.settings import BackboneSettings
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, open_model, pixels

pytestmark = pytest.mark.thorough

WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"


def refusal(model: str, base_dir: Path, pretrained: str | None = None) -> LatteError:
    with pytest.raises(LatteError) as error:
        open_model(model, base_dir, pretrained)
    return error.value


def same_images(backbone: OpenClipBackbone, other_backbone: OpenClipBackbone) -> bool:
    return torch.equal(
        backbone.encode_images(pixels(backbone, 2)),
        other_backbone.encode_images(pixels(other_backbone, 2)),
    )


@pytest.fixture
def folder(tiny_clip_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny CLIP in `tmp_path`/`my-clip`, which a test may damage."""
    return Path(shutil.copytree(tiny_clip_folder, tmp_path / "my-clip"))


@pytest.fixture
def weights(folder: Path, tmp_path: Path) -> Path:
    """The weights of the tiny CLIP as a single file."""
    return Path(shutil.copy(folder / WEIGHTS, tmp_path / "weights.safetensors"))


@pytest.fixture
def known_model(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    """open_clip knows `tiny-vit` (GELU) with tags `web` (GELU) and `openai` (QuickGELU)."""
    config = {k: v for k, v in clip_models.TINY_CLIP.items() if k != "quick_gelu"}
    tag = {"file": str(weights), "mean": (0.1, 0.2, 0.3), "interpolation": "bilinear"}
    tags = {"web": tag, "openai": {**tag, "quick_gelu": True}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-vit", config)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-vit", tags)


class TestFolders:
    def test_a_relative_folder_starts_at_the_recipe(
        self, folder: Path, tiny_backbone: OpenClipBackbone
    ) -> None:
        assert same_images(open_model("local-dir:my-clip", folder.parent), tiny_backbone)

    def test_a_plugins_model_is_its_folder(
        self, folder: Path, tiny_backbone: OpenClipBackbone
    ) -> None:
        loaded = load_backbone(
            BackboneSettings(model="plugin:someone/clip"),
            device="cpu",
            base_dir=Path("/nowhere"),
            model_folder={"someone/clip": folder}.__getitem__,
        )
        assert same_images(loaded, tiny_backbone)

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        error = refusal("local-dir:absent", tmp_path)
        assert str(tmp_path / "absent") in error.what
        assert error.where == "backbone.model"

    def test_a_folder_without_config_is_no_model_folder(self, tmp_path: Path) -> None:
        error = refusal("local-dir:.", tmp_path)
        assert "is no open_clip model folder" in error.what
        assert CONFIG in error.what

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {"embed_dim": 4}}', "null"])
    def test_a_config_that_describes_no_model_is_named(self, folder: Path, text: str) -> None:
        (folder / CONFIG).write_text(text)
        error = refusal("local-dir:my-clip", folder.parent)
        assert f"{folder / CONFIG} does not describe an open_clip model" in error.what
        assert "model_cfg" in str(error.hint)

    def test_a_config_with_an_unknown_key_names_the_key(self, folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        config["model_cfg"]["vision_cfg"]["depht"] = 3
        (folder / CONFIG).write_text(json.dumps(config))
        assert "depht" in str(refusal("local-dir:my-clip", folder.parent).hint)

    def test_missing_weights_raise_error(self, folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        error = refusal("local-dir:my-clip", folder.parent)
        assert "no weights" in error.what
        assert WEIGHTS in str(error.hint)

    def test_weights_of_other_shapes_name_the_first_that_differs(self, folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        tensors["visual.proj"] = torch.zeros(32, 8)
        save_file(tensors, folder / WEIGHTS)
        error = refusal("local-dir:my-clip", folder.parent)
        assert "do not fit the architecture" in error.what
        assert "size mismatch for visual.proj" in str(error.hint)

    def test_weights_without_a_text_tower_are_refused(self, folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        image_tower = {k: v for k, v in weights.items() if k.startswith("visual")}
        save_file(image_tower, folder / WEIGHTS)
        error = refusal("local-dir:my-clip", folder.parent)
        assert "do not fit the architecture" in error.what
        assert "Missing key" in str(error.hint)

    def test_half_precision_weights_are_loaded_in_fp32(self, folder: Path) -> None:
        halves = {k: v.half() for k, v in load_file(folder / WEIGHTS).items()}
        save_file(halves, folder / WEIGHTS)
        state = open_model("local-dir:my-clip", folder.parent).state()
        assert {weight.dtype for weight in state.values() if weight.is_floating_point()} == {
            torch.float32
        }

    def test_truncated_weights_raise_error(self, folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
        assert "cannot load" in refusal("local-dir:my-clip", folder.parent).what

    def test_a_tag_beside_a_folder_is_refused(self, folder: Path) -> None:
        error = refusal("local-dir:my-clip", folder.parent, pretrained="openai")
        assert error.where == "backbone.pretrained"
        assert "remove pretrained" in str(error.hint)

    @pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth"])
    def test_pickled_code_in_weights_is_not_run(self, folder: Path, name: str) -> None:
        class Trap:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(folder / "it-ran"),)

        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(pickle.dumps({"state_dict": Trap()}, protocol=2))
        assert "cannot load" in refusal("local-dir:my-clip", folder.parent).what
        assert not (folder / "it-ran").exists()

    def test_plain_tensors_in_a_pytorch_file_load(
        self, folder: Path, tiny_backbone: OpenClipBackbone
    ) -> None:
        torch.save(load_file(folder / WEIGHTS), folder / "open_clip_pytorch_model.bin")
        (folder / WEIGHTS).unlink()
        assert same_images(open_model("local-dir:my-clip", folder.parent), tiny_backbone)


@pytest.mark.usefixtures("known_model")
class TestNames:
    def test_a_tag_brings_weights_and_pixel_format(self, tmp_path: Path) -> None:
        backbone = open_model("tiny-vit", tmp_path, "web")
        assert same_images(backbone, build_clip(clip_models.TINY_CLIP))
        assert backbone.pixel_format.mean == (0.1, 0.2, 0.3)
        assert backbone.pixel_format.interpolation == "bilinear"

    def test_weights_trained_with_quick_gelu_run_with_it_and_are_saved_so(
        self, tmp_path: Path
    ) -> None:
        backbone = open_model("tiny-vit", tmp_path, "openai")
        reference = build_clip(clip_models.QUICK_GELU)
        assert same_images(backbone, reference)
        assert torch.equal(backbone.encode_texts(["a"]), reference.encode_texts(["a"]))
        backbone.save(tmp_path / "saved")
        assert same_images(open_model("local-dir:saved", tmp_path), reference)

    def test_a_file_in_place_of_a_tag(self, tmp_path: Path) -> None:
        backbone = open_model("tiny-vit", tmp_path, "weights.safetensors")
        assert same_images(backbone, build_clip(clip_models.TINY_CLIP))

    def test_a_file_of_a_model_folder_points_to_the_folder(self, folder: Path) -> None:
        error = refusal("tiny-vit", folder, pretrained=WEIGHTS)
        assert f"local-dir:{folder}" in str(error.hint)

    @pytest.mark.parametrize(
        ("model", "tag", "hint"),
        [
            ("ViT-B-32", None, "set pretrained to a weights file or to one of openai, "),
            ("ViT-B-32", None, "on the command line: --model ViT-B-32:PRETRAINED"),
            ("tiny-vit", "opnai", "did you mean openai?"),
            ("tiny-vit", "no/such.pt", "one of web, openai"),
            ("tiny-vti", "web", "tiny-vit"),
            ("vit-b/32", "openai", "ViT-B-32"),
            ("my-clip", None, "local-dir:my-clip"),
            ("zzzzzzz", None, "hf-hub:REPO"),
        ],
    )
    def test_wrong_names_and_tags_get_what_is_right(
        self, tmp_path: Path, model: str, tag: str | None, hint: str
    ) -> None:
        assert hint in str(refusal(model, tmp_path, tag).hint)

    def test_random_weights_are_refused(self, tmp_path: Path) -> None:
        error = refusal("tiny-vit", tmp_path)
        assert "random weights" in error.what
        assert "web, openai" in str(error.hint)


class TestHuggingFaceTexts:
    """Towers that transformers builds; the package itself is not needed to find them."""

    @pytest.fixture
    def hf_folder(self, folder: Path) -> Path:
        config = json.loads((folder / CONFIG).read_text())
        config["model_cfg"]["text_cfg"] = {"hf_model_name": "../elsewhere", "context_length": 32}
        (folder / CONFIG).write_text(json.dumps(config))
        (folder / "config.json").write_text("{}")
        return folder

    def find(self, folder: Path) -> Path | None:
        source = find_model(
            BackboneSettings(model=f"local-dir:{folder}"),
            base_dir=folder,
            model_folder=lambda name: folder,
        )
        return source.text_folder

    def test_a_missing_package_is_named(
        self, hf_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        error = refusal("local-dir:my-clip", hf_folder.parent)
        assert "needs the package transformers" in error.what
        assert "pip install" in str(error.hint)

    def test_the_tower_is_read_from_the_folder_whatever_path_the_config_names(
        self, hf_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
        assert self.find(hf_folder) == hf_folder
        (hf_folder / "config.json").unlink()
        assert self.find(hf_folder) is None
