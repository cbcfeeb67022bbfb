"""Whole runs with a simulated describer: LatteCLIP with its captions, and choices with training.

`python -m benchmarks question_runs` prints accuracies of own and of unseen images in percent.

The images are real files, and the runs train. Captions of all images and groups are written by the
describer `simulated`; the labeler `simulated-choices` asks `SimulatedDescriber`. Their options name
a file with the classes of the images.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from latte_benchmarks.folder_cells import CELL, NO_CLASS, Folder, LabelledImages
from latte_questions.labeler import ChoicesLabeler
from latte_questions.options import FEWEST_QUESTIONS, ChoicesOptions

from benchmarks.folder_files import Drawn, draw_files, number
from benchmarks.folder_methods import FolderAccuracy
from benchmarks.folder_sets import positive, set_parser, sets_of
from benchmarks.measuring import evaluated_run, say, table, table_row
from benchmarks.question_describer import SimulatedDescriber, training_set
from latte.data.sources.listed import image_reference
from latte.interfaces import Context, Describer, DescribeRequest, Options, TrainingStart
from latte.interfaces.progress import SilentProgress
from latte.io.files import digest, write_json, write_text
from latte.recipe.dump import dump_yaml
from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from latte.registry.spec import ComponentSpec, Kind, Plugin
from latte.results.run import Run
from latte.run.questions import StoredQuestions

_TRUTH = "truth.json"
_BATCHES = 4
"""Batches per epoch of LatteCLIP, as in the demo with its 1,000 images."""


def main(arguments: Sequence[str]) -> None:
    """Run the recipes, and print. Raises `LatteError` for a mistake in the arguments."""
    parser = set_parser("question_runs", __doc__)
    parser.add_argument("--draws", type=positive, default=3)
    parser.add_argument("--right", type=float, default=0.8, help="share of right answers")
    parser.add_argument("--share", type=float, default=0.05, help="of images asked about")
    options = parser.parse_args(arguments)
    numbered, head = number(sets_of(options)), False
    for name in numbered.sets:
        draws = [
            _accuracies(draw_files(numbered, name, CELL["all names"], draw), options, draw)
            for draw in range(options.draws)
        ]
        if not head:
            say(table(["set", *draws[0]]))
            head = True
        means = [FolderAccuracy.mean([draw[arm] for draw in draws]) for arm in draws[0]]
        say(table_row([name, *map(str, means)]))


def _accuracies(drawn: Drawn, options: argparse.Namespace, draw: int) -> dict[str, FolderAccuracy]:
    """Return the accuracies of whole runs on one folder: with captions, and with choices."""
    budget = max(FEWEST_QUESTIONS, int(options.share * len(drawn.own)))
    recipes = {
        "captions": captions_recipe(len(drawn.own)),
        "choices": {**choices_recipe(budget), "train": {"max_steps": 0}},
        "choices, trained": choices_recipe(budget),
    }
    arms = {}
    for arm, recipe in recipes.items():
        with TemporaryDirectory() as path:
            found = run_accuracy(Path(path), drawn, recipe, options.right, draw)
            arms[arm] = FolderAccuracy(*found)
    return arms


class CaptionOptions(Options):
    """Options of the describer `simulated`."""

    truth: str


class SimulatedChoicesOptions(ChoicesOptions):
    """Options of the labeler `simulated-choices`, which needs no describer of the recipe."""

    ask: bool = False
    truth: str
    budget: int


@dataclass(frozen=True)
class Truth:
    """Content of the file of the classes: what a simulated describer knows."""

    names: Sequence[str]
    template: str
    labels: Mapping[str, int]
    """Class of each image by the image's key, in the order of the run's images."""
    right: float | None
    draw: int

    @classmethod
    def read(cls, context: Context, path: str) -> Truth:
        """Return the content of the file."""
        return cls(**json.loads(context.path(path).read_text(encoding="utf-8")))

    def folder(self, features: torch.Tensor, texts: torch.Tensor, context: Context) -> Folder:
        """Return the images as a folder, without unseen images."""
        images = LabelledImages(features, torch.tensor([*self.labels.values()]))
        scale = float(context.frozen_clip().logit_scale.detach())
        mix = torch.from_numpy(images.counts(len(self.names)))
        return Folder(tuple(self.names), texts, scale, images, images, mix / mix.sum())


class CaptionDescriber(Describer[CaptionOptions]):
    """Describer whose captions name a class: with probability p the right one.

    The right class of a group is the most frequent class of its images. A wrong caption names a
    class that CLIP confuses with the images.
    """

    batch_size = 4096
    max_images = 16

    @cached_property
    def _truth(self) -> Truth:
        return Truth.read(self.context, self.options.truth)

    @cached_property
    def _simulated(self) -> SimulatedDescriber:
        truth, clip = self._truth, self.context.frozen_clip()
        texts = [truth.template.replace("{class}", name) for name in truth.names]
        with torch.inference_mode():
            encoded = clip.encode_texts(texts).float().cpu()
        nothing = encoded.new_zeros(len(truth.labels), encoded.shape[1])
        folder = truth.folder(nothing, encoded, self.context)
        return SimulatedDescriber(folder, truth.right, truth.draw)

    @property
    def fingerprint(self) -> str:
        """Identifier of what the describer knows."""
        return digest("captions", self.context.path(self.options.truth).read_text(encoding="utf-8"))

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return one caption per request."""
        return [f"a photo of a {self._name(request)}." for request in requests]

    def _name(self, request: DescribeRequest) -> str:
        names, right = self._truth.names, self._truth.right
        classes = Counter(self._truth.labels[image.key] for image in request.images)
        label = classes.most_common(1)[0][0]
        correct, confusion, *_ = self._simulated.draws(*(image.key for image in request.images))
        if label != NO_CLASS and correct < (1 / len(names) if right is None else right):
            return names[label]
        features = torch.stack([image.features for image in request.images]).mean(dim=0)
        wrong = [name for index, name in enumerate(names) if index != label]
        return self._simulated.confused(wrong, features, confusion)


