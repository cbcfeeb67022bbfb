"""Training batches: tokens of pictures, one question, and a few answers per picture."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import answers
from .names import Name
from .pictures import Gathered, Pictures, blocks

MEMBERS = 4
CELL = [6 * row + column for row in (0, 2, 4) for column in (0, 2, 4)]
"""Positions of nine tokens, spread over the 6 x 6 tokens of a picture."""


@dataclass(frozen=True)
class Batch:
    """Batch of B samples: image tokens (B, images, T, W), one question, and answers per sample.

    W is the number of image dimensions (CLASSES and LOOKS in `layout`). `places` are the positions
    of the T tokens among the 36 tokens of an image. `opinions` (B, C) are the class probabilities
    by the ImageNet head. If `whole` is False, answers have no end token, because the rest of the
    sentence is not known.
    """

    tokens: Tensor
    places: list[int]
    prompt: str
    answers: list[list[str]]
    opinions: Tensor
    whole: bool = True


class Batches:
    """Source of random training batches.

    Batches with `fine=True` show all 36 tokens of a picture, others show nine.
    """

    def __init__(
        self, gathered: Gathered, captions: list[list[str]], source: Tensor, names: list[Name]
    ) -> None:
        """Store the data.

        `captions` has the captions of each photo; `source` (views,) has the photo of each view.
        """
        self.real, self.made = gathered.real, gathered.made
        self.made_labels = gathered.made_labels
        self.photos, self.names = gathered.photos, names
        self.captions, self.source = captions, source
        self.draw = random.Random(0)
        self.whole = list(range(0, self.photos, self.photos // len(captions)))
        self.alike = self._by_class()

    def batch(self, kind: str, size: int, *, fine: bool) -> Batch:
        """Return a batch of `size` samples of one kind.

        The kinds are `scene` (photos with captions), `photo` and `stamp` (real pictures with an
        object), `made` (synthetic pictures), and `group` and `several` (four pictures of one class,
        as a grid or separately). `made-group` and `made-several` are the same with synthetic
        pictures.
        """
        make: dict[str, Callable[[int, bool], Batch]] = {
            "scene": self._scene,
            "photo": lambda size, fine: self._objects(range(self.photos), size, fine),
            "stamp": lambda size, fine: self._objects(
                range(self.photos, len(self.real.looks)), size, fine
            ),
            "made": self._made,
            "group": lambda size, fine: self._group(size, grid=True),
            "several": lambda size, fine: self._group(size, grid=False),
            "made-group": lambda size, fine: self._made_group(size, grid=True),
            "made-several": lambda size, fine: self._made_group(size, grid=False),
        }
        return make[kind](size, fine)

    def _scene(self, size: int, fine: bool) -> Batch:
        rows = self.draw.choices(self.whole, k=size)
        texts = [
            [answers.tidy(text) for text in self.draw.sample(self._captions(row), 2)]
            for row in rows
        ]
        return self._real(rows, answers.SCENE_PROMPTS, texts, fine)

    def _objects(self, among: range, size: int, fine: bool) -> Batch:
        rows = [self.draw.choice(among) for _ in range(size)]
        texts = []
        for row in rows:
            label = int(self.real.opinions[row].argmax())
            texts.append([answers.object_answer(label, self.names[label], self.real.looks[row])])
        return self._real(rows, answers.OBJECT_PROMPTS, texts, fine)

    def _real(
        self, rows: list[int], prompts: tuple[str, ...], texts: list[list[str]], fine: bool
    ) -> Batch:
        tokens = self.real.shown(rows)
        places = list(range(36)) if fine else CELL
        tokens = tokens if fine else blocks(tokens)
        opinions = self.real.opinions[rows]
        return Batch(tokens[:, None], places, self._prompt(prompts), texts, opinions)

    def _made(self, size: int, fine: bool) -> Batch:
        rows = [self.draw.randrange(len(self.made.tokens)) for _ in range(size)]
        opinions = self.made.opinions[rows]
        texts = [[self._broken_off(answers.OBJECT, opinion)] for opinion in opinions]
        prompt = self._prompt(answers.OBJECT_PROMPTS)
        tokens = self.made.shown(rows)[:, None]
        return Batch(tokens, CELL, prompt, texts, opinions, whole=False)

    def _broken_off(self, opening: str, opinion: Tensor) -> str:
        label = int(opinion.argmax())
        return answers.named(opening, label, self.names[label]) + ","

    def _group(self, size: int, *, grid: bool) -> Batch:
        labels = self.draw.choices(list(self.alike), k=size)
        groups = [self.draw.choices(self.alike[label], k=MEMBERS) for label in labels]
        opinions = torch.stack([_shared(self.real, rows) for rows in groups])
        texts = []
        for rows, opinion in zip(groups, opinions, strict=True):
            label, looks = int(opinion.argmax()), [self.real.looks[row] for row in rows]
            texts.append([answers.group_answer(label, self.names[label], looks)])
        cells = torch.stack([blocks(self.real.shown(rows)) for rows in groups])
        return self._laid_out(cells, texts, opinions, grid=grid, whole=True)

    def _made_group(self, size: int, *, grid: bool) -> Batch:
        labels = [self.draw.randrange(1000) for _ in range(size)]
        groups = [self._made_of(label) for label in labels]
        opinions = torch.stack([_shared(self.made, rows) for rows in groups])
        texts = [[self._broken_off(answers.GROUP, opinion)] for opinion in opinions]
        cells = torch.stack([self.made.shown(rows) for rows in groups])
        return self._laid_out(cells, texts, opinions, grid=grid, whole=False)

    def _made_of(self, label: int) -> list[int]:
        return self.draw.choices((self.made_labels == label).nonzero()[:, 0].tolist(), k=MEMBERS)

    def _laid_out(
        self, cells: Tensor, texts: list[list[str]], opinions: Tensor, *, grid: bool, whole: bool
    ) -> Batch:
        """Return a batch whose samples show four pictures, as one grid or separately.

        `cells` (B, 4, 9, W) are nine tokens of each picture.
        """
        prompt = self._prompt(answers.GROUP_PROMPTS)
        if grid:
            return Batch(_quadrants(cells), list(range(36)), prompt, texts, opinions, whole)
        return Batch(cells, CELL, prompt, texts, opinions, whole)

    def _captions(self, row: int) -> list[str]:
        return self.captions[int(self.source[row])]

    def _prompt(self, prompts: tuple[str, ...]) -> str:
        return prompts[0] if self.draw.random() < 0.6 else self.draw.choice(prompts[1:])

    def _by_class(self) -> dict[int, list[int]]:
        """Return, by class, the rows of pictures for which the ImageNet head is confident.

        The head's probability of the class must be at least `SURE`. Classes with too few such
        pictures are left out.
        """
        best = self.real.opinions.max(1)
        found: dict[int, list[int]] = {}
        for row in (best.values >= answers.SURE).nonzero()[:, 0].tolist():
            found.setdefault(int(best.indices[row]), []).append(row)
        return {label: rows for label, rows in found.items() if len(rows) >= MEMBERS}


def _shared(pictures: Pictures, rows: list[int]) -> Tensor:
    """Return the ImageNet head's probabilities (C,) for the mean features of several pictures."""
    return pictures.opinions[rows].clamp_min(1e-9).log().mean(0).softmax(-1)


def _quadrants(cells: Tensor) -> Tensor:
    """Arrange tokens of four pictures (B, 4, 9, W) as tokens of a two by two grid (B, 1, 36, W)."""
    count, _, _, width = cells.shape
    grid = cells.view(count, 2, 2, 3, 3, width).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(count, 1, 36, width)
