"""Frozen features of a folder of labelled images, and the CLIP that computes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from latte.interfaces import (
    Backbone,
    Dataset,
    Encoder,
    ImageReference,
    LatteError,
    Progress,
)
from latte.interfaces.settings import BackboneSettings
from latte.io.environment import cache_folder
from latte.registry.context import unbound_context
from latte.registry.registry import load_registry

if TYPE_CHECKING:
    from torch import Tensor

_BATCH = 64


@dataclass(frozen=True)
class LabelledFeatures:
    """Frozen features of N labelled images and of C class texts.

    Attributes:
        class_names: Names of the C classes.
        class_features: (C, D): unit features of the class texts.
        image_features: (N, D): unit features of the images.
        labels: (N,) int64: class of each image.
        encode_names: Returns the unit text features (K, D) of K names in the folder's template.

    Example:
        >>> import torch
        >>> from latte.api.runs import LabelledFeatures
        >>> rows, labels = torch.eye(2), torch.arange(2)
        >>> LabelledFeatures(("cat", "dog"), rows, rows, labels, lambda names: rows).labels
        tensor([0, 1])
    """

    class_names: tuple[str, ...]
    class_features: Tensor
    image_features: Tensor
    labels: Tensor
    encode_names: Callable[[Sequence[str]], Tensor]


def load_clip(model: str, device: str = "cpu") -> Backbone:
    """Load an open_clip model, as a recipe's `backbone: {model: ...}` names it.

    Relative paths start at the working directory. Raises `LatteError` if the model is not here.

    Example:
        from latte.api.runs import load_clip

        clip = load_clip("plugin:tiny")
    """
    from latte.backbone.load import load_backbone

    folder = load_registry().model_folder
    return load_backbone(
        BackboneSettings(model=model), device=device, base_dir=Path(), model_folder=folder
    )


def labelled_features(root: Path, clip: Backbone, progress: Progress) -> LabelledFeatures:
    """Encode a folder with a sub-folder of images per class; features are cached.

    Raises `LatteError` if there are no such images.

    Example:
        from latte.api.output import make_progress
        from latte.api.runs import labelled_features, load_clip

        labelled = labelled_features(Path("photos"), load_clip("plugin:tiny"), make_progress())
    """
    import torch

    from latte.backbone.encode import ClassTexts, encode_class_texts

    registry = load_registry()
    registered = registry.get("dataset", "folder")
    options = registry.options_model(registered).model_validate(
        {"root": str(root.absolute()), "classes": "folders"}
    )
    context = replace(
        unbound_context(Path(), registry), frozen_clip=lambda: clip, progress=progress
    )
    dataset = cast("Dataset[Any]", registry.build(registered, options, context))
    label_of = dataset.audit_labels()
    images = [image for image in dataset.training_images() if image.id in label_of]
    if not images:
        raise LatteError(
            "there is no image in a sub-folder",
            where=str(root),
            hint="put the images of each class into a sub-folder with the name of the class",
        )
    readable_images, features = encode_references(clip, images, progress, root.name)
    texts = ClassTexts.of(dataset.templates, dataset.class_aliases)

    def encode_names(names: Sequence[str]) -> Tensor:
        return encode_class_texts(
            clip, ClassTexts.of(dataset.templates, [(name,) for name in names])
        )

    labels = torch.tensor([label_of[image.id] for image in readable_images])
    class_features = encode_class_texts(clip, texts)
    return LabelledFeatures(dataset.class_names, class_features, features, labels, encode_names)


def encode_references(
    encoder: Encoder, images: Sequence[ImageReference], progress: Progress, name: str
) -> tuple[Sequence[ImageReference], Tensor]:
    """Return the readable images, and their features (N, D) by `encoder`, which are cached."""
    import torch

    from latte.backbone.encode import encode_cached_images
    from latte.data.cache import DecodedImages
    from latte.data.scan import scan_images
    from latte.run.feature_cache import cached_features

    decoded = DecodedImages(cache_folder() / "decoded")
    scan = scan_images(images, progress, f"check {name}", verified=decoded.keys)
    decoded.note(scan.keys)
    if scan.skipped:
        progress.say(f"{name}: {len(scan.skipped)} cannot be read: {scan.skipped[0].reason}")
    if not scan.keys:
        return (), torch.empty(0, encoder.embedding_width)

    def encode(missing: Sequence[int]) -> Tensor:
        return encode_cached_images(
            encoder, scan.cache, _BATCH, progress, f"encode {name}", missing
        )

    identity, width = (encoder.fingerprint, "images"), encoder.embedding_width
    return scan.images, cached_features(
        cache_folder(), identity, scan.keys, encode, width, progress, name
    )
