"""Encode many images, texts or classes without gradient, and return the features on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte import distributed
from latte.backbone.features import check_features, check_rows, check_unit
from latte.backbone.packed import rows_of, starts_of
from latte.data.batches import evaluation_batches
from latte.data.cache import ImageCache
from latte.interfaces import Backbone, Encoder, LatteError, Progress, TextTrunk, Trunk
from latte.interfaces.provider import shown_provider
from latte.toolkit.descriptions import fill

_TEXTS_PER_PASS = 1024


@dataclass(frozen=True)
class ClassTexts:
    """Sentences about C classes: each template is filled with each name of a class."""

    of_class: tuple[tuple[str, ...], ...]
    """The sentences of each class, at least one."""
    weights: tuple[tuple[float, ...], ...] | None = None
    """Weight of each sentence; None if all sentences count alike."""

    @classmethod
    def weighted(cls, sentences: Sequence[Mapping[str, float]]) -> Self:
        """Return the texts of classes from the weights of their sentences."""
        return cls(
            tuple(tuple(weights) for weights in sentences),
            tuple(tuple(weights.values()) for weights in sentences),
        )

    @classmethod
    def of(cls, templates: Sequence[str], names: Sequence[Sequence[str]]) -> Self:
        """Insert the `names` of each class into `templates`.

        Raises `LatteError` if a template does not contain `{class}`.
        """
        for template in templates:
            if "{class}" not in template:
                raise LatteError(
                    f"the template {template!r} does not mention the class",
                    hint='write {class} where the name belongs, as in "a photo of a {class}."',
                )
        sentences = (
            [fill(template, name) for name in class_names for template in templates]
            for class_names in names
        )
        return cls(tuple(map(tuple, sentences)))

    @property
    def sentences(self) -> list[str]:
        """Sentences of all classes, in class order."""
        return [*chain.from_iterable(self.of_class)]

    def features(self, encode: Callable[[Sequence[str]], Tensor]) -> Tensor:
        """Return one unit feature per class (C, D), with gradient if `encode` records one.

        `encode` returns the unit features (M, D) of M texts. A class with several sentences gets
        the normalised (weighted) mean of their features, as in CLIP's prompt ensembles (Radford et
        al. 2021, section 3.1.4).
        """
        sentence_features = encode(self.sentences)
        if len(sentence_features) == len(self.of_class):
            return sentence_features
        if self.weights is not None:
            weights = sentence_features.new_tensor([*chain.from_iterable(self.weights)])
            sentence_features = sentence_features * weights.unsqueeze(1)
        # On a GPU, `index_add` would add in an order that differs from run to run.
        rows = torch.cat(
            [sentence_features, sentence_features.new_zeros(1, sentence_features.shape[1])]
        )
        return normalize(rows[self._places.to(rows.device, non_blocking=True)].sum(dim=1), dim=1)

    @cached_property
    def _places(self) -> Tensor:
        """Indices (C, V) of each class's sentences; unused entries refer to a row of zeros."""
        most_sentences = max(len(sentences) for sentences in self.of_class)
        places = torch.full((len(self.of_class), most_sentences), len(self.sentences))
        is_used = torch.arange(most_sentences) < torch.tensor(
            [[len(sentences)] for sentences in self.of_class]
        )
        places[is_used] = torch.arange(len(self.sentences))
        return places


def encode_image_batches(
    encoder: Encoder,
    batches: Iterable[tuple[Tensor, Tensor]],
    total: int,
    progress: Progress,
    name: str,
    trunk: Trunk | None = None,
) -> Tensor:
    """Return the unit features (N, D) of N = `total` images, from batches in any order.

    A batch is (indices (B,), pixels (B, 3, S, S)). `trunk` splits the image tower into frozen and
    later layers; if it is given, return the outputs (N, W) of the frozen layers instead. Raises
    `LatteError` if features have another shape or format, or one is zero, not finite or not
    normalised, and `ValueError` if images are missing.
    """
    width = encoder.embedding_width if trunk is None else trunk.width
    encode = encoder.encode_images if trunk is None else trunk.states
    features = torch.zeros(total, width)
    is_encoded = torch.zeros(total, dtype=torch.bool)
    with torch.inference_mode(), progress.task(name, total, "images") as task:
        for indices, pixels in batches:
            rows = encode(pixels)
            check_rows(encoder, rows, len(indices), width)
            features[indices] = rows.float().cpu()
            is_encoded[indices] = True
            task.advance(len(indices))
    if not is_encoded.all():
        raise ValueError(f"{int((~is_encoded).sum())} of {total} images did not come")
    check_features(features, "image", where=shown_provider(encoder))
    if trunk is None:
        check_unit(encoder, features)
    return features


