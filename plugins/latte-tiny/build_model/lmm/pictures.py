"""Training pictures: projected tokens, class probabilities of the ImageNet head, and appearance."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from . import answers, layout, probes
from .looks import Looks, look
from .sources import Sources
from .squeeze import Group, Squeezed, squeeze, with_people
from .synthetic import Synthesiser
from .views import TOKEN_SCALE, Views

log = logging.getLogger(__name__)
WHOLE, PART = 0.65, 0.2
"""Probability of people for a whole photo, and for a crop, if captions mention people."""
MADE_A_CLASS = 12


@dataclass(frozen=True)
class Projection:
    """Linear map from an image token x (1280,) to the language model: (x - center) @ rows.T."""

    squeezed: Squeezed
    rows: Tensor
    """Matrix (W, 1280) of the map: one row per column of the projected tokens."""

    def __call__(self, tokens: Tensor) -> Tensor:
        """Return projected tokens (..., W) for image tokens (..., 1280).

        The first of the W columns are the input of the low-rank ImageNet head (`layout.CLASSES`).
        The others predict colours, background and texture (`layout.LOOKS`).
        """
        return (tokens - self.squeezed.center) @ self.rows.T


@dataclass(frozen=True)
class Pictures:
    """N pictures with their projected tokens and their class probabilities by the ImageNet head.

    `tokens` are (N, T, W) in float16. The first of the W columns are the input of the low-rank
    ImageNet head (`layout.CLASSES`); the others predict colours, background and texture
    (`layout.LOOKS`).
    `opinions` are the probabilities (N, C). Real pictures also have `looks`; synthetic ones do not.
    """

    tokens: Tensor
    opinions: Tensor
    looks: list[Looks]

    def shown(self, rows: list[int]) -> Tensor:
        """Return the projected tokens (B, T, W) of the pictures `rows` in float32."""
        return self.tokens[rows].float()


class Gathered:
    """All training pictures (photos, stamps, then synthetic ones) and their projected features."""

    def __init__(self, sources: Sources, weight: Tensor, bias: Tensor) -> None:
        """Fit the projection and project all pictures.

        `weight` (1000, 1280) and `bias` (1000,) are parameters of the ImageNet head.
        """
        raw = torch.cat([sources.photos.tokens, sources.stamps.tokens])
        self.photos = photos = len(sources.photos.tokens)
        pooled = torch.cat([part.float().mean(1) for part in raw.split(512)]) / TOKEN_SCALE
        opinions = (pooled @ weight.T + bias).softmax(-1)
        people = people_shares(sources, opinions)
        looks = all_looks(sources.photos) + all_looks(sources.stamps)
        log.info("%d real pictures", len(raw))
        made, self.made_labels = _made(raw, Synthesiser(pooled, weight, bias))
        made_pooled = made.mean(1)
        log.info("%d made pictures", len(made))
        groups = (
            Group(pooled[:photos], people[:photos], 64),
            Group(pooled[photos:], people[photos:], 96),
            Group(made_pooled, torch.zeros(len(made)), 96),
        )
        squeezed = squeeze(groups, (weight, bias), rank=layout.CLASSES.stop)
        says = squeezed.logits(pooled)[:, :1000].argmax(1)
        log.info("squeezed: as the head %.3f", (says == opinions.argmax(1)).float().mean())
        guesses = probes.fit(pooled, looks, squeezed.center)
        self.projection = Projection(squeezed, torch.cat([squeezed.projection, guesses]))
        log.info("projecting")
        parts = [self.projection(part.float() / TOKEN_SCALE).half() for part in raw.split(512)]
        self.real = Pictures(torch.cat(parts), with_people(opinions, people), looks)
        made_opinions = (made_pooled @ weight.T + bias).softmax(-1)
        self.made = Pictures(
            self.projection(made).half(), with_people(made_opinions, torch.zeros(len(made))), []
        )


def all_looks(views: Views) -> list[Looks]:
    """Return the appearance of the picture in each view."""
    return [look(pixels) for pixels in views.pixels]


def people_shares(sources: Sources, opinions: Tensor) -> Tensor:
    """Return, per real picture, the probability (N,) that it shows people."""
    photos = len(sources.photos.source)
    said = torch.tensor([answers.shows_people(texts) for texts in sources.captions])
    shares = torch.zeros(len(opinions))
    per_photo = photos // len(sources.captions)
    view = torch.arange(photos) % per_photo
    shares[:photos] = torch.where(view == 0, WHOLE, PART) * said[sources.photos.source]
    shares[photos:] = WHOLE * sources.stamp_people[sources.stamps.source]
    return shares * (opinions.max(1).values < answers.SURE)


def _made(raw: Tensor, synthesiser: Synthesiser) -> tuple[Tensor, Tensor]:
    """Return tokens (M, 9, 1280) and labels (M,) of synthetic pictures, equally many per class."""
    labels = torch.arange(1000).repeat(MADE_A_CLASS)
    parts = []
    for some in labels.split(250):
        base = raw[torch.randint(len(raw), (len(some),))].float() / TOKEN_SCALE
        parts.append(synthesiser.push(blocks(base), some))
    return torch.cat(parts), labels


def blocks(tokens: Tensor) -> Tensor:
    """Return the means (B, 9, W) of 2 x 2 blocks of tokens (B, 36, W).

    The mean over all tokens of a picture does not change.
    """
    count, _, width = tokens.shape
    return tokens.view(count, 3, 2, 3, 2, width).mean((2, 4)).reshape(count, 9, width)
