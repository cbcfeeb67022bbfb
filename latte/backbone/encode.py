"""Features of many images or of class names, without gradient, on the CPU."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from latte import processes
from latte.backbone.class_texts import ClassTexts
from latte.data.batches import evaluation_batches
from latte.data.cache import ImageCache
from latte.interfaces import Backbone, LatteError, Progress

_TEXTS_A_PART = 1024


def encode_image_batches(
    backbone: Backbone,
    batches: Iterable[tuple[Tensor, Tensor]],
    total: int,
    progress: Progress,
    name: str,
) -> Tensor:
    """Encode batches of (indices (B,), pixels (B, 3, S, S)) -> unit features (N, D), N = `total`.

    Row i holds the feature of index i, whatever the order of the batches; every index must come.

    Raises:
        LatteError: if a feature is not finite, as after training that diverged.
    """
    features = torch.zeros(total, backbone.embedding_width)
    seen = torch.zeros(total, dtype=torch.bool)
    with torch.inference_mode(), progress.task(name, total, "images") as task:
        for indices, pixels in batches:
            features[indices] = backbone.encode_images(pixels).cpu()
            seen[indices] = True
            task.advance(len(indices))
    if not seen.all():
        raise ValueError(f"{int((~seen).sum())} of {total} images did not come")
    if not features.isfinite().all():
        raise LatteError(
            "the image tower gives features that are not finite numbers",
            hint="if this is a trained model, training diverged: lower the learning rate",
        )
    return features


def encode_cached_images(
    backbone: Backbone,
    images: ImageCache,
    batch_size: int,
    progress: Progress,
    name: str,
    only: Sequence[int] | None = None,
) -> Tensor:
    """Unit features (N, D) of the evaluation views of all `images`, on the CPU.

    With `only`, those of the images with these indices, in their order. Several processes encode a
    share each, of which progress shows the first's.
    """
    chosen = range(len(images)) if only is None else only
    own = processes.share(chosen)
    batches = _placed(evaluation_batches(images, backbone.pixel_format, batch_size, own))
    features = encode_image_batches(backbone, batches, len(own), progress, name)
    processes.wait_for_all()
    return processes.gather_rows(features, len(chosen))


def _placed(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """`batches` with the places 0, 1, ... in which they come for their indices."""
    first = 0
    for indices, pixels in batches:
        yield torch.arange(first, first + len(indices)), pixels
        first += len(indices)


def encode_many_texts(
    backbone: Backbone, texts: Sequence[str], progress: Progress, name: str
) -> Tensor:
    """Unit features (M, D) of M distinct texts, on the CPU, without gradient.

    Several processes encode a share each, of which progress shows the first's.
    """
    features = _encode_texts(backbone, processes.share(texts), progress, name)
    processes.wait_for_all()
    return processes.gather_rows(features, len(texts))


def _encode_texts(
    backbone: Backbone, texts: Sequence[str], progress: Progress, name: str
) -> Tensor:
    parts = [torch.empty(0, backbone.embedding_width)]
    with torch.no_grad(), progress.task(name, len(texts), "texts") as task:
        for first in range(0, len(texts), _TEXTS_A_PART):
            part = texts[first : first + _TEXTS_A_PART]
            parts.append(backbone.encode_texts(part).cpu())
            task.advance(len(part))
    return torch.cat(parts)


def encode_class_texts(backbone: Backbone, texts: ClassTexts) -> Tensor:
    """The zero-shot classifier: one unit row a class, (C, D), on the CPU, without gradient."""
    with torch.no_grad():
        return texts.features(backbone.encode_texts).cpu()