def encode_cached_images(
    encoder: Encoder,
    images: ImageCache,
    batch_size: int,
    progress: Progress,
    name: str,
    only: Sequence[int] | None = None,
    trunk: Trunk | None = None,
) -> Tensor:
    """Return the unit features (N, D) of all `images`, without augmentation, on the CPU.

    If `only` is given, encode only the images with these indices, in this order. `trunk` is
    described at `encode_image_batches`. If the run has several processes, they divide the images.
    """
    indices = range(len(images)) if only is None else only
    process_indices = distributed.share(indices)
    total = len(process_indices)
    with closing(
        evaluation_batches(
            images, encoder.pixel_format, batch_size, process_indices, encoder.device
        )
    ) as batches:
        features = encode_image_batches(encoder, _renumbered(batches), total, progress, name, trunk)
    distributed.barrier()
    return distributed.all_gather_rows(features, len(indices))


def _renumbered(batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    start = 0
    for indices, pixels in batches:
        yield torch.arange(start, start + len(indices)), pixels
        start += len(indices)


def encode_many_texts(
    backbone: Backbone, texts: Sequence[str], progress: Progress, name: str
) -> Tensor:
    """Return the unit features (M, D) of M distinct texts, on the CPU, without gradient."""
    process_texts = distributed.share(texts)
    blocks = [torch.empty(0, backbone.embedding_width)]
    with torch.no_grad(), progress.task(name, len(process_texts), "texts") as task:
        for start in range(0, len(process_texts), _TEXTS_PER_PASS):
            block = process_texts[start : start + _TEXTS_PER_PASS]
            blocks.append(_encode_texts(backbone, block).float().cpu())
            task.advance(len(block))
    distributed.barrier()
    features = distributed.all_gather_rows(torch.cat(blocks), len(texts))
    check_features(features, "text", where=shown_provider(backbone))
    return features


def _encode_texts(backbone: Backbone, texts: Sequence[str]) -> Tensor:
    """Return the unit features (M, D) of M texts, after `check_rows`."""
    features = backbone.encode_texts(texts)
    check_rows(backbone, features, len(texts), backbone.embedding_width)
    return features


def count_rows(trunk: TextTrunk, texts: Sequence[str]) -> Tensor:
    """Return the number (M,) of rows that the frozen layers output for each of M > 0 texts."""
    blocks = range(0, len(texts), _TEXTS_PER_PASS)
    return torch.cat([trunk.lengths(texts[start : start + _TEXTS_PER_PASS]) for start in blocks])


def encode_text_states(
    trunk: TextTrunk,
    texts: Sequence[str],
    lengths: Tensor,
    progress: Progress,
    device: torch.device,
) -> Tensor:
    """Return the outputs (T, W), on `device`, of the text tower's frozen layers for M texts.

    Texts are distinct. `lengths` (M,) is the number of output rows of each text; T is their sum. If
    the run has several processes, they divide the texts, and each gets all outputs. Raises
    `LatteError` if an output is zero or not finite.
    """
    process_indices, starts = distributed.share(range(len(texts))), starts_of(lengths)
    states = torch.zeros(int(lengths.sum()), trunk.width, device=device)
    with torch.no_grad(), progress.task("encode texts", len(process_indices), "texts") as task:
        for start in range(0, len(process_indices), _TEXTS_PER_PASS):
            block = process_indices[start : start + _TEXTS_PER_PASS]
            indices = torch.tensor(block)
            rows = rows_of(starts[indices], lengths[indices]).to(device)
            block_states = trunk.states([texts[index] for index in block]).float()
            # Checking all states at once would need twice their memory.
            check_features(block_states, "text")
            states[rows] = block_states
            task.advance(len(block))
    distributed.barrier()
    (states,) = distributed.all_reduce([states])
    return states


def encode_class_texts(backbone: Backbone, texts: ClassTexts) -> Tensor:
    """Return the zero-shot classifier (C, D), one unit feature per class, on the CPU."""
    with torch.no_grad():
        features = texts.features(partial(_encode_texts, backbone)).cpu()
    check_features(features, "text", where=shown_provider(backbone))
    return features
