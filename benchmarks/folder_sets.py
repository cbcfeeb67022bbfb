"""Load labelled sets as frozen features; features are cached, so each image is encoded once."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
from latte_benchmarks.feature_files import read_feature_file
from latte_benchmarks.folder_cells import EncodeNames, LabelledImages, LabelledSet, subset
from torch import Tensor

from benchmarks.measuring import no_clip
from latte.backbone.encode import ClassTexts, encode_class_texts
from latte.backbone.load import load_backbone
from latte.backbone.open_clip import OpenClipBackbone
from latte.components.datasets.local import CoopDataset, CoopOptions
from latte.interfaces import Context, LabelledImage, LatteError, Progress
from latte.interfaces.errors import did_you_mean
from latte.interfaces.settings import BackboneSettings
from latte.registry.registry import Registry, load_registry
from latte.report.progress import make_progress
from latte.run.frozen_features import encode_references

TEMPLATE = "a photo of a {class}."


@dataclass(frozen=True)
class SetPlan:
    """Paths and template of a labelled set."""

    name: str
    split: Path
    root: Path
    template: str = TEMPLATE


@dataclass(frozen=True)
class SubsetPlan:
    """Random classes of a set."""

    name: str
    set_name: str
    count: int
    seed: int


@dataclass(frozen=True)
class Sets:
    """All sets from which folders are drawn."""

    wholes: tuple[SetPlan, ...]
    subsets: tuple[SubsetPlan, ...]
    images_per_class: int | None
    """Largest number of encoded images per class, in `train` and in `test` each; None for all."""
    files: tuple[Path, ...] = ()
    """Files of features; see `read_features`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all sets, then of all subsets."""
        return (
            *(plan.name for plan in self.wholes),
            *(plan.name for plan in self.subsets),
            *(path.stem for path in self.files),
        )

    def load(self, model: str, registry: Registry, progress: Progress) -> list[LabelledSet]:
        """Return all sets, encoding what is not cached. Raises `LatteError` for an unusable set."""
        clip = load_clip(model, registry)
        encoded = self.with_subsets([self.encoded(plan, clip, progress) for plan in self.wholes])
        return [*encoded, *read_features(self.files, clip)]

    def with_subsets(self, wholes: Sequence[LabelledSet]) -> list[LabelledSet]:
        """Return `wholes` and the subsets that are drawn from them."""
        sets_by_name = {labelled.name: labelled for labelled in wholes}
        for plan in self.subsets:
            sets_by_name[plan.name] = subset(
                sets_by_name[plan.set_name], plan.count, plan.seed, plan.name
            )
        return [*sets_by_name.values()]

    def read(self, plan: SetPlan) -> tuple[CoopDataset, list[LabelledImage], list[LabelledImage]]:
        """Return a whole set, its training images and its test images; decodes none of them.

        Raises `LatteError` if one of both parts has no labelled image.
        """
        context = Context(Path.cwd(), Path.cwd(), "cpu", 0, no_clip)
        options = CoopOptions(root=str(plan.root), split=str(plan.split), template=plan.template)
        dataset = CoopDataset(options, context)
        labels = dataset.audit_labels()
        training = [
            LabelledImage(image, labels[image.id])
            for image in dataset.training_images()
            if image.id in labels
        ]
        test = dataset.evaluation_images()
        if not training or not test:
            raise LatteError(
                "the set needs labelled images in `train` and in `test`", where=str(plan.split)
            )
        return dataset, capped(training, self.images_per_class), capped(test, self.images_per_class)

    def encoded(self, plan: SetPlan, clip: OpenClipBackbone, progress: Progress) -> LabelledSet:
        """Return a whole set as features of `clip`."""
        dataset, training, test = self.read(plan)
        image_parts = [
            image_features(clip, part, progress, f"{plan.name}: {name}")
            for part, name in ((training, "images"), (test, "test images"))
        ]
        return LabelledSet(
            encode_names=name_encoder(clip, dataset.templates),
            name=plan.name,
            source=plan.name,
            names=dataset.class_names,
            texts=encoded_classes(clip, dataset),
            logit_scale=float(clip.logit_scale.detach()),
            train=image_parts[0],
            test=image_parts[1],
        )


def set_parser(name: str, about: str | None, **parser_settings: Any) -> argparse.ArgumentParser:
    """Return a parser with the options that say which labelled sets are used."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}", description=about, **parser_settings
    )
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=SPLIT:ROOT[:TEMPLATE]")
    add("--subset", action="append", default=[], metavar="NAME=SET:COUNT:SEED")
    add("--images-per-class", type=positive, help="at most so many in `train` and in `test`")
    add("--features", nargs="+", type=Path, metavar="FILE", default=[], help="sets as features")
    add("--threads", type=positive, default=1, help="of torch (%(default)s)")
    return parser


