"""A small deterministic CLIP, and small inputs for tests of components."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from latte.api import (
    Backbone,
    Candidate,
    Classifier,
    Context,
    DescribedImage,
    Encoder,
    Evidence,
    ImageReference,
    ModuleEncoder,
    PixelFormat,
    TrainableGroup,
    TrainingStart,
)

WIDTH = 16
"""Embedding width D of all features in `latte_author.testing`."""

_POOLED = 4
_GROUPS: Mapping[TrainableGroup, tuple[str, ...]] = {
    "all": ("image", "text", "logit_scale"),
    "projections": ("image", "text"),
}


class StubClip(Backbone):
    """Backbone with deterministic features that differ for different inputs; needs no download.

    An image feature depends on the mean colours of 4 x 4 tiles, and a text feature on a hash of the
    text, so similarities of images and texts have no meaning. Only the trainable groups `all` and
    `projections` have parameters.

    Example:
        >>> from latte_author.testing import StubClip
        >>> clip = StubClip()
        >>> bool((clip.encode_texts(["a cat"]) == clip.encode_texts(["a cat"])).all())
        True
    """

    def __init__(self, width: int = WIDTH) -> None:
        self.pixel_format = PixelFormat(size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.embedding_width = width
        generator = torch.Generator().manual_seed(0)
        weights = {
            "image": torch.randn(3 * _POOLED**2, width, generator=generator),
            "text": torch.eye(width),
            "logit_scale": torch.tensor(math.log(100.0)),
        }
        self._parameters = {
            name: nn.Parameter(tensor, requires_grad=False) for name, tensor in weights.items()
        }

    @property
    def fingerprint(self) -> str:
        """Identifier that depends on the embedding width only."""
        return f"stub-clip-{self.embedding_width}"

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Encode pixels (B, 3, S, S) to unit features (B, D)."""
        pooled_pixels = adaptive_avg_pool2d(pixels, _POOLED).flatten(1)
        return normalize(pooled_pixels @ self._parameters["image"], dim=1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Encode M texts to unit features (M, D)."""
        width = self.embedding_width
        rows = [_hashed(text, width) for text in texts]
        matrix = torch.stack(rows) if rows else torch.zeros(0, width)
        return normalize(matrix @ self._parameters["text"], dim=1)

    @property
    def logit_scale(self) -> Tensor:
        """Scalar that multiplies cosine similarities."""
        return self._parameters["logit_scale"].exp()

    def clamp_logit_scale(self) -> None:
        """Keep the logit scale within [1, 100]."""
        with torch.no_grad():
            self._parameters["logit_scale"].clamp_(0.0, math.log(100.0))

    def train_only(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        """Unfreeze `group`, freeze the rest, and return the trainable parameters by name."""
        names = _GROUPS.get(group, ())
        for name, parameter in self._parameters.items():
            parameter.requires_grad_(name in names)
        return {name: self._parameters[name] for name in names}

    def fork(self) -> StubClip:
        """Return an independent frozen copy."""
        copy = StubClip(self.embedding_width)
        copy.load_state(self.state())
        return copy

    def state(self) -> dict[str, Tensor]:
        """Return every weight by name."""
        return {name: parameter.detach().clone() for name, parameter in self._parameters.items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state[name])

    def save(self, folder: Path) -> None:
        """Raise `NotImplementedError`: a stub is not an open_clip model."""
        raise NotImplementedError("StubClip is no open_clip model and cannot be saved as one")


class StubEncoder(ModuleEncoder):
    """Encoder whose features are linear in the mean colours of 2 x 2 tiles; needs no download.

    Example:
        >>> import torch
        >>> from latte_author.testing import StubEncoder
        >>> StubEncoder(width=4).encode_images(torch.rand(3, 3, 12, 12)).shape
        torch.Size([3, 4])
    """

    def __init__(self, width: int = 6) -> None:
        tiles = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, width))
        generator = torch.Generator().manual_seed(width)
        with torch.no_grad():
            for weight in tiles.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator))
        grey = (0.5, 0.5, 0.5)
        super().__init__(tiles, PixelFormat(12, grey, grey), {"width": width})


@cache
def _hashed(text: str, width: int) -> Tensor:
    seed = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(seed))
    return torch.randn(width, generator=generator)


HOSTILE_NAMES = (
    "chien à poil dur",
    "写真 🦊",
    "{class} {0} {",
    "100 % <b>&amp;</b> \"'",
    "../../outside",
    "a\tb\\n",
    "W" * 300,
    "\u202emirrored",
    "</style></script><script>alert(1)</script>",
    "javascript:alert(1)",
)
"""Unusual class names; some contain attacks on HTML, paths or terminals."""


def make_context(folder: Path, seed: int = 0) -> Context:
    """Return a `Context` on the CPU with a `StubClip`; relative paths start at `folder`."""
    cache = folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return Context(base_dir=folder, cache_dir=cache, device="cpu", seed=seed, frozen_clip=StubClip)


def unit_rows(rows: int, width: int = WIDTH, seed: int = 0) -> Tensor:
    """Return random unit features (rows, width), float32."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator), dim=1)


def random_classifier(classes: int, seed: int) -> Classifier:
    """Return a classifier with one random unit row per class."""
    return Classifier(unit_rows(classes, seed=seed), torch.arange(classes))


def noise(encoder: Encoder) -> Tensor:
    """Return pixels (3, 3, S, S) of three fixed random images; S is the encoder's image size."""
    side = encoder.pixel_format.size
    return torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(0))


