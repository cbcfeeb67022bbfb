"""Copies of a backbone: forks, states, and folders that plain open_clip opens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from open_clip.factory import create_model_and_transforms
from safetensors.torch import load_file, save_file

from latte.backbone.open_clip import OpenClipBackbone
from latte.interfaces import LatteError
from tests.helpers import clip_models
from tests.helpers.clip_models import build_clip, open_model, pixels

pytestmark = pytest.mark.thorough

TEXTS = ["a photo of a dog.", "word " * 60]

PLAIN_OPEN_CLIP = """
import json, sys, torch, open_clip
from safetensors.torch import load_file, save_file
folders, texts = json.loads(sys.argv[1])
for folder in folders:
    model, _, _ = open_clip.create_model_and_transforms("local-dir:" + folder)
    tokens = open_clip.get_tokenizer("local-dir:" + folder)(texts)
    pixels = load_file(folder + "/in.safetensors")["pixels"]
    with torch.no_grad():
        found = {"images": model.eval().encode_image(pixels), "texts": model.encode_text(tokens)}
    save_file(found, folder + "/out.safetensors")
assert "latte" not in sys.modules
"""


def perturb(backbone: OpenClipBackbone) -> None:
    """Move the weights, as training does."""
    generator = torch.Generator().manual_seed(1)
    for weight in backbone.train_only("all").values():
        weight.data += 0.01 * torch.randn(weight.shape, generator=generator)


class TestSave:
    @pytest.mark.slow
    def test_plain_open_clip_gives_the_same_features_to_the_bit(self, tmp_path: Path) -> None:
        kinds = {
            "plain": clip_models.TINY_CLIP,
            "quick-gelu": clip_models.QUICK_GELU,
            "apart": clip_models.SEPARATE_TEXT,
            "timm": clip_models.TIMM_MLP,
        }
        backbones = {name: build_clip(config) for name, config in kinds.items()}
        for name, backbone in backbones.items():
            perturb(backbone)
            backbone.save(tmp_path / name)
            save_file({"pixels": pixels(backbone, 3)}, tmp_path / name / "in.safetensors")
        arguments = json.dumps([[str(tmp_path / name) for name in kinds], TEXTS])
        subprocess.run([sys.executable, "-c", PLAIN_OPEN_CLIP, arguments], check=True)
        for name, backbone in backbones.items():
            features = load_file(tmp_path / name / "out.safetensors")
            with torch.no_grad():
                model, tokens = backbone.model.eval(), backbone.tokenizer(TEXTS)
                assert torch.equal(features["images"], model.encode_image(pixels(backbone, 3))), (
                    name
                )
                assert torch.equal(features["texts"], model.encode_text(tokens)), name

    def test_exported_preprocessing_is_the_same(self, tmp_path: Path) -> None:
        backbone = build_clip(clip_models.TINY_CLIP)
        backbone.model.visual.preprocess_cfg |= {
            "mean": (0.1, 0.2, 0.3),
            "interpolation": "bilinear",
            "resize_mode": "squash",
        }
        backbone.save(tmp_path)
        _, _, transform = create_model_and_transforms(f"local-dir:{tmp_path}")
        assert "bilinear" in str(transform)
        reopened = open_model(f"local-dir:{tmp_path}", tmp_path).pixel_format
        assert (reopened.mean, reopened.resize_mode) == ((0.1, 0.2, 0.3), "squash")
        assert reopened.interpolation == "bilinear"

    def test_weights_that_share_storage_are_written_under_both_names(self, tmp_path: Path) -> None:
        backbone = build_clip(clip_models.TINY_CLIP)
        blocks = backbone.model.visual.transformer.resblocks
        blocks[1].ln_1.weight = blocks[0].ln_1.weight
        backbone.save(tmp_path)
        reopened = open_model(f"local-dir:{tmp_path}", tmp_path)
        assert torch.equal(
            reopened.encode_images(pixels(reopened, 1)), backbone.encode_images(pixels(backbone, 1))
        )

    def test_second_save_replaces_all_files_of_the_first(self, tmp_path: Path) -> None:
        backbone = build_clip(clip_models.TINY_CLIP)
        backbone.save(tmp_path)
        perturb(backbone)
        backbone.save(tmp_path)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {"open_clip_config.json", "open_clip_model.safetensors"}
        reopened = open_model(f"local-dir:{tmp_path}", tmp_path)
        assert torch.equal(reopened.encode_texts(TEXTS), backbone.fork().encode_texts(TEXTS))


class TestFork:
    def test_training_a_fork_does_not_change_the_original(
        self, tiny_backbone: OpenClipBackbone
    ) -> None:
        features_before = tiny_backbone.encode_images(pixels(tiny_backbone, 2))
        fork = tiny_backbone.fork()
        assert torch.equal(fork.encode_images(pixels(fork, 2)), features_before)
        perturb(fork)
        assert torch.equal(tiny_backbone.encode_images(pixels(tiny_backbone, 2)), features_before)
        assert not torch.allclose(fork.encode_images(pixels(fork, 2)), features_before)

    def test_a_fork_of_a_training_backbone_is_frozen(self, tiny_backbone: OpenClipBackbone) -> None:
        tiny_backbone.train_only("all")
        fork = tiny_backbone.fork()
        assert not any(weight.requires_grad for weight in fork.model.parameters())
        assert all(weight.requires_grad for weight in tiny_backbone.model.parameters())

    def test_fork_has_the_same_fingerprint(self, tiny_backbone: OpenClipBackbone) -> None:
        fork = tiny_backbone.fork()
        perturb(fork)
        assert fork.fingerprint == tiny_backbone.fingerprint


class TestState:
    def test_restoring_a_state_restores_every_output(self, tiny_backbone: OpenClipBackbone) -> None:
        state = {name: value.clone() for name, value in tiny_backbone.state().items()}
        features_before = tiny_backbone.encode_images(pixels(tiny_backbone, 2))
        perturb(tiny_backbone)
        tiny_backbone.load_state(state)
        tiny_backbone.train_only("none")
        assert torch.equal(tiny_backbone.encode_images(pixels(tiny_backbone, 2)), features_before)

    def test_state_contains_batch_statistics_without_gradient(self) -> None:
        backbone = build_clip(clip_models.TIMM_MLP)
        backbone.train_only("all")
        state = backbone.state()
        assert any(name.endswith("running_mean") for name in state)
        assert not any(value.requires_grad for value in state.values())

    def test_parameters_that_train_stay_the_same_objects(
        self, tiny_backbone: OpenClipBackbone
    ) -> None:
        trained = tiny_backbone.train_only("projections")
        tiny_backbone.load_state({k: v.clone() + 1 for k, v in tiny_backbone.state().items()})
        assert trained["visual.proj"] is tiny_backbone.model.visual.proj
        assert trained["visual.proj"].requires_grad

    def test_state_of_another_architecture_raises_error(
        self, tiny_backbone: OpenClipBackbone
    ) -> None:
        narrower = build_clip(clip_models.with_parts(embed_dim=8))
        with pytest.raises(LatteError, match="not of this backbone") as error:
            tiny_backbone.load_state(narrower.state())
        assert "size mismatch for visual.proj" in (error.value.hint or "")


class TestFingerprint:
    def test_fingerprint_is_the_same_after_save_and_load(self, tmp_path: Path) -> None:
        backbone = build_clip({k: v for k, v in clip_models.TINY_CLIP.items() if k != "quick_gelu"})
        backbone.save(tmp_path)
        assert open_model(f"local-dir:{tmp_path}", tmp_path).fingerprint == backbone.fingerprint

    def test_other_weights_change_the_fingerprint(self) -> None:
        backbone, changed = build_clip(clip_models.TINY_CLIP), build_clip(clip_models.TINY_CLIP)
        changed.model.visual.proj.data[3, 5] += 1e-6
        assert backbone.fingerprint != changed.fingerprint

    def test_another_activation_changes_the_fingerprint(self) -> None:
        assert (
            build_clip(clip_models.TINY_CLIP).fingerprint
            != build_clip(clip_models.QUICK_GELU).fingerprint
        )

    def test_fingerprint_is_that_of_the_loaded_weights_after_training(
        self, tiny_backbone: OpenClipBackbone
    ) -> None:
        loaded = tiny_backbone.fork().fingerprint
        fresh = build_clip(clip_models.TINY_CLIP)
        perturb(fresh)  # nobody had asked before
        assert fresh.fingerprint == loaded
