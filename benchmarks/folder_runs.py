"""Run recipes that train on the files of drawn folders, as methods of the benchmark `folders`.

The guard `evidence` judges each run. A folder has at most `BATCHES` batches per epoch, as many as
the demo has with its 1,000 images.
"""

from __future__ import annotations

import csv
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from latte_benchmarks.folder_cells import Folder, FolderCell
from torch import Tensor

from benchmarks.folder_files import Drawn, NumberedSets, draw_files
from benchmarks.folder_methods import FolderLabels, FolderMethod
from benchmarks.measuring import evaluated_run
from latte.data.sources.listed import image_reference
from latte.io.files import write_text
from latte.recipe.dump import dump_yaml
from latte.results.folder import RunFolder

BATCHES = 4


@dataclass(frozen=True)
class RecipeRuns:
    """Runs of one recipe with training steps."""

    recipe: Path
    numbered: NumberedSets
    out: Path
    """Folder of the lists and recipes; a run is removed when its answers are read."""

    def method(self, name: str, cell: FolderCell, number: int) -> FolderMethod:
        """Return the method that runs the recipe on a draw of the set `name`; it is the seed."""
        return lambda folder: self._answers(folder, name, cell, number)

    def _answers(self, folder: Folder, name: str, cell: FolderCell, number: int) -> FolderLabels:
        drawn = draw_files(self.numbered, name, cell, number)
        assert drawn.labels == (folder.own.labels.tolist(), folder.test.labels.tolist())
        place = self.out / f"{name}-{cell.name.replace(' %', '%').replace(' ', '-')}-{number}"
        path = place / f"{self.recipe.stem}.yaml"
        changes = {
            "extends": os.path.relpath(self.recipe, place),
            "name": self.recipe.stem,
            "requires": ["latte-selftaught>=0.1,<0.2"],
            "dataset": dict(drawn.write(place)),
            "seed": number,
            "device": "cpu",
            "guard": "evidence",
            "reporters": [],
            "controls": None,
            "train": {"batch_size": max(2, math.ceil(len(folder.own) / BATCHES))},
        }
        write_text(path, dump_yaml(changes))
        run = evaluated_run(path, place / "runs")
        answers = answers_of(run, drawn, place)
        shutil.rmtree(place)
        return answers


def answers_of(run: RunFolder, drawn: Drawn, place: Path) -> FolderLabels:
    """Return the classes that a finished run gives to the draw's own and unseen images."""
    record = run.results.read()
    verdict = record.judge.verdict
    assert verdict is not None, "the recipe has a guard"
    own_files, unseen_files = ([path for path, _ in part] for part in (drawn.own, drawn.unseen))
    is_rejected = record.judge.used != "adapted"
    full = run.adapted_model.pseudo_labels if is_rejected else run.pseudo_labels
    return FolderLabels(
        _classes(run.pseudo_labels, "adapted", own_files, drawn.names, place),
        _classes(run.predictions, "class_1", unseen_files, drawn.names, place),
        verdict,
        _classes(full, "adapted", own_files, drawn.names, place),
    )


def _classes(
    path: Path, column: str, files: Sequence[Path], names: Sequence[str], place: Path
) -> Tensor:
    """Return the classes (N,) of image files, from a column of a run's CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        name_of: Mapping[str, str] = {row["image"]: row[column] for row in csv.DictReader(file)}
    return torch.tensor(
        [names.index(name_of[image_reference(image, place.absolute()).id]) for image in files]
    )
