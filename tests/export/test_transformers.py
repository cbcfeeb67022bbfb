"""An exported CLIP opens in transformers with the features and tokens of open_clip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch.nn.functional import normalize

import latte
from latte.data.images import decode_image
from latte.export.clip import clip_config, clip_weights
from latte.export.run import export_run
from latte.interfaces import LatteError
from tests.helpers.clip_models import (
    BIDIRECTIONAL,
    CUSTOM_BLOCKS,
    END_POOLING,
    LINEAR_TEXT_PROJECTION,
    QUICK_GELU,
    RESNET,
    SEPARATE_TEXT,
    SIGLIP_LIKE,
    TIMM_MLP,
    TINY_CLIP,
    build_clip,
    pixels,
    with_parts,
)
from tests.helpers.evaluated import evaluation_view
from tests.helpers.exported_runs import (
    NAMES,
    ODD_PHOTOS,
    TWO_EACH,
    adapted,
    backbone,
    odd_photo,
    photos,
    write_run,
)
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

pytest.importorskip("transformers")

OTHER_SIZES = with_parts(
    {"patch_size": 8, "width": 48, "head_width": 12, "layers": 3, "image_size": 40},
    {"width": 40, "heads": 5, "layers": 1, "context_length": 20, "mlp_ratio": 2.0},
    embed_dim=24,
)
NO_PROJECTION = with_parts(text={"proj_type": "none", "width": 16})
TANH = with_parts({"act_kwargs": {"approximate": "tanh"}})
OTHER_NORMS = with_parts({"norm_kwargs": {"eps": 1e-3}}, {"norm_kwargs": {"eps": 1e-4}})

TEXTS = ["a photo of a red fox.", "It’s CAFÉ time", "x " * 100, "owl", ""]


def exported(tmp_path: Path, *configs: dict[str, Any]) -> tuple[Any, Path]:
    model = adapted({f"learner-{number}": config for number, config in enumerate(configs)})
    run = write_run(tmp_path / "animals-1a2b", model, scale=7.5)
    return model, export_run(run, "transformers", None, RecordedProgress())


CONFIGS = {
    "gelu": TINY_CLIP,
    "quick-gelu": QUICK_GELU,
    "other sizes": OTHER_SIZES,
    "text tower of its own": SEPARATE_TEXT,
    "pools at the end token": END_POOLING,
    "no text projection": NO_PROJECTION,
    "tanh gelu in the image tower": TANH,
    "other epsilons": OTHER_NORMS,
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_features_and_logit_scale_equal_those_of_open_clip(config: dict[str, Any]) -> None:
    from transformers import CLIPConfig, CLIPModel

    ours = build_clip(config)
    theirs = CLIPModel(CLIPConfig(**clip_config(ours.model))).eval()
    missing = theirs.load_state_dict(clip_weights(ours.model), strict=False)
    assert {*missing.missing_keys, *missing.unexpected_keys} <= {
        f"{tower}_model.embeddings.position_ids" for tower in ("text", "vision")
    }
    with torch.no_grad():
        batch = pixels(ours, 3)
        image = theirs.get_image_features(pixel_values=batch).pooler_output
        text = theirs.get_text_features(input_ids=ours.tokenizer(TEXTS)).pooler_output
        assert torch.allclose(normalize(image, dim=1), ours.encode_images(batch), atol=1e-5)
        assert torch.allclose(normalize(text, dim=1), ours.encode_texts(TEXTS), atol=1e-5)
        assert theirs.logit_scale.exp().item() == pytest.approx(float(ours.logit_scale), rel=1e-6)


def test_exported_folder_opens_in_transformers_with_equal_logits(tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPProcessor

    model, folder = exported(tmp_path, OTHER_SIZES)
    ours = backbone(model)
    theirs, report = CLIPModel.from_pretrained(folder, output_loading_info=True)
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    processor = CLIPProcessor.from_pretrained(folder, backend="pil")
    paths = photos(tmp_path, [(90, 60), (60, 90), (64, 64), (41, 40)])
    pictures = [decode_image(path.read_bytes()) for path in paths]
    inputs = processor(
        text=TEXTS, images=pictures, return_tensors="pt", padding=True, truncation=True
    )
    views = torch.stack([evaluation_view(picture, ours.pixel_format) for picture in pictures])
    assert torch.allclose(inputs["pixel_values"], views, atol=1e-5)
    with torch.no_grad():
        logits = theirs(**inputs).logits_per_image
        expected = ours.encode_images(views) @ ours.encode_texts(TEXTS).T * ours.logit_scale
    assert torch.allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("has_several", "kind"),
    [
        *((False, kind) for kind in ("upright", *ODD_PHOTOS)),
        pytest.param(True, "upright", marks=pytest.mark.slow),
    ],
)
def test_the_readme_classifies_a_photo(
    has_several: bool,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, folder = exported(tmp_path, *([TINY_CLIP, QUICK_GELU] if has_several else [TINY_CLIP]))
    monkeypatch.chdir(folder.parent)
    if kind == "upright":
        Image.effect_mandelbrot((64, 48), (-3, -2.5, 2, 2.5), 100).save("photo.jpg")
    else:
        odd_photo(Path("photo.jpg"), kind)
    code = (folder / "README.md").read_text().split("```python\n")
    scope: dict[str, Any] = {}
    exec(compile(code[1].split("```")[0], "README", "exec"), scope)
    (expected,) = latte.load(folder.parent.parent).predict("photo.jpg")
    assert capsys.readouterr().out == f"{expected.name} {expected.confidence:.4f}\n"
    exec(compile(code[2].split("```")[0], "README", "exec"), scope)
    assert "tensor([[" in capsys.readouterr().out


def test_prototypes_are_exported_with_their_metadata(tmp_path: Path) -> None:
    model, folder = exported(tmp_path, TINY_CLIP)
    with safe_open(folder / "prototypes.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["latte"])
        assert torch.equal(
            file.get_tensor("learner-0.weights"), model.members[0].classifier.weights
        )
        assert torch.equal(file.get_tensor("learner-0.owners"), TWO_EACH)
    assert tuple(about["class_names"]) == NAMES
    assert (about["scale"], about["calibrated"]) == (7.5, True)
    assert about["logit_scale"] == pytest.approx(model.logit_scale)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (TIMM_MLP, r"image tower \(TimmModel with a EfficientNet\)"),
        (RESNET, r"image tower \(ModifiedResNet\)"),
        (BIDIRECTIONAL, "no causal mask"),
        (SIGLIP_LIKE, "its logits have a bias"),
        (CUSTOM_BLOCKS, "blocks of its image tower"),
        (LINEAR_TEXT_PROJECTION, "text projection has a bias"),
        (with_parts({"pool_type": "avg"}), "pools by `avg`"),
        (with_parts({"patch_size": [16, 8]}), "image tower: .*patches are not square"),
        (with_parts({"attentional_pool": True}), "pools by attention"),
        (with_parts({"no_ln_pre": True}), "first layer norm"),
        (with_parts({"ls_init_value": 0.1}), "blocks of its image tower"),
    ],
)
def test_unsupported_tower_is_an_error_that_names_alternatives(
    config: dict[str, Any], words: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", adapted({"main": config}))
    with pytest.raises(LatteError, match=words) as caught:
        export_run(run, "transformers", None, RecordedProgress())
    assert "open_clip" in str(caught.value)
    assert "--format onnx" in str(caught.value)
    assert not (run / "export").exists()


@pytest.mark.parametrize(("mode", "fits"), [("squash", True), ("longest", False)])
def test_image_processor_supports_square_and_shortest_side_only(
    mode: str, fits: bool, tmp_path: Path
) -> None:
    from transformers import CLIPProcessor

    model = adapted({"main": TINY_CLIP})
    backbone(model).model.visual.preprocess_cfg["resize_mode"] = mode
    run = write_run(tmp_path / "run", model)
    if not fits:
        with pytest.raises(LatteError, match="cannot pad"):
            export_run(run, "transformers", None, RecordedProgress())
        return
    folder = export_run(run, "transformers", None, RecordedProgress())
    processor = CLIPProcessor.from_pretrained(folder, backend="pil")
    (path,) = photos(tmp_path, [(90, 37)])
    picture = decode_image(path.read_bytes())
    processed = processor(images=picture, return_tensors="pt")["pixel_values"][0]
    pixel_format = latte.load(run).adapted.backbones[0].pixel_format
    assert pixel_format.resize_mode == mode
    assert torch.allclose(processed, evaluation_view(picture, pixel_format), atol=1e-5)
