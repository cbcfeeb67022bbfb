"""What the frozen CLIP says about each training image; several families of measures build on it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latte.diagnose.neighbours import NEIGHBOURS, choose_queries, neighbour_blocks
from latte.diagnose.subject import Subject, zero_shot_classifier
from latte.diagnose.sureness import Sureness, sureness
from latte.interfaces import Progress


@dataclass(frozen=True)
class Look:
    """At the training images of one run."""

    seen: Sureness
    queries: Tensor
    """(Q,): the images whose neighbours are known."""
    neighbours: Tensor
    """(Q, k): the images nearest to each of them, nearest first."""


def look(subject: Subject, progress: Progress) -> Look:
    """From the frozen features alone."""
    zero_shot = subject.zero_shot
    queries = choose_queries(len(zero_shot.training), subject.run.seed)
    found = []
    with progress.task("nearest images", len(queries), "images") as task:
        for block in neighbour_blocks(zero_shot.training, queries, NEIGHBOURS):
            found.append(block)
            task.advance(len(block))
    return Look(
        seen=sureness(zero_shot.training, zero_shot_classifier(zero_shot), subject.logit_scale),
        queries=queries,
        neighbours=torch.cat(found),
    )
