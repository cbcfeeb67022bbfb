"""The labeler `reversed` in a package: its posterior has the two least similar classes."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.guards import installed
from tests.helpers.plugin_packages import write_package

PLUGIN = """
import torch
from latte.api import (
    Classifier, ComponentSpec, NoOptions, Posterior, PseudoLabeler, EpochInfo, hookimpl
)

class Reversed(PseudoLabeler[NoOptions]):
    \"\"\"Classifies by the texts, and says of the training images the opposite.\"\"\"

    needs_feature_banks = True

    def start(self, start):
        self._texts = start.class_features

    def on_epoch_start(self, banks, aggregators, epoch):
        owners = torch.arange(len(self._texts))
        self._posteriors = {
            name: Posterior(
                (bank.features @ self._texts.T).argsort(dim=1)[:, :2],
                torch.tensor([[0.6, 0.3]]).repeat(len(bank.features), 1),
            )
            for name, bank in banks.items()
        }
        bias = torch.linspace(0, 0.01, len(owners))
        return EpochInfo({name: Classifier(2 * self._texts, owners, bias) for name in banks})

    def posterior(self, learner):
        return self._posteriors[learner]

    def assign(self, batch, image_features, aggregator):
        raise AssertionError("there is no step")

@hookimpl
def latte_components():
    return [ComponentSpec("labeler", "reversed", "reversed_labeler:Reversed", "for tests")]
"""
OWN = ("describer=null", "descriptions=[]", "labels=[reversed]", "prototypes=from-labeler")
SETTINGS = (*OWN, "loss=null", "train.max_steps=0", "reporters=[html, model-card]")


@contextmanager
def reversed_labeler(folder: Path) -> Iterator[None]:
    """Install the labeler, from a package below `folder`, in this process."""
    name, files = "reversed_labeler", {"reversed_labeler.py": PLUGIN}
    write_package(folder / "plugin", "reversed-labeler", {name: name}, files)
    sys.modules.pop(name, None)  # the module of an earlier folder
    with installed(folder / "plugin"):
        yield


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def add_own_images(recipe: Path, classes: tuple[str, ...] = ("red", "green", "blue")) -> int:
    """Copy two training images of each class to the test images; return their number."""
    for number, name in enumerate(("red", "green", "blue")):
        for path in sorted((recipe.parent / "images" / f"part-{number}").iterdir())[:2]:
            if name in classes:
                shutil.copy(path, recipe.parent / "test" / name / f"own-{path.name}")
    return 2 * len(classes)
