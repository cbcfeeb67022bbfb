"""An exported SigLIP opens in transformers with the features and tokens of open_clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.tokenizer import HFTokenizer
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch.nn.functional import normalize

import latte
from latte.backbone.open_clip import OpenClipBackbone
from latte.data.images import decode_image
from latte.export.run import export_run
from latte.interfaces import Classifier, LatteError
from latte.models.adapted import Adapted, Member
from tests.helpers.clip_models import build_clip, with_parts
from tests.helpers.evaluated import evaluation_view
from tests.helpers.exported_runs import photos, write_run
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough

transformers: Any = pytest.importorskip("transformers")

LENGTH = 12
WORDS = ("a", "photo", "of", "the", "red", "dog", "cat", "house", "its", "two", "words", "35", "br")
TEXTS = ["a photo of a cat.", "It's  a_red <br/> Dog!!", "", "</s> a </s>", "the house " * 20]


@register_model  # type: ignore[untyped-decorator]
def vit_tiny_siglip_test(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the architecture of timm's `vit_base_patch16_siglip_224` with small sizes."""
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3}
    supported = {
        name: arguments[name] for name in arguments if name in ("num_classes", "init_values")
    }
    return VisionTransformer(class_token=False, global_pool="map", **sizes, **supported)


@register_model  # type: ignore[untyped-decorator]
def vit_tiny_scaled_test(pretrained: bool = False, **arguments: Any) -> Any:
    """Build the same architecture with layer scales, which SigLIP does not have."""
    return vit_tiny_siglip_test(init_values=0.5, **arguments)


def config(trunk: str = "vit_tiny_siglip_test", **text: Any) -> dict[str, Any]:
    return with_parts(
        {"timm_model_name": trunk, "timm_pool": "map", "timm_proj": "none", "image_size": 32},
        {
            "context_length": LENGTH,
            "vocab_size": len(WORDS) + 3,
            "hf_tokenizer_name": "unused",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
            "norm_kwargs": {"eps": 1e-6},
            **text,
        },
        embed_dim=24,
        custom_text=True,
        init_logit_bias=-10,
    )


def tokenizer(folder: Path) -> HFTokenizer:
    """Return open_clip's tokenizer around a saved tokenizer with a few words."""
    entries = ["<pad>", "</s>", "<unk>", *WORDS]
    backend = Tokenizer(
        WordLevel({word: number for number, word in enumerate(entries)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = Whitespace()
    backend.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=LENGTH, clean="canonicalize")


def siglip(folder: Path, built: dict[str, Any]) -> OpenClipBackbone:
    plain = build_clip(built)
    with torch.no_grad():
        for weight in plain.model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        plain.model.logit_scale.fill_(4.8)
    return OpenClipBackbone(plain.model, plain.config, tokenizer(folder / "words"))


def exported(folder: Path, backbone: OpenClipBackbone) -> Path:
    rows = Classifier(normalize(torch.randn(2, 24), dim=1), torch.tensor([0, 1]))
    model = Adapted(("cat", "dog"), (Member("main", backbone, rows),))
    return export_run(write_run(folder / "run", model), "transformers", None, RecordedProgress())


@pytest.mark.parametrize("text", [{}, {"act_kwargs": {"approximate": "tanh"}}])
def test_exported_siglip_opens_with_equal_logits(tmp_path: Path, text: dict[str, Any]) -> None:
    ours = siglip(tmp_path, config(**text))
    folder = exported(tmp_path, ours)
    theirs, report = transformers.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(theirs) is transformers.SiglipModel
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(theirs.logit_scale[0], ours.model.logit_scale)
    assert torch.equal(theirs.logit_bias[0], ours.model.logit_bias)
    processor = transformers.AutoProcessor.from_pretrained(folder, backend="pil")
    pictures = [
        decode_image(photo.read_bytes()) for photo in photos(tmp_path, [(32, 32), (90, 60)])
    ]
    views = torch.stack([evaluation_view(picture, ours.pixel_format) for picture in pictures])
    inputs = processor(
        text=TEXTS, images=pictures, return_tensors="pt", padding="max_length", truncation=True
    )
    assert torch.equal(inputs["input_ids"], ours.tokenizer(TEXTS))
    assert torch.allclose(inputs["pixel_values"], views, atol=1e-5)
    with torch.no_grad():
        outputs = theirs(**inputs)
        assert torch.allclose(outputs.image_embeds, ours.encode_images(views), atol=1e-5)
        assert torch.allclose(outputs.text_embeds, ours.encode_texts(TEXTS), atol=1e-5)
        cosines = ours.encode_images(views) @ ours.encode_texts(TEXTS).T
        expected = ours.logit_scale * cosines + ours.model.logit_bias
    assert torch.allclose(outputs.logits_per_image, expected, atol=1e-3)


def test_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(tmp_path, siglip(tmp_path, config()))
    monkeypatch.chdir(folder.parent)
    photos(tmp_path, [(64, 48)])[0].rename("photo.jpg")
    scope: dict[str, Any] = {}
    for code in (folder / "README.md").read_text().split("```python\n")[1:]:
        exec(compile(code.split("```")[0], "README", "exec"), scope)
    (expected,) = latte.load(folder.parent.parent).predict("photo.jpg")
    assert capsys.readouterr().out.startswith(f"{expected.name} {expected.confidence:.4f}\ntensor(")


def test_rounding_of_features_with_large_norms_is_accepted(tmp_path: Path) -> None:
    backbone = siglip(tmp_path, config())
    with torch.no_grad():
        backbone.model.text.text_projection.weight.mul_(1e5)
    assert (exported(tmp_path, backbone) / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trunk": "vit_tiny_scaled_test"}, "image tower computes other features"),
        ({"no_causal_mask": False}, "text tower computes other features"),
        ({"ls_init_value": 0.1}, "blocks of its text tower"),
        ({"proj_type": "none", "width": 24, "heads": 3}, "its text tower"),
        ({"tokenizer_kwargs": {"clean": "whitespace"}}, r"its tokenizer \(HFTokenizer\)"),
    ],
)
def test_other_towers_and_tokenizers_are_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    backbone = siglip(tmp_path, config(**changes))
    with pytest.raises(LatteError, match=words) as caught:
        exported(tmp_path, backbone)
    assert "open_clip opens" in str(caught.value)
    assert not (tmp_path / "run" / "export").exists()
