"""The sentences that stand for classes: one each, or several that count as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte import distributed
from latte.data.batches import evaluation_batches
from latte.data.cache import ImageCache
from latte.interfaces import Backbone, LatteError, Progress


@dataclass(frozen=True)
class ClassTexts:
    """C classes; of each, every template filled with every name."""

    of_class: tuple[tuple[str, ...], ...]
    """The sentences of each class, at least one."""

    @classmethod
    def of(cls, templates: Sequence[str], names: Sequence[Sequence[str]]) -> Self:
        """`names` are all that each class goes by. Raises `LatteError` as `fill_template` does."""
        return cls(tuple(_filled(templates, of_class) for of_class in names))

    @property
    def sentences(self) -> list[str]:
        """All of them, class by class."""
        return [*chain.from_iterable(self.of_class)]

    def features(self, encode: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """One unit row a class (C, D), with gradient if `encode` gives M texts (M, D) with it.

        Of several sentences it is the unit vector along the mean of their unit features, as in
        CLIP's prompt ensembles (Radford et al. 2021, section 3.1.4).
        """
        encoded = encode(self.sentences)
        if len(encoded) == len(self.of_class):
            return encoded
        # No index_add: on a GPU it adds in an order that differs from run to run.
        rows = torch.cat([encoded, encoded.new_zeros(1, encoded.shape[1])])
        return normalize(rows[self._places.to(rows.device)].sum(dim=1), dim=1)

    @cached_property
    def _places(self) -> Tensor:
        """The sentences (C, most) of each class; the row behind all of them where it has fewer."""
        most = max(len(sentences) for sentences in self.of_class)
        places = torch.full((len(self.of_class), most), len(self.sentences))
        there = torch.arange(most) < torch.tensor([[len(one)] for one in self.of_class])
        places[there] = torch.arange(len(self.sentences))
        return places


def _filled(templates: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    return tuple(fill_template(template, [name])[0] for name in names for template in templates)


def fill_template(template: str, class_names: Sequence[str]) -> list[str]:
    """The template once a class, with `{class}` replaced by its name.

    Raises:
        LatteError: if the template does not contain `{class}`.
    """
    if "{class}" not in template:
        raise LatteError(
            f"the template {template!r} does not mention the class",
            hint='write {class} where the name belongs, as in "a photo of a {class}."',
        )
    return [template.replace("{class}", name) for name in class_names]


# Features of many images or of class names, without gradient, on the CPU.


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
    own = distributed.share(chosen)
    batches = _placed(evaluation_batches(images, backbone.pixel_format, batch_size, own))
    features = encode_image_batches(backbone, batches, len(own), progress, name)
    distributed.barrier()
    return distributed.all_gather_rows(features, len(chosen))


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
    features = _encode_texts(backbone, distributed.share(texts), progress, name)
    distributed.barrier()
    return distributed.all_gather_rows(features, len(texts))


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
