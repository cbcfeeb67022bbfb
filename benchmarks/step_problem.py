"""Input of both training steps that `python -m benchmarks step` compares."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from open_clip.factory import get_model_config
from open_clip.model import CLIP, set_model_preprocess_cfg
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg
from torch import Tensor
from torch.nn.functional import normalize

# The 47 classes of DTD.
# fmt: off
CLASSES = (
    "banded", "blotchy", "braided", "bubbly", "bumpy", "chequered", "cobwebbed",
    "cracked", "crosshatched", "crystalline", "dotted", "fibrous", "flecked", "freckled",
    "frilly", "gauzy", "grid", "grooved", "honeycombed", "interlaced", "knitted",
    "lacelike", "lined", "marbled", "matted", "meshed", "paisley", "perforated",
    "pitted", "pleated", "polka-dotted", "porous", "potholed", "scaly", "smeared",
    "spiralled", "sprinkled", "stained", "stratified", "striped", "studded", "swirly",
    "veined", "waffled", "woven", "wrinkled", "zigzagged",
)
# fmt: on
AGREEMENT = 0.75
LEARNING_RATE = 1e-7
TEMPLATE = "a photo of a {class}."
CAPTION_WORDS = (14, 19)
_TINY: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
# Each word is one token of CLIP's vocabulary, like most words of captions.
# fmt: off
_WORDS = (
    "red", "green", "blue", "white", "black", "wooden", "metal", "woven",
    "round", "striped", "smooth", "rough", "small", "large", "old", "new",
    "surface", "pattern", "with", "and", "of", "on", "the", "a",
    "close", "photo", "texture", "fabric", "stone", "glass", "leaf", "water",
)
# fmt: on


@dataclass(frozen=True)
class StepProblem:
    """One batch, and a model with random weights."""

    model: CLIP
    config: Mapping[str, Any]
    class_names: Sequence[str]
    pixels: Tensor
    """(B, 3, S, S), on the model's device."""
    zero_shot_labels: Tensor
    """(B,) int64; about `AGREEMENT` of them are the class of the nearest prototype."""
    prototypes: Tensor
    """(C, D) unit rows on the model's device.

    The images' nearest classes are as varied as random labels.
    """
    captions: Sequence[str]
    group_captions: Sequence[str]

    @property
    def tokenizer(self) -> SimpleTokenizer:
        """Tokenizer of the model."""
        return SimpleTokenizer(context_length=self.config["text_cfg"]["context_length"])

    def twin(self) -> CLIP:
        """Return a copy of the model."""
        return copy.deepcopy(self.model)


def make_problem(shape: str, batch: int, device: str = "cpu") -> StepProblem:
    """Return a problem that depends on the arguments only; `shape` is `tiny` or of open_clip."""
    draw = random.Random(0)
    torch.manual_seed(0)
    config = _TINY if shape == "tiny" else get_model_config(shape)  # type: ignore[no-untyped-call]
    model = CLIP(**config).to(device)
    size = config["vision_cfg"]["image_size"]
    set_model_preprocess_cfg(model, asdict(PreprocessCfg(size=size)))
    pixels = torch.randn(batch, 3, size, size).to(device)
    labels, random_labels = torch.randint(len(CLASSES), (2, batch))
    return StepProblem(
        model=model,
        config=config,
        class_names=CLASSES,
        pixels=pixels,
        zero_shot_labels=torch.where(torch.rand(batch) < AGREEMENT, labels, random_labels),
        prototypes=_prototypes(model, pixels, labels),
        captions=_sentences(draw, batch),
        group_captions=_sentences(draw, batch),
    )


@torch.no_grad()
def _prototypes(model: CLIP, pixels: Tensor, labels: Tensor) -> Tensor:
    """Return prototypes at image features, without the mean direction of all images."""
    features = model.encode_image(pixels, normalize=True).cpu()
    common = normalize(features.mean(dim=0), dim=0)
    rows = torch.randn(len(CLASSES), features.shape[1])
    for label, feature in zip(labels.tolist(), features, strict=True):
        rows[label] = feature
    return normalize(rows - (rows @ common)[:, None] * common, dim=1).to(pixels.device)


def _sentences(draw: random.Random, count: int) -> list[str]:
    return [" ".join(draw.choices(_WORDS, k=draw.randint(*CAPTION_WORDS))) for _ in range(count)]
