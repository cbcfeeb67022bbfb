"""A scripted describer, and training sets of random features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from latte.describe.plan import TrainingSet
from latte.interfaces import (
    Backbone,
    Context,
    Describer,
    DescribeRequest,
    DescriptionType,
    ImageReference,
    NoOptions,
)
from latte.toolkit.descriptions import (
    ClassDescription,
    ClassOptions,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)


def no_clip() -> Backbone:
    raise AssertionError("the CLIP must not be loaded")


def context(folder: Path = Path(), clip: Callable[[], Backbone] = no_clip) -> Context:
    return Context(base_dir=folder, cache_dir=folder, device="cpu", seed=0, frozen_clip=clip)


def echo(request: DescribeRequest) -> str:
    """Return a text with the prompt and the keys of the images."""
    return f"{request.prompt} {'+'.join(image.key for image in request.images)}"


class ScriptedDescriber(Describer[NoOptions]):
    """Answers each request with `script(request)`, and records batches and requests."""

    def __init__(
        self,
        script: Callable[[DescribeRequest], str | BaseException] = echo,
        *,
        batch_size: int = 4,
        max_images: int = 1,
        fingerprint: str = "scripted-1",
    ) -> None:
        super().__init__(NoOptions(), context())
        self.script = script
        self.batches: list[int] = []
        self.asked: list[str] = []
        self._batch_size = batch_size
        self._max_images = max_images
        self._fingerprint = fingerprint

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def max_images(self) -> int:
        return self._max_images

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | BaseException]:
        self.batches.append(len(requests))
        texts = [self.script(request) for request in requests]
        self.asked += [echo(request) for request in requests]
        return texts


def training_set(
    labels: Sequence[int],
    keys: Sequence[str] | None = None,
    class_names: Sequence[str] = ("cat", "dog", "fish"),
) -> TrainingSet:
    count = len(labels)
    generator = torch.Generator().manual_seed(0)
    return TrainingSet(
        images=[ImageReference(f"images/{i}.jpg", Path(f"{i}.jpg")) for i in range(count)],
        keys=keys or [f"hash{i}" for i in range(count)],
        features=torch.nn.functional.normalize(torch.randn(count, 8, generator=generator), dim=1),
        zero_shot_labels=torch.tensor(labels, dtype=torch.int64),
        class_names=class_names,
        template="a photo of a {class}.",
        open=lambda image: Image.new("RGB", (8, 6), (int(image.path.stem), 0, 0)),
    )


def descriptions(
    size: int = 2,
    image_prompt: str = "What?",
    redraw: bool = True,
    template: str = "this is a {class}.",
) -> Mapping[str, DescriptionType[Any]]:
    """Return one description of each scope, by name."""
    group = GroupOptions(size=size, prompt="In common?", redraw=redraw)
    return {
        "class": ClassDescription(ClassOptions(template=template), context()),
        "image": ImageDescription(ImageOptions(prompt=image_prompt), context()),
        "group": GroupDescription(group, context()),
    }
