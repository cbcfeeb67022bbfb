"""Classifies any images with a run's adapted model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from latte.backbone.encode import encode_cached_images
from latte.data.scan import SkippedImage, scan_images
from latte.data.sources import walk
from latte.evaluate.predictions import Prediction, predict_rows
from latte.interfaces import ImageReference, LatteError, Progress
from latte.run.adapted import Adapted


def list_images(paths: Sequence[Path]) -> list[ImageReference]:
    """Files as they were named, and every image below folders. Raises `LatteError`."""
    references = []
    for path in paths:
        if path.is_dir():
            found = sorted(walk.list_images(path, where=str(path)))
            references += [ImageReference(str(one), one) for one in found]
        elif path.exists():
            references.append(ImageReference(str(path), path))
        else:
            raise LatteError("there is no such image or folder", where=str(path))
    if not references:
        raise LatteError("there is no image here", where=", ".join(map(str, paths)))
    return references


def predict(
    adapted: Adapted,
    images: Sequence[ImageReference],
    progress: Progress,
    *,
    top_k: int,
    batch_size: int,
) -> tuple[Iterator[Prediction], tuple[SkippedImage, ...]]:
    """The `top_k` classes of each readable image, and the images that are not readable."""
    scan = scan_images(images, progress, "read images")
    features = [
        encode_cached_images(member.backbone, scan.cache, batch_size, progress, "predict")
        for member in adapted.members
    ]
    rows = predict_rows(
        [image.id for image in scan.images],
        adapted.similarities(features),
        adapted.class_names,
        logit_scale=adapted.logit_scale,
        top_k=top_k,
    )
    return iter(rows), scan.skipped
