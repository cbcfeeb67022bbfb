"""TDA: two caches of images, which are filled while the images pass by once.

Source: Karmanov, Guan, Lu, El Saddik, Xing: *Efficient Test-Time Adaptation of Vision-Language
Models*, CVPR 2024, arXiv 2403.18293, sections 3.2 and 3.3.

For each image x of a folder, in random order, with zero-shot class c, entropy H of p(· | x) in nats
and h = H / log2 C:

    the 3 images of least H of class c are its positive cache; their values are one-hot
    with 0.2 < h < 0.5, the 2 of least H are its negative cache; a value is 1 for classes with
    probability between 0.03 and 1
    logits = scale x·t + 2 sum over positive k of exp(-5 (1 - x·k)) value_k
                       - 0.117 sum over negative k of exp(-(1 - x·k)) value_k

The caches are those after x was added. Defaults are the published values for ImageNet, whose CLIP
has logit scale 100; other sets have tuned values in the paper's code. A label depends on the images
that came before, so new images are classified by nearest class means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from latte.api import Options
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_UNSURE = (0.2, 0.5)
_LIKELY = (0.03, 1.0)


class TdaOptions(Options):
    """Options of the labeler `tda`."""

    positive_weight: float = Field(default=2.0, ge=0, description="weight of the positive cache")
    positive_sharpness: float = Field(default=5.0, ge=0, description="its factor of 1 - cosine")
    positive_size: int = Field(default=3, ge=1, description="images per class of this cache")
    negative_weight: float = Field(default=0.117, ge=0, description="weight of the negative cache")
    negative_sharpness: float = Field(default=1.0, ge=0, description="its factor of 1 - cosine")
    negative_size: int = Field(default=2, ge=1, description="images per class of this cache")


@dataclass(frozen=True)
class _ClassCache:
    """The images of least entropy of each class: (C, size, D), values (C, size, C), entropies."""

    keys: Tensor
    values: Tensor
    entropies: Tensor

    @classmethod
    def empty(cls, texts: Tensor, size: int) -> _ClassCache:
        classes, width = texts.shape
        entropies = texts.new_full((classes, size), torch.inf)
        zeros = texts.new_zeros(classes, size, width + classes)
        return cls(zeros[..., :width].clone(), zeros[..., width:].clone(), entropies)

    def add(self, label: int, entropy: Tensor, key: Tensor, value: Tensor) -> None:
        """Put an image in the place of the class's image of largest entropy, if that is larger."""
        place = int(self.entropies[label].argmax())
        if entropy < self.entropies[label, place]:
            self.keys[label, place], self.values[label, place] = key, value
            self.entropies[label, place] = entropy

    def logits(self, key: Tensor, sharpness: float) -> Tensor:
        """Return the sum (C,) of the values, weighted by their images' similarity to `key` (D,)."""
        weights = (sharpness * (self.keys @ key - 1)).exp()
        return torch.einsum("cs,csk->k", weights, self.values)


class TdaLabeler(FieldLabeler[TdaOptions]):
    """Labeler that passes all images once, in random order, and fills two caches."""

    stream = "tda"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the probabilities that each image gets when it passes."""
        options, images, texts = self.options, problem.images, problem.texts
        positive, negative = (
            _ClassCache.empty(texts, size)
            for size in (options.positive_size, options.negative_size)
        )
        prior = problem.log_prior
        entropies = -(prior.exp() * prior).sum(dim=1)
        doubt = entropies / math.log2(max(len(texts), 2))
        labels = prior.argmax(dim=1)
        one_hots = one_hot(labels, len(texts)).to(images)
        masks = ((prior.exp() > _LIKELY[0]) & (prior.exp() < _LIKELY[1])).to(images)
        logits = problem.scale * images @ texts.T
        generator = torch.Generator().manual_seed(self.context.seed)
        for row in torch.randperm(len(images), generator=generator).tolist():
            image, label = images[row], int(labels[row])
            positive.add(label, entropies[row], image, one_hots[row])
            if _UNSURE[0] < doubt[row] < _UNSURE[1]:
                negative.add(label, entropies[row], image, masks[row])
            logits[row] += options.positive_weight * positive.logits(
                image, options.positive_sharpness
            )
            logits[row] -= options.negative_weight * negative.logits(
                image, options.negative_sharpness
            )
        return FieldFit(logits.softmax(dim=1))