def positive(text: str) -> int:
    """Return the whole number of an option. Raises an error of argparse below 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {text}")
    return int(text)


def load_sets(options: argparse.Namespace) -> list[LabelledSet]:
    """Return the sets of `options`, encoded by the CLIP `options.model`."""
    torch.set_num_threads(options.threads)
    return sets_of(options).load(options.model, load_registry(), make_progress())


def read_features(paths: Sequence[Path], clip: OpenClipBackbone) -> list[LabelledSet]:
    """Read sets from safetensors files of features and labels by `clip`; see `read_feature_file`.

    Raises `LatteError` for another file, and for features of another width than those of `clip`.
    """
    encode_names = name_encoder(clip, [TEMPLATE])
    return [read_feature_file(path, encode_names, clip.embedding_width) for path in paths]


def sets_of(options: argparse.Namespace) -> Sets:
    """Return the sets that options of `set_parser` name."""
    return read_plans(options.set, options.subset, options.images_per_class, options.features)


def load_clip(model: str, registry: Registry) -> OpenClipBackbone:
    """Return a CLIP on the CPU; paths are relative to the working directory."""
    settings, folder = BackboneSettings(model=model), registry.model_folder
    return load_backbone(settings, device="cpu", base_dir=Path(), model_folder=folder)


def read_plans(
    sets: Sequence[str],
    subsets: Sequence[str],
    images_per_class: int | None,
    files: Sequence[Path] = (),
) -> Sets:
    """Parse `NAME=SPLIT:ROOT[:TEMPLATE]` for sets and `NAME=SET:COUNT:SEED` for subsets.

    Without sets and files, return the photos of latte-tiny. Raises `LatteError` for a mistake.
    """
    wholes = tuple(_set_plan(plan) for plan in sets)
    if not (wholes or files):
        wholes = (_shipped_photos(),)
    set_names = [plan.name for plan in wholes]
    subset_plans = tuple(_subset_plan(plan, set_names) for plan in subsets)
    names = [*set_names, *(plan.name for plan in subset_plans), *(path.stem for path in files)]
    if twice := {name for name in names if names.count(name) > 1}:
        raise LatteError(f'two sets are called "{min(twice)}"', hint="give each another NAME")
    return Sets(wholes, subset_plans, images_per_class, tuple(files))


def capped(images: Sequence[LabelledImage], most: int | None) -> list[LabelledImage]:
    """Return at most `most` images per class, drawn with a fixed seed, in unchanged order."""
    if most is None:
        return [*images]
    counts: dict[int, int] = {}
    rows = []
    for row in numpy.random.default_rng(0).permutation(len(images)).tolist():
        label = images[row].label
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= most:
            rows.append(row)
    return [images[row] for row in sorted(rows)]


def encoded_classes(clip: OpenClipBackbone, dataset: CoopDataset) -> Tensor:
    """Return unit text features (C, D) of a set's classes."""
    return encode_class_texts(clip, ClassTexts.of(dataset.templates, dataset.class_aliases))


def name_encoder(clip: OpenClipBackbone, templates: Sequence[str]) -> EncodeNames:
    """Return a function that returns the text features of names in `templates`, and keeps them."""

    @cache
    def encoded(names: tuple[str, ...]) -> Tensor:
        return encode_class_texts(clip, ClassTexts.of(templates, [(name,) for name in names]))

    return lambda names: encoded(tuple(names))


def image_features(
    clip: OpenClipBackbone, images: Sequence[LabelledImage], progress: Progress, name: str
) -> LabelledImages:
    """Return features and labels of all readable images."""
    readable_images, features = encode_references(
        clip, [image.image for image in images], progress, name
    )
    label_of = {image.image.id: image.label for image in images}
    labels = torch.tensor([label_of[image.id] for image in readable_images], dtype=torch.int64)
    return LabelledImages(features, labels)


def _shipped_photos() -> SetPlan:
    try:
        from latte_tiny.dataset import IMAGES
    except ImportError as error:
        raise LatteError(
            "without --set the photos of latte-tiny are used, which is not installed",
            hint="pip install latte-tiny, or name a set: --set NAME=SPLIT:ROOT",
        ) from error
    return SetPlan("photos", IMAGES / "split.json", IMAGES)


def _set_plan(text: str) -> SetPlan:
    name, fields = _parts(text, "--set", "NAME=SPLIT:ROOT[:TEMPLATE]", (2, 3))
    return SetPlan(name, Path(fields[0]), Path(fields[1]), *fields[2:])


def _subset_plan(text: str, set_names: Sequence[str]) -> SubsetPlan:
    name, fields = _parts(text, "--subset", "NAME=SET:COUNT:SEED", (3, 3))
    set_name, *numbers = fields
    if set_name not in set_names:
        hint = f"{did_you_mean(set_name, set_names)} All: {', '.join(set_names)}".strip()
        raise LatteError(f'there is no set "{set_name}"', where=f"--subset {text}", hint=hint)
    if not all(number.isdecimal() for number in numbers) or int(numbers[0]) < 1:
        raise LatteError("COUNT and SEED are whole numbers", where=f"--subset {text}")
    return SubsetPlan(name, set_name, int(numbers[0]), int(numbers[1]))


def _parts(text: str, where: str, form: str, fewest_most: tuple[int, int]) -> tuple[str, list[str]]:
    name, equals, value = text.partition("=")
    fields = value.split(":", fewest_most[1] - 1)
    if not (name and equals) or len(fields) < fewest_most[0] or not all(fields):
        raise LatteError(f'"{text}" is not {form}', where=where)
    return name, fields


def settings(sets: Sets) -> Mapping[str, object]:
    """Return the settings that change features or draws, without the model: `settings.json`."""
    return {
        "sets": [
            [plan.name, str(plan.split.absolute()), str(plan.root.absolute()), plan.template]
            for plan in sets.wholes
        ],
        "subsets": [[plan.name, plan.set_name, plan.count, plan.seed] for plan in sets.subsets],
        "images_per_class": sets.images_per_class,
        "files": [str(path.absolute()) for path in sets.files],
    }
