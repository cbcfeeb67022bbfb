"""Whole runs with the simulated describer: LatteCLIP with its captions, and recipes with choices.

The images are real files, and the runs train. Captions and choices come from `SimulatedDescriber`.
"""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from latte_questions.labeler import ChoicesLabeler
from latte_transductive.options import TransductiveOptions

from benchmarks.folder_cells import NO_CLASS, Cell, Folder, Images, draw
from benchmarks.questions import Accuracy, SimulatedDescriber, training_set
from benchmarks.trained import own_gain
from benchmarks.trained_draws import Drawn, NumberedSets, files_of
from latte.cli.progress import make_progress
from latte.data.sources.listed import image_reference
from latte.interfaces import Describer, DescribeRequest, Options, TrainingStart
from latte.interfaces.progress import SilentProgress
from latte.io.files import digest, write_json, write_text
from latte.recipe.dump import dump_yaml
from latte.recipe.load import load_recipe
from latte.registry.discovery import discover_plugins
from latte.registry.plugin import Plugin
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec
from latte.results.finished import FinishedRun
from latte.run.questions import StoredQuestions
from latte.run.runner import run_recipe
from latte.run.workspace import run_folder

_TRUTH = "truth.json"


class SimulatedOptions(Options):
    """Options of the describer: what it knows, and how often it is right."""

    truth: str
    right: float | None
    draw: int


class SimulatedChoicesOptions(TransductiveOptions, SimulatedOptions):
    """Options of the labeler."""

    budget: int


class CaptionDescriber(Describer[SimulatedOptions]):
    """Describer whose captions name a class: the right one with probability `right`.

    A group's right class is the most frequent one of its images.
    """

    batch_size = 4096
    max_images = 16

    @property
    def fingerprint(self) -> str:
        return digest("captions", self.options.model_dump_json())

    @cached_property
    def _known(self) -> tuple[dict[str, int], SimulatedDescriber]:
        known = json.loads(self.context.path(self.options.truth).read_text())
        clip = self.context.frozen_clip()
        names = known["names"]
        with torch.inference_mode():
            texts = clip.encode_texts([known["template"].format(**{"class": n}) for n in names])
        nothing = Images(torch.empty(0), torch.empty(0))
        folder = Folder(tuple(names), texts.float().cpu(), float(clip.logit_scale), nothing, nothing, nothing.labels)
        return known["labels"], SimulatedDescriber(folder, self.options.right, self.options.draw)

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        return [self._caption(one) for one in requests]

    def _caption(self, request: DescribeRequest) -> str:
        labels, simulated = self._known
        names = simulated.folder.names
        label = Counter(labels[one.key] for one in request.images).most_common(1)[0][0]
        correct, confusion, *_ = simulated.draws(*(one.key for one in request.images))
        if correct < (1 / len(names) if self.options.right is None else self.options.right) and label != NO_CLASS:
            return f"a photo of a {names[label]}."
        features = torch.stack([one.features for one in request.images]).mean(dim=0)
        wrong = [one for place, one in enumerate(names) if place != label]
        return f"a photo of a {simulated.confused(wrong, features, confusion)}."


class SimulatedChoices(ChoicesLabeler):
    """Labeler `choices` whose questions go to `SimulatedDescriber`."""

    def start(self, start: TrainingStart) -> None:
        """Prepare the questions."""
        options: Any = self.options
        known = json.loads(self.context.path(options.truth).read_text())
        own = Images(start.image_features, torch.tensor([*known["labels"].values()]))
        assert len(own) == len(start.image_features)
        scale = float(self.context.frozen_clip().logit_scale)
        folder = Folder(start.class_names, start.class_features, scale, own, own, own.labels)
        self._store = TemporaryDirectory()
        questions = StoredQuestions(
            lambda: SimulatedDescriber(folder, options.right, options.draw),
            training_set(folder),
            options.budget,
            Path(self._store.name),
            make_progress(quiet=True),
        )
        super().start(replace(start, questions=questions))


def make_registry() -> Registry:
    """Return the registry of all plugins and the two components of this module."""
    here = __name__
    specs = (
        ComponentSpec(kind="describer", name="simulated", target=f"{here}:CaptionDescriber", options=f"{here}:SimulatedOptions", summary="captions"),
        ComponentSpec(kind="labeler", name="simulated-choices", target=f"{here}:SimulatedChoices", options=f"{here}:SimulatedChoicesOptions", summary="choices"),
    )
    return Registry([*discover_plugins(), Plugin("benchmarks", "benchmarks", "1", status="ok", specs=specs)])


def draw_all(numbered: NumberedSets, name: str, cell: Cell, seed: int) -> Drawn:
    """Return the draw that `questions` makes, as files."""
    whole = numbered.sets[name]
    folder = draw(whole, cell, seed, [*numbered.sets.values()])
    return Drawn(folder.names, numbered.templates[whole.source], files_of(folder.own, numbered.files), files_of(folder.test, numbered.files), folder.mix)


def write(drawn: Drawn, folder: Path) -> dict[str, Any]:
    dataset = drawn.write(folder)
    by_id = sorted(drawn.own, key=lambda one: image_reference(one[0], folder.absolute()).id)
    labels = {digest(path.read_bytes()): label for path, label in by_id}
    assert len(labels) == len(drawn.own), "equal images"
    write_json(folder / _TRUTH, {"names": drawn.names, "template": drawn.template, "labels": labels})
    return dict(dataset)


def run(folder: Path, drawn: Drawn, dataset: Mapping[str, Any], recipe: Mapping[str, Any], registry: Registry, name: str) -> Accuracy:
    images = len(drawn.own)
    path = folder / f"{name}.yaml"
    changed = {
        "name": name, "dataset": dict(dataset), "device": "cpu", "reporters": [], "controls": None, **recipe,
    }
    write_text(path, dump_yaml(changed))
    loaded = load_recipe(path, registry)
    run_recipe(loaded, registry, SilentProgress(), until="evaluate", output=folder / "runs")
    where = run_folder(loaded, None, folder / "runs")
    found = {one.name: one for one in FinishedRun(where).evaluations}
    labels = drawn.own_labels(folder)
    right = counted = 0
    with where.pseudo_labels.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (label := labels[row["image"]]) != NO_CLASS:
                counted += 1
                right += row["adapted"] == drawn.names[label]
    return Accuracy(100 * right / counted, 100 * found["adapted"].top1.value)
