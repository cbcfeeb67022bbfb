"""Training batches: tokens of pictures, one question, and a few answers to it for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import answers
from .names import Name
from .pictures import Pictures

GROUP = 4


@dataclass(frozen=True)
class Batch:
    """Tokens (B, images, 36, 1280), the question, and as many answers for each of B rows."""

    tokens: Tensor
    prompt: str
    answers: list[list[str]]


class Batches:
    """Draws batches of seven kinds."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.draw = pictures.draw
        self.classes = pictures.sources.classes
        per_photo = pictures.photos // len(pictures.sources.captions)
        self.whole = list(range(0, pictures.photos, per_photo))
        self.by_class = pictures.by_class(GROUP)

    def batch(self, kind: str, size: int) -> Batch:
        """One of: scene, photo, stamp, made (synthetic), group, made-group, several."""
        make: dict[str, Callable[[int], Batch]] = {
            "scene": self._scene,
            "photo": self._photo,
            "stamp": self._stamp,
            "made": self._made,
            "group": self._group,
            "made-group": self._made_group,
            "several": self._several,
        }
        return make[kind](size)

    def _scene(self, size: int) -> Batch:
        rows = self.draw.choices(self.whole, k=size)
        texts = [
            [answers.tidy(text) for text in self.draw.sample(self.pictures.captions(row), 3)]
            for row in rows
        ]
        return self._single(rows, answers.SCENE_PROMPTS, texts)

    def _photo(self, size: int) -> Batch:
        rows = [self.draw.randrange(self.pictures.photos) for _ in range(size)]
        return self._single(
            rows, answers.OBJECT_PROMPTS, [self._photo_answers(row) for row in rows]
        )

    def _photo_answers(self, row: int) -> list[str]:
        """People where the captions speak of them and the head is not sure; else what it says."""
        opinion, captions = self.pictures.probabilities[row], self.pictures.captions(row)
        if answers.shows_people(captions) and opinion.max() < answers.SURE:
            return [answers.people_answer(self.pictures.looks(row))]
        return [self._from_head(row)]

    def _stamp(self, size: int) -> Batch:
        stamps = self.pictures.sources.stamps.source
        chosen = [self.draw.randrange(len(stamps)) for _ in range(size)]
        texts = [
            [
                answers.stamp_answer(
                    self.pictures.sources.stamp_names[int(stamps[one])],
                    self.pictures.probabilities[self.pictures.photos + one],
                    self.classes,
                    self.pictures.looks(self.pictures.photos + one),
                )
            ]
            for one in chosen
        ]
        return self._single(
            [self.pictures.photos + one for one in chosen], answers.OBJECT_PROMPTS, texts
        )

    def _made(self, size: int) -> Batch:
        rows = self.pictures.any(size)
        labels = torch.randint(1000, (size,))
        tokens = self.pictures.synthesiser.push(self.pictures.tokens(rows), labels, whole=False)
        texts = [
            [answers.object_answer(int(label), self._name(label), self.pictures.looks(row))]
            for row, label in zip(rows, labels, strict=True)
        ]
        return Batch(tokens[:, None], self._prompt(answers.OBJECT_PROMPTS), texts)

    def _group(self, size: int) -> Batch:
        groups, texts = self._alike(size)
        cells = torch.stack([self.pictures.tokens(rows) for rows in groups])
        return Batch(_quadrants(cells)[:, None], self._prompt(answers.GROUP_PROMPTS), texts)

    def _several(self, size: int) -> Batch:
        groups, texts = self._alike(max(1, size // 2))
        cells = torch.stack([self.pictures.tokens(rows) for rows in groups])
        return Batch(cells, self._prompt(answers.GROUP_PROMPTS), texts)

    def _made_group(self, size: int) -> Batch:
        groups = [self.pictures.any(GROUP) for _ in range(size)]
        cells = torch.stack([self.pictures.tokens(rows) for rows in groups])
        labels = torch.randint(1000, (size,))
        tokens = self.pictures.synthesiser.push(_quadrants(cells), labels, whole=True)
        texts = [
            [
                answers.group_answer(
                    int(label), self._name(label), [self.pictures.looks(row) for row in rows]
                )
            ]
            for rows, label in zip(groups, labels, strict=True)
        ]
        return Batch(tokens[:, None], self._prompt(answers.GROUP_PROMPTS), texts)

    def _alike(self, size: int) -> tuple[list[list[int]], list[list[str]]]:
        """Groups of pictures of which the head says the same, and what they share."""
        labels = self.draw.choices(list(self.by_class), k=size)
        groups = [self.draw.choices(self.by_class[label], k=GROUP) for label in labels]
        texts = [
            [
                answers.group_answer(
                    int(label), self._name(label), [self.pictures.looks(row) for row in rows]
                )
            ]
            for label, rows in zip(labels, groups, strict=True)
        ]
        return groups, texts

    def _single(self, rows: list[int], prompts: tuple[str, ...], texts: list[list[str]]) -> Batch:
        return Batch(self.pictures.tokens(rows)[:, None], self._prompt(prompts), texts)

    def _from_head(self, row: int) -> str:
        opinion = self.pictures.probabilities[row]
        return answers.from_head(opinion, self.classes, self.pictures.looks(row))

    def _prompt(self, prompts: tuple[str, ...]) -> str:
        return prompts[0] if self.draw.random() < 0.75 else self.draw.choice(prompts[1:])

    def _name(self, label: Tensor | int) -> Name:
        return self.classes[int(label)]


def _quadrants(cells: Tensor) -> Tensor:
    """Tokens of four pictures (B, 4, 36, 1280) -> tokens as of a two by two grid (B, 36, 1280)."""
    count, _, _, channels = cells.shape
    small = cells.view(count, 2, 2, 3, 2, 3, 2, channels).mean((4, 6))
    return small.permute(0, 1, 3, 2, 4, 5).reshape(count, 36, channels)
