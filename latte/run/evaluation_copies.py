"""Labelled test images that are near-copies of training images: an accuracy on them is too high."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte.data.few_images import counted
from latte.data.near_copies import NEIGHBOURS, are_near_copies
from latte.interfaces import LatteError
from latte.interfaces.record import EvaluationCopies
from latte.io.files import write_atomically
from latte.models.zero_shot import ZeroShot
from latte.results.rows import NEAR_COPY_COLUMNS
from latte.run.images import Images
from latte.run.series import read_thumbnails
from latte.run.workspace import Workspace
from latte.toolkit.neighbours import nearest_rows

_EXAMPLES = 5


@dataclass(frozen=True)
class FoundCopies:
    """The test images of a run that are near-copies of training images."""

    rows: Tensor
    """(P,) int64: indices of the test images."""
    training: Tensor
    """(P,) int64: the training image, in the order of `Images.joined`, that each of them shows."""
    facts: EvaluationCopies

    @property
    def left_out(self) -> Tensor | None:
        """Indices of the test images that the recipe leaves out of measurements; None for none."""
        return self.rows if self.facts.left_out else None


def find_copies(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> FoundCopies | None:
    """Return the test images that are near-copies of training images; None if there are none.

    Test images that are equal to a training image are not among them. Raises `LatteError` if the
    recipe leaves near-copies out, and no other test image is left.
    """
    training, evaluation = images.joined.training, images.evaluation
    keys = {*training.keys}
    candidate_rows = [row for row, key in enumerate(evaluation.keys) if key not in keys]
    if not candidate_rows or not workspace.recipe.series.near_copies:
        return None
    rows = torch.tensor(candidate_rows)
    progress, training_rows = workspace.progress, range(len(training.images))
    title = "make thumbnails of test images"
    thumbnails = read_thumbnails(evaluation.cache, candidate_rows, progress, title)
    training_thumbnails = read_thumbnails(training.cache, training_rows, progress, "thumbnails")
    neighbours = torch.cat(
        [
            nearest_rows(queries, training_features, NEIGHBOURS)[1]
            for queries, training_features in (
                (zero_shot.clip.evaluation[rows], zero_shot.joined.clip.training),
                (thumbnails.directions, training_thumbnails.directions),
            )
        ],
        dim=1,
    )
    queries = torch.arange(len(rows)).repeat_interleave(neighbours.shape[1])
    pairs = torch.stack([queries, neighbours.flatten()], dim=1)
    is_copy = are_near_copies(thumbnails, training_thumbnails, pairs).view(neighbours.shape)
    copied = is_copy.any(dim=1)
    if not bool(copied.any()):
        return None
    most_similar = is_copy.int().argmax(dim=1, keepdim=True)  # the most similar one
    test_rows, copied_rows = rows[copied], neighbours.gather(1, most_similar)[copied, 0]
    leaves_out = workspace.recipe.evaluate.near_copies == "leave-out"
    if leaves_out and len(test_rows) == len(evaluation.images):
        raise LatteError(
            f"all {counted(len(test_rows), 'labelled image')} are near-copies of training images",
            where="evaluate.near_copies",
            hint="give other labelled images, or measure with these: near_copies: keep",
        )
    pairs_of_ids = [
        (evaluation.images[row].id, training.images[near].id)
        for row, near in zip(
            test_rows[:_EXAMPLES].tolist(), copied_rows[:_EXAMPLES].tolist(), strict=True
        )
    ]
    facts = EvaluationCopies(
        images=len(test_rows), examples=tuple(pairs_of_ids), left_out=leaves_out
    )
    return FoundCopies(test_rows, copied_rows, facts)


def write_copies(path: Path, images: Images, copies: FoundCopies | None) -> list[Path]:
    """Write a row per near-copy, atomically; remove an earlier file if there are none."""
    if copies is None:
        path.unlink(missing_ok=True)
        return []
    test, training = images.evaluation.images, images.joined.training.images
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(NEAR_COPY_COLUMNS)
        writer.writerows(
            (test[row].id, training[near].id)
            for row, near in zip(copies.rows.tolist(), copies.training.tolist(), strict=True)
        )
    return [path]
