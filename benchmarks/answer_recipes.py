"""Whole recipes with answers, as methods of the measurement `answers`.

A recipe that trains gets the answers as its key `corrections`: a given class replaces every
pseudo-label of its image, with the weight 1.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.answer_rivals import AnsweredSet, RivalLabels
from benchmarks.folder_files import Drawn, NumberedSets
from benchmarks.folder_rows import csv_text
from benchmarks.folder_runs import BATCHES
from benchmarks.measuring import evaluated_run
from latte.data.sources.listed import image_reference
from latte.io.files import write_text
from latte.recipe.dump import dump_yaml
from latte.results.run import open_run


@dataclass(frozen=True)
class RecipeRun:
    """Method that runs a whole recipe on the images of a set, with the answers as labels."""

    recipe: str
    """Name of a recipe that comes with latte, such as `demo`."""
    numbered: NumberedSets
    place: Path
    """Folder of the recipes; each run folder is removed after its labels are read."""

    def __call__(self, answered: AnsweredSet, corrections: Tensor) -> RivalLabels:
        """Return the labels of the adapted model."""
        numbered_set = self.numbered.sets[answered.name]
        names = numbered_set.names
        own_files, unseen_files = (
            [self.numbered.files[row] for row in part.features[:, 0].long().tolist()]
            for part in (numbered_set.train, numbered_set.test)
        )
        unseen = [*zip(unseen_files, numbered_set.test.labels.tolist(), strict=True)]
        # The labels of own images are not written.
        own_images = [(path, 0) for path in own_files]
        drawn = Drawn(names, self.numbered.templates[answered.name], own_images, unseen)
        settings: dict[str, Any] = {
            "extends": self.recipe,
            "name": self.recipe,
            "dataset": dict(drawn.write(self.place)),
            "device": "cpu",
            "guard": None,
            "reporters": [],
            "controls": None,
            "train": {"batch_size": max(2, math.ceil(len(own_images) / BATCHES))},
        }
        if bool((corrections >= 0).any()):
            settings["corrections"] = "answers.csv"
            write_text(self.place / "answers.csv", _answers(own_files, corrections, names))
        path = self.place / f"{self.recipe}.yaml"
        write_text(path, dump_yaml(settings))
        folder = evaluated_run(path, self.place / "runs")
        rows = open_run(folder.path).rows
        label_of = dict(zip(rows.training_ids, rows.pseudo_labels.adapted, strict=True))
        base = self.place.absolute()
        own_labels = [label_of[image_reference(path, base).id] for path in own_files]
        labels = RivalLabels(torch.tensor(own_labels), torch.tensor(rows.predicted_labels))
        shutil.rmtree(folder.path)
        return labels


def _answers(files: Sequence[Path], corrections: Tensor, names: Sequence[str]) -> str:
    rows = (corrections >= 0).nonzero().squeeze(1).tolist()
    lines = [[files[row], names[int(corrections[row])]] for row in rows]
    return csv_text([["path", "class"], *lines])
