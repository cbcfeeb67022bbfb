"""Share of images of no class that answers "none of these" find, among own and new images.

Folders have images of other sets, which show none of the names. A simulated person answers about
random images: some show none of the names, and the others a class. New images are a set's test
images, and as many images of other sets as in the folder, from the parts that lend no folder. The
area under the ROC curve (AUROC) of the probability of none is printed as its mean over sets and the
lowest set, and beside it the shares of images with a probability above a half.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import mean

import torch
from latte_benchmarks.folder_cells import (
    CELL,
    NO_CLASS,
    Folder,
    LabelledSet,
    drawn_folders,
    lent_images,
)
from torch import Tensor

from benchmarks.auroc import separation
from benchmarks.folder_sets import load_sets, positive, set_parser
from benchmarks.measuring import say, table
from latte.toolkit.self_taught import self_taught

CELLS = ("10 % of no class", "30 % of no class")
ANSWERS, NONE_ANSWERS = 30, (3, 5, 10)
_HALF = 0.5


@dataclass(frozen=True)
class NoneScores:
    """Probabilities of none: of images that show one of the names, and of foreign images."""

    named: Tensor
    foreign: Tensor

    @property
    def auroc(self) -> float:
        """Area under the ROC curve: 1 if every foreign image has the higher probability."""
        return separation(self.foreign, self.named)

    def called_none(self) -> tuple[float, float]:
        """Return the shares of named and of foreign images with a probability above a half."""
        named, foreign = (
            float((part > _HALF).double().mean()) for part in (self.named, self.foreign)
        )
        return named, foreign


def main(arguments: Sequence[str]) -> None:
    """Print the table. Raises `LatteError` for a mistake in arguments or files."""
    parser = set_parser("no_class", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="plugin:tiny")
    parser.add_argument("--draws", type=positive, default=2)
    options = parser.parse_args(arguments)
    sets = load_sets(options)
    rows = []
    for cell in CELLS:
        for count in NONE_ANSWERS:
            scores = [*scores_by_set(sets, cell, count, options.draws)]
            rows += [
                [f"{cell}, {count} of {ANSWERS}, {part}", *_cells(scores, part)]
                for part in scores[0]
            ]
    say(
        "", table(["folders and answers", "AUROC", "lowest", "called none, named", "foreign"], rows)
    )


def scores_by_set(
    sets: Sequence[LabelledSet], cell: str, none_answers: int, draws: int
) -> Iterator[dict[str, list[NoneScores]]]:
    """Yield the scores of each set, of the draws' own images and of new ones."""
    unseen = [replace(labelled, train=labelled.test) for labelled in sets]
    for labelled, folders in drawn_folders(sets, CELL[cell], draws):
        foreign = lent_images(labelled, unseen)
        scores = [
            measured(folder, foreign, none_answers, seed) for seed, folder in enumerate(folders)
        ]
        yield {part: [draw[part] for draw in scores] for part in scores[0]}


def measured(
    folder: Folder, foreign: Tensor, none_answers: int, seed: int
) -> dict[str, NoneScores]:
    """Return the scores of the folder's images without an answer, and of new images."""
    generator = torch.Generator().manual_seed(seed)
    given = answers(folder, none_answers, generator)
    taught = self_taught(folder.own.features, folder.texts, given)
    none, is_open = taught.posterior.none, given < 0
    assert none is not None, "two answers of none teach"
    is_foreign = folder.own.labels == NO_CLASS
    rows = torch.randperm(len(foreign), generator=generator)[: int(is_foreign.sum())]
    new = [
        (features @ taught.rows[0].T + taught.bias).softmax(dim=1)[:, -1].contiguous()
        for features in (folder.test.features, foreign[rows])
    ]
    own = NoneScores(none[is_open & ~is_foreign], none[is_open & is_foreign])
    return {"own": own, "new": NoneScores(*new)}


def answers(folder: Folder, none_answers: int, generator: torch.Generator) -> Tensor:
    """Return answers (N,) about random images: the class, C for none, and -1 for no answer."""
    given = torch.full_like(folder.own.labels, -1)
    labels = folder.own.labels.where(folder.own.labels != NO_CLASS, len(folder.names))
    is_foreign = folder.own.labels == NO_CLASS
    for selected, count in ((is_foreign, none_answers), (~is_foreign, ANSWERS - none_answers)):
        rows = selected.nonzero().squeeze(1)
        chosen = rows[torch.randperm(len(rows), generator=generator)[:count]]
        given[chosen] = labels[chosen]
    return given


def _cells(scores: Sequence[dict[str, list[NoneScores]]], part: str) -> list[str]:
    aurocs = [mean(draw.auroc for draw in by_part[part]) for by_part in scores]
    called = [
        mean(mean(draw.called_none()[place] for draw in by_part[part]) for by_part in scores)
        for place in (0, 1)
    ]
    return [
        f"{mean(aurocs):.2f}",
        f"{min(aurocs):.2f}",
        *(f"{100 * share:.0f} %" for share in called),
    ]
