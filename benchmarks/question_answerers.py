"""Simulated answerers by kind of mistake, for `python -m benchmarks questions`.

Each knows the true class and is right with probability p, if the options contain this class. A
mistake about an image is the same in most further questions about it (see `SimulatedDescriber`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import sqrt

import torch
from latte_benchmarks.folder_cells import Folder
from torch.nn.functional import normalize

from benchmarks.confused_describer import ConfusedDescriber
from benchmarks.question_describer import CORRELATION, SimulatedDescriber, Subject
from latte.interfaces import ChoiceRequest


class UnbiasedDescriber(SimulatedDescriber):
    """Describer whose mistakes are random other options."""

    def answer_about(self, request: ChoiceRequest, subject: Subject) -> int:
        """Return the index of the chosen option; the last one is "none of these"."""
        draws = self.draws(subject.key, *request.options)
        shared = draws[0] < sqrt(CORRELATION)
        correct, _, choice = self.draws(subject.key)[1:] if shared else draws[1:]
        right = len(request.options)
        if subject.right_name is not None:
            right = request.options.index(subject.right_name)
        if correct < (1 / len(request.letters) if self.right is None else self.right):
            return right
        wrong = self.mistakes(request, subject, right)
        return wrong[int(choice * len(wrong))]

    def mistakes(self, request: ChoiceRequest, subject: Subject, right: int) -> Sequence[int]:
        """Return the options, in a fixed order, of which a mistake is one."""
        others = [place for place in range(len(request.options)) if place != right]
        return sorted(others, key=lambda place: request.options[place])


class CoarseDescriber(UnbiasedDescriber):
    """Describer that mistakes a class only for classes of the same coarse name.

    These are the classes whose names end in the same word; without one, the class with the nearest
    text.
    """

    def mistakes(self, request: ChoiceRequest, subject: Subject, right: int) -> Sequence[int]:
        """Return the options of the same coarse name; without one, "none of these"."""
        others = super().mistakes(request, subject, right)
        if subject.label < 0:
            return others
        alike = coarse_names(self.folder)[subject.label]
        return [place for place in others if request.options[place] in alike] or [
            len(request.options)
        ]


class FirstDescriber(SimulatedDescriber):
    """Describer that always chooses the first option."""

    def answer_about(self, request: ChoiceRequest, subject: Subject) -> int:
        """Return the index of the first option."""
        return 0


def coarse_names(folder: Folder) -> list[set[str]]:
    """Return, per class, the other names of the same coarse name."""
    heads = [name.replace("_", " ").casefold().split()[-1] for name in folder.names]
    texts = normalize(folder.texts - folder.texts.mean(dim=0), dim=1)
    nearest = (texts @ texts.T).fill_diagonal_(-torch.inf).argmax(dim=1).tolist()
    groups = []
    for label, head in enumerate(heads):
        same = {name for name, other in zip(folder.names, heads, strict=True) if other == head}
        groups.append(same - {folder.names[label]} or {folder.names[nearest[label]]})
    return groups


MakeAnswerer = Callable[[Folder, int], SimulatedDescriber]
"""Function from a folder and a seed to a describer."""


def _made(
    kind: type[SimulatedDescriber], right: float | None, folder: Folder, seed: int
) -> SimulatedDescriber:
    return kind(folder, right, seed)


ANSWERERS: Mapping[str, MakeAnswerer] = {
    **{
        f"{name}, {100 * right:.0f} %": partial(_made, kind, right)
        for name, kind in (
            ("independent", UnbiasedDescriber),
            ("confuses classes", ConfusedDescriber),
            ("coarse", CoarseDescriber),
        )
        for right in (0.6, 0.75, 0.9)
    },
    "first option": partial(_made, FirstDescriber, None),
    "random": partial(_made, UnbiasedDescriber, None),
}
"""Functions that make the answerers, by name."""
