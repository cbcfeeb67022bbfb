"""Small deterministic inputs for tests of components."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from latte.interfaces import (
    Candidate,
    Classifier,
    Context,
    DescribedImage,
    Evidence,
    ImageReference,
    TrainingStart,
)
from latte.testing.clip import WIDTH, StubClip

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


def stub_clip() -> StubClip:
    """Return a small deterministic CLIP that does not need open_clip."""
    return StubClip()


def make_context(folder: Path, seed: int = 0) -> Context:
    """Return a context on the CPU; the recipe is in `folder`, the frozen CLIP is a `StubClip`."""
    cache = folder / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return Context(base_dir=folder, cache_dir=cache, device="cpu", seed=seed, frozen_clip=stub_clip)


def unit_rows(rows: int, width: int = WIDTH, seed: int = 0) -> Tensor:
    """Return random unit features (rows, width), float32."""
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator), dim=1)


def tiny_images(folder: Path, count: int = 6) -> list[ImageReference]:
    """Write `count` different images, `0.png` and so on, and return their references."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_tiny_image(folder, number) for number in range(count)]


def _tiny_image(folder: Path, number: int) -> ImageReference:
    image = Image.new("RGB", (12 + number, 10), (40 * number % 256, 90, 200))
    image.paste((255, 255, 0), (0, 0, 3, 3 + number % 6))
    path = folder / f"{number}.png"
    image.save(path)
    return ImageReference(path.name, path)


def described_images(folder: Path, count: int = 3) -> list[DescribedImage]:
    """Return `count` images as in requests to a describer, with random features."""
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
    """Return a `TrainingStart` with random data; the last of several classes has no image."""
    class_features = unit_rows(classes, seed=1)
    nearest = torch.arange(images) % max(classes - 1, 1)
    image_features = normalize(class_features[nearest] + 0.3 * unit_rows(images, seed=2), dim=1)
    zero_shot_labels = (image_features @ class_features.T).argmax(dim=1)
    seeds = {name: 100 + place for place, name in enumerate(descriptions)}

    def texts(labels: Tensor) -> dict[str, Tensor]:
        return {
            name: class_features[labels] if name == "class" else unit_rows(images, seed=seed)
            for name, seed in seeds.items()
        }

    return TrainingStart(
        class_names=tuple(f"class {label}" for label in range(classes)),
        class_features=class_features,
        image_features=image_features,
        zero_shot_labels=zero_shot_labels,
        description_features=lambda name: texts(zero_shot_labels)[name],
        texts=texts,
    )


def guard_evidence(
    classes: int = 4, images: int = 12, *, trained: bool = False, learners: int = 1
) -> Evidence:
    """Return evidence whose prototypes are the normalised sums of each class's text and images.

    If `trained` is True, each learner has different image features.
    """
    start = training_start(classes, images)
    frozen, texts = start.image_features, start.class_features
    candidates = {}
    for number in range(learners):
        own = frozen + 0.1 * unit_rows(images, seed=20 + number) if trained else frozen
        features = normalize(own, dim=1)
        sums = texts + torch.zeros_like(texts).index_add_(0, start.zero_shot_labels, features)
        classifier = Classifier(normalize(sums, dim=1), torch.arange(classes))
        candidates[f"learner-{number}"] = Candidate(features, classifier, 100.0)
    similarities = sum(
        one.classifier.similarities(one.image_features) for one in candidates.values()
    )
    assert isinstance(similarities, Tensor), "there is at least one learner"
    return Evidence(
        class_names=start.class_names,
        class_features=texts,
        image_features=frozen,
        logit_scale=100.0,
        candidates=candidates,
        labels=similarities.argmax(dim=1),
        trained=trained,
    )