def tiny_images(folder: Path, count: int = 6) -> list[ImageReference]:
    """Write `count` different images, `0.png` and so on, and return their references."""
    folder.mkdir(parents=True, exist_ok=True)
    references = []
    for number in range(count):
        image = Image.new("RGB", (12 + number, 10), (40 * number % 256, 90, 200))
        image.paste((255, 255, 0), (0, 0, 3, 3 + number % 6))
        path = folder / f"{number}.png"
        image.save(path)
        references.append(ImageReference(path.name, path))
    return references


def described_images(folder: Path, count: int = 3) -> list[DescribedImage]:
    """Return `count` images for requests to a describer, with random features."""
    references = tiny_images(folder, count)
    features = unit_rows(count, seed=11)
    return [
        DescribedImage(
            key=hashlib.blake2b(reference.read_bytes(), digest_size=16).hexdigest(),
            features=features[row],
            open=partial(_open, reference.path),
        )
        for row, reference in enumerate(references)
    ]


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def training_start(
    classes: int = 4, images: int = 12, descriptions: Sequence[str] = ("class", "image", "group")
) -> TrainingStart:
    """Return a `TrainingStart` with random features.

    If there are two or more classes, the last class has no images.
    """
    class_features = unit_rows(classes, seed=1)
    nearest_classes = torch.arange(images) % max(classes - 1, 1)
    image_features = normalize(
        class_features[nearest_classes] + 0.3 * unit_rows(images, seed=2), dim=1
    )
    return _start(class_features, image_features, descriptions)


def separated_start() -> TrainingStart:
    """Return a `TrainingStart` of four classes with 65, 55, 45 and 35 images close to their class.

    As in CLIP, the cosine of two classes is high (0.9). So a bias in logit units, such as the
    logarithm of class frequencies, is larger than the differences between similarities.
    """
    class_features = normalize(torch.eye(4, WIDTH) + 3 * torch.eye(WIDTH)[4], dim=1)
    nearest_classes = torch.arange(4).repeat_interleave(torch.tensor([65, 55, 45, 35]))
    image_features = class_features[nearest_classes] + 0.1 * unit_rows(len(nearest_classes), seed=2)
    return _start(class_features, normalize(image_features, dim=1), ())


def _start(
    class_features: Tensor, image_features: Tensor, descriptions: Sequence[str]
) -> TrainingStart:
    images = len(image_features)
    zero_shot_labels = (image_features @ class_features.T).argmax(dim=1)
    seeds = {name: 100 + place for place, name in enumerate(descriptions)}

    def texts(labels: Tensor) -> dict[str, Tensor]:
        return {
            name: class_features[labels] if name == "class" else unit_rows(images, seed=seed)
            for name, seed in seeds.items()
        }

    return TrainingStart(
        class_names=tuple(f"class {label}" for label in range(len(class_features))),
        class_features=class_features,
        image_features=image_features,
        zero_shot_labels=zero_shot_labels,
        description_features=lambda name: texts(zero_shot_labels)[name],
        texts=texts,
        encode_names=lambda names: unit_rows(len(names), seed=50, width=class_features.shape[1]),
    )


def guard_evidence(
    classes: int = 4,
    images: int = 12,
    *,
    trained: bool = False,
    learners: int = 1,
    corrected: int = 0,
) -> Evidence:
    """Return input for tests of guards, computed from random features.

    If `trained` is True, each learner has different image features. The first `corrected` images
    have a class that a person gave.
    """
    start = training_start(classes, images)
    image_features, class_features = start.image_features, start.class_features
    candidates = {}
    for number in range(learners):
        learner_features = (
            image_features + 0.1 * unit_rows(images, seed=20 + number)
            if trained
            else image_features
        )
        features = normalize(learner_features, dim=1)
        class_sums = class_features + torch.zeros_like(class_features).index_add_(
            0, start.zero_shot_labels, features
        )
        classifier = Classifier(normalize(class_sums, dim=1), torch.arange(classes))
        candidates[f"learner-{number}"] = Candidate(features, classifier, 100.0)
    similarities = sum(
        candidate.classifier.similarities(candidate.image_features)
        for candidate in candidates.values()
    )
    assert isinstance(similarities, Tensor), "there is at least one learner"
    rows = torch.arange(images)
    return Evidence(
        class_names=start.class_names,
        class_features=class_features,
        image_features=image_features,
        logit_scale=100.0,
        candidates=candidates,
        labels=similarities.argmax(dim=1),
        trained=trained,
        corrections=torch.where(rows < corrected, rows % classes, -1) if corrected else None,
    )
