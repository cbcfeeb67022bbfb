"""A labeler of a package goes on from the posterior of an earlier run, by `latte.api` alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.guards import installed
from tests.helpers.plugin_packages import write_package
from tests.helpers.reversed_labeler import SETTINGS, reversed_labeler, rows
from tests.helpers.whole_runs import run

pytestmark = pytest.mark.thorough

LABELER = '''
"""Label each image as an earlier run did."""

from typing import Any

import torch
from latte.api import (
    Batch, ComponentSpec, LabelStream, Options, PathText, Posterior, PseudoLabeler, TrainingStart,
    full_stream, hookimpl,
)
from latte.api.runs import open_run, read_posterior


class EarlierOptions(Options):
    run: PathText


class Earlier(PseudoLabeler[EarlierOptions]):
    def start(self, start: TrainingStart) -> None:
        keys, posterior = read_posterior(open_run(self.context.path(self.options.run)))
        row_of = {key: row for row, key in enumerate(keys)}
        places = torch.tensor([row_of[key] for key in start.image_keys])
        self.labels = posterior.labels[places]
        self.probabilities = posterior.probabilities[places]

    def assign(self, batch: Batch, image_features: Any, aggregator: Any) -> list[LabelStream]:
        labels = self.labels[batch.indices, 0]
        return [full_stream("earlier", labels, image_features, scale=1.0)]

    def posterior(self, learner: str) -> Posterior:
        return Posterior(self.labels, self.probabilities)


@hookimpl
def latte_components() -> list[ComponentSpec]:
    return [ComponentSpec("labeler", "earlier", "earlier:Earlier", "for tests")]
'''


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path) -> Iterator[None]:
    package = tmp_path / "earlier"
    write_package(package, "earlier-labeler", {"earlier": "earlier"}, {"earlier.py": LABELER})
    with reversed_labeler(tmp_path), installed(package):
        yield


def test_a_labeler_finds_the_labels_of_an_earlier_run_by_content(
    recipe: Path, tmp_path: Path
) -> None:
    earlier, _, _ = run(recipe, *SETTINGS)
    other_settings = [setting for setting in SETTINGS if not setting.startswith("labels=")]
    labels = f"labels=[{{use: earlier, run: {earlier}}}]"
    later, _, _ = run(recipe, *other_settings, labels, f"output={tmp_path / 'again'}")
    labels_of = {folder: rows(folder / "pseudo_labels.csv") for folder in (earlier, later)}
    earlier_labels, later_labels = (
        {row["image"]: row["adapted"] for row in labels} for labels in labels_of.values()
    )
    assert earlier_labels == later_labels
    assert later_labels != {row["image"]: row["zero_shot"] for row in labels_of[later]}
