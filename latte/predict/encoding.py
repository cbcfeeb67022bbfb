"""Encode the images of a prediction in batches, or take their features from where they are stored.

Features are taken from the run's folder for its own images, and from a cache for batches that an
earlier call encoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from latte.backbone.features import check_features, check_rows
from latte.data.prefetch import to_device
from latte.data.views import normalise
from latte.interfaces import PixelFormat
from latte.models.adapted import Adapted, Member
from latte.predict.feature_cache import FeatureCache
from latte.predict.stored_features import StoredFeatures
from latte.predict.stream import (
    ImageViews,
    NamedImage,
    Unreadable,
    decoded_views,
    view_batches,
)


@dataclass(frozen=True)
class EncodedBatch:
    """A batch of B > 0 encoded images."""

    names: tuple[str, ...]
    keys: tuple[str | None, ...]
    """Content keys, computed as for a run's training images; None for Pillow images."""
    features: tuple[Tensor, ...]
    """Unit features (B, D) of each member of the model, on the CPU."""


def encode_stream(
    adapted: Adapted,
    images: Iterable[NamedImage],
    *,
    batch_size: int,
    on_unreadable: Unreadable | None = None,
    stored: StoredFeatures | None = None,
    cache: FeatureCache | None = None,
) -> Iterator[EncodedBatch]:
    """Yield batches of readable images, in order, each as soon as it is encoded.

    `stored` has features of files that need not be encoded again, and `cache` those of batches.
    `on_unreadable` is called with each image that cannot be read; these images are left out.

    Raises:
        UnreadableImageError: for the first unreadable image, without `on_unreadable`.
        LatteError: if a feature is not finite, as after training that diverged.
    """
    formats = list(dict.fromkeys(member.encoder.pixel_format for member in adapted.members))
    encoder = _BatchEncoder(adapted.members, formats, cache, on_unreadable)
    batches = view_batches(
        images,
        formats,
        batch_size=batch_size,
        on_unreadable=on_unreadable,
        stored=stored,
        decoded=() if cache is None else cache.decoded,
        alone=adapted.members[0].encoder.device.type == "cuda",
    )
    with closing(batches):
        try:
            yield from filter(None, map(encoder.encode, batches))
        finally:
            if cache is not None:
                cache.flush()


@dataclass(frozen=True)
class _BatchEncoder:
    """Encodes batches of images by the members of a model, unless their features are stored."""

    members: tuple[Member, ...]
    formats: list[PixelFormat]
    cache: FeatureCache | None
    on_unreadable: Unreadable | None

    def encode(self, views: list[ImageViews]) -> EncodedBatch | None:
        """Encode a batch; return None if none of its images can be read any more."""
        cached = self._cached(views)
        if any(view.unread for view in views) and any(rows is None for rows in cached):
            views = decoded_views(views, self.formats, self.on_unreadable)
            cached = self._cached(views)  # an image may have changed meanwhile
        if not views:
            return None
        features = _with_stored(views, self._encoded(views, cached))
        names, keys = tuple(view.name for view in views), tuple(view.key for view in views)
        return EncodedBatch(names, keys, features)

    def _cached(self, views: list[ImageViews]) -> list[Tensor | None]:
        """Return each member's features of the images that the run has not stored, if cached."""
        keys = _content_keys(_missing(views))
        if self.cache is None or not keys:
            return [None] * len(self.members)
        return [self.cache.read(member, keys) for member in self.members]

    def _encoded(self, views: list[ImageViews], cached: list[Tensor | None]) -> list[Tensor]:
        """Return each member's features (M, D) of the M images that the run has not stored."""
        missing = _missing(views)
        if not missing:
            return []
        to_encode = [
            member for member, rows in zip(self.members, cached, strict=True) if rows is None
        ]
        encoded = iter(_encode_pixels(to_encode, self.formats, missing))
        features = [next(encoded) if rows is None else rows for rows in cached]
        keys = _content_keys(missing)
        if self.cache is not None and keys and to_encode:
            self.cache.note_decoded(keys)
            for member, rows, found in zip(self.members, features, cached, strict=True):
                if found is None:
                    self.cache.write(member, keys, rows)
        return features


def _missing(views: list[ImageViews]) -> list[ImageViews]:
    return [view for view in views if view.features is None]


def _content_keys(views: list[ImageViews]) -> list[str]:
    """Return the content keys of the images; none if one is a Pillow image, which has no key."""
    keys = [view.key for view in views if view.key is not None]
    return keys if len(keys) == len(views) else []


def _with_stored(views: list[ImageViews], encoded: list[Tensor]) -> tuple[Tensor, ...]:
    """Return each member's features (B, D): those that the run stored, and the `encoded` ones."""
    stored = [view.features for view in views if view.features is not None]
    if not stored:
        return tuple(encoded)
    is_stored = torch.tensor([view.features is not None for view in views])
    return tuple(
        _joined(is_stored, torch.stack(rows), encoded[number] if encoded else None)
        for number, rows in enumerate(zip(*stored, strict=True))
    )


def _joined(is_stored: Tensor, stored: Tensor, encoded: Tensor | None) -> Tensor:
    """Return rows of `stored` where `is_stored` (B,) is true, and rows of `encoded` elsewhere."""
    if encoded is None:
        return stored
    features = torch.empty(len(is_stored), stored.shape[1])
    features[is_stored], features[~is_stored] = stored, encoded
    return features


def _encode_pixels(
    members: Sequence[Member], formats: list[PixelFormat], views: list[ImageViews]
) -> list[Tensor]:
    """Return the features (B, D) of B images by each of the `members`, on the CPU."""
    features: list[Tensor] = []
    if not members:
        return features
    with torch.inference_mode():
        device, pixels = members[0].encoder.device, {}
        for pixel_format, *images in zip(formats, *(view.pixels for view in views), strict=True):
            pixels[pixel_format] = normalise(to_device(torch.stack(images), device), pixel_format)
        for member in members:
            with member.encoding():
                member_pixels = pixels[member.encoder.pixel_format]
                rows = member.encoder.encode_images(member_pixels)
                check_rows(member.encoder, rows, len(views), member.encoder.embedding_width)
                features.append(rows.float().cpu())
    for matrix in features:
        check_features(matrix, "image", where=views[0].name)
    return features