class SimulatedChoices(ChoicesLabeler):
    """Labeler `choices` whose questions go to `SimulatedDescriber`."""

    options_type = SimulatedChoicesOptions

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the simulated questions."""
        options = cast("SimulatedChoicesOptions", self.options)
        truth = Truth.read(self.context, options.truth)
        folder = truth.folder(start.image_features, start.class_features, self.context)
        self._store = TemporaryDirectory()
        questions = StoredQuestions(
            lambda: SimulatedDescriber(folder, truth.right, truth.draw),
            training_set(folder),
            options.budget,
            Path(self._store.name),
            SilentProgress(),
        )
        super().start(replace(start, questions=questions))


def make_registry() -> Registry:
    """Return the registry of the installed plugins and the components of this module."""

    def spec(kind: Kind, name: str, target: str) -> ComponentSpec:
        return ComponentSpec(kind, name, f"{__name__}:{target}", "simulated")

    specs = (
        spec("describer", "simulated", "CaptionDescriber"),
        spec("labeler", "simulated-choices", "SimulatedChoices"),
    )
    plugin = Plugin("benchmarks", "latte-benchmarks", "1", status="ok", specs=specs)
    return Registry([*discover_plugins(), plugin])


def captions_recipe(images: int) -> dict[str, Any]:
    """Return LatteCLIP as in the demo, with simulated captions, on cached outputs of the trunks."""
    return {
        "extends": "demo",
        "describer": {"use": "simulated", "truth": _TRUTH},
        "augmentation": None,
        "train": {"batch_size": max(2, math.ceil(images / _BATCHES))},
    }


def choices_recipe(budget: int) -> dict[str, Any]:
    """Return the recipe `latteclip-choices` with simulated choices."""
    return {
        "extends": "latteclip-choices",
        "backbone": {"model": "plugin:tiny"},
        "describer": None,
        "labels": [{"use": "simulated-choices", "truth": _TRUTH, "budget": budget}],
    }


def run_accuracy(
    folder: Path,
    drawn: Drawn,
    recipe: Mapping[str, Any],
    right: float | None,
    seed: int,
) -> tuple[float, float]:
    """Run `recipe` on the files of a draw; return the accuracies of own and unseen images, in %.

    `folder` gets the lists, the recipe and the run.
    """
    labelled = sorted(
        (image_reference(path, folder.absolute()).id, digest(path.read_bytes()), label)
        for path, label in drawn.own
    )
    label_of = {key: label for _, key, label in labelled}
    truth = Truth(drawn.names, drawn.template, label_of, right, seed)
    changed = {
        "name": "run",
        "seed": seed,
        "device": "cpu",
        "reporters": [],
        "controls": None,
        **recipe,
        "dataset": dict(drawn.write(folder)),
    }
    write_json(folder / _TRUTH, vars(truth))
    write_text(folder / "run.yaml", dump_yaml(changed))
    run = evaluated_run(folder / "run.yaml", folder / "runs", make_registry())
    with run.pseudo_labels.open(encoding="utf-8", newline="") as file:
        adapted_names = {row["image"]: row["adapted"] for row in csv.DictReader(file)}
    counted = [(name, label) for name, _, label in labelled if label != NO_CLASS]
    correct = sum(adapted_names[name] == drawn.names[label] for name, label in counted)
    used = Run(run).record.used_model
    assert used is not None and used.classifier is not None, "the run was evaluated"
    return 100 * correct / len(counted), 100 * used.classifier.top1.value
