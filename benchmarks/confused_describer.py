"""Simulated describer that confuses some pairs of classes: those that CLIP confuses most."""

from __future__ import annotations

from math import sqrt

import torch
from latte_benchmarks.folder_cells import NO_CLASS, Folder

from benchmarks.question_describer import CORRELATION, FIRST, SimulatedDescriber, Subject
from latte.interfaces import ChoiceRequest, LatteError

_BAD_SHARE = 1 / 3
"""Share of the pairs of classes that the describer confuses."""
_CHANCE = 0.5
_MOST = 0.99
"""Largest probability of a right answer."""
_OPTIONS = 5
"""Number of options, the most probable classes, over which the mean of p is computed."""


class ConfusedDescriber(SimulatedDescriber):
    """Describer that is near chance on a third of the pairs of classes, and better elsewhere.

    Each question has a rival: a random other option. If the right class and the rival are one of
    these pairs, the answer is one of both. The mean p over all images, each with its five most
    probable classes as options, is `right`. If the other pairs would need a p above 0.99, they have
    0.99, and the confused pairs have a p above 0.5.
    """

    def __init__(self, folder: Folder, right: float | None, seed: int) -> None:
        super().__init__(folder, right, seed)
        if right is None:
            raise LatteError("the describer that confuses pairs needs a number p", where="--right")
        chances = (folder.logit_scale * (folder.own.features @ folder.texts.T)).softmax(dim=1)
        self.bad = _confused_pairs(chances.double(), folder.own.labels)
        share = self._share_of_bad(chances)
        better = (right - share * _CHANCE) / (1 - share)
        self.right_elsewhere = min(better, _MOST)
        self.right_if_bad = (right - (1 - share) * self.right_elsewhere) / share

    @property
    def fingerprint(self) -> str:
        """Identifier of the folder and the reliability."""
        return f"confused {self.right} {self.seed}"

    def _share_of_bad(self, chances: torch.Tensor) -> float:
        """Return the mean share of rivals with which an image's class is confused."""
        likely = chances.topk(min(_OPTIONS, chances.shape[1]), dim=1).indices.tolist()
        shares = []
        for label, options in zip(self.folder.own.labels.tolist(), likely, strict=True):
            rivals = [rival for rival in options if rival != label]
            shares.append(
                sum(frozenset((label, rival)) in self.bad for rival in rivals) / len(rivals)
            )
        return sum(shares) / len(shares)

    def answer_about(self, request: ChoiceRequest, subject: Subject) -> int:
        """Return the index of the chosen option; the last one is "none of these"."""
        names, label = self.folder.names, subject.label
        rivals = sorted(name for name in subject.names if name in names and name != names[label])
        if label == NO_CLASS or names[label] != subject.right_name or not rivals:
            return super().answer_about(request, subject)
        draws = self.draws(subject.key, *request.options)
        shared = draws[0] < sqrt(CORRELATION)
        correct, position, confusion = self.draws(subject.key)[1:] if shared else draws[1:]
        seed_parts = [subject.key, "rival", *([] if shared else request.options)]
        rival = rivals[int(self.draws(*seed_parts)[1] * len(rivals))]
        bad = frozenset((label, names.index(rival))) in self.bad
        if correct < (self.right_if_bad if bad else self.right_elsewhere):
            return request.options.index(names[label])
        if bad:
            return request.options.index(rival)
        if position < FIRST and request.options.index(names[label]) != 0:
            return 0
        (image,) = request.images
        return request.options.index(self.confused(rivals, image.features, confusion))


def _confused_pairs(chances: torch.Tensor, labels: torch.Tensor) -> set[frozenset[int]]:
    """Return the third of the pairs of classes whose images CLIP gives each other's name most."""
    classes = chances.shape[1]
    confusion = torch.zeros(classes, classes, dtype=torch.float64)
    for label in labels.unique().tolist():  # type: ignore[no-untyped-call]
        if label != NO_CLASS:
            confusion[label] = chances[labels == label].mean(dim=0)
    rows, columns = torch.triu_indices(classes, classes, offset=1)
    strength = (confusion + confusion.T)[rows, columns]
    order = strength.argsort(descending=True, stable=True)[: max(1, round(len(rows) * _BAD_SHARE))]
    return {frozenset((int(rows[pair]), int(columns[pair]))) for pair in order}
