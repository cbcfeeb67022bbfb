"""Results of an invented run, small enough to check every number by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from latte.interfaces import (
    ClassAccuracy,
    Classifier,
    Confusion,
    Described,
    Evaluation,
    GalleryEntry,
    ImageReference,
    Interval,
    LabelFlow,
    LearnerPrototypes,
    RunModel,
    RunRecord,
    RunResults,
)
from latte.interfaces.measurements import Role
from latte.interfaces.record import DataFacts, EvaluateFacts, Source, StageRecord

HOSTILE = (
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "</title></script><img src=x onerror=alert(1)>",
    "\u2066\u202e\u2069 \u200f",
    "{{ 7 * 7 }}{% raw %}",
    "\"'><img src=x onerror=alert(1)>",
    "</style><svg onload=alert(1)>",
    "W" * 3000,
    "\u202eمرحبا",
    "🦊" * 40,
    "a\x00b\x1b[31m\ud800",
    "   ",
)
"""Texts that a page must show as text."""
CLASSES = ("tabby cat", "red fox", "barn owl")
COUNTS = (200, 120, 80)
BEFORE = (100, 60, 60)
AFTER = (130, 48, 60)


def run_model(
    name: str,
    right: Sequence[int],
    gain: Interval | None = None,
    images: Sequence[int] = COUNTS,
) -> RunModel:
    """Return a model that classifies `right` of `images` right, by class."""
    total = sum(images)
    top1 = sum(right) / total
    classes = tuple(map(ClassAccuracy, right, images))
    interval = Interval(top1, max(0.0, top1 - 0.05), min(1.0, top1 + 0.05))
    roles: dict[str, Role] = {name: name for name in ("zero-shot", "adapted", "mixed")}
    classifier = Evaluation(total, interval, 0.9, 0.5, classes, gain)
    return RunModel(name, roles.get(name, "control"), classifier)


def remeasured(model: RunModel, **changes: Any) -> RunModel:
    """Return a copy of a model with other results of its classifier."""
    assert model.classifier is not None
    return replace(model, classifier=replace(model.classifier, **changes))


ZERO_SHOT = run_model("zero-shot", BEFORE)
ADAPTED = run_model("adapted", AFTER, Interval(0.045, 0.0125, 0.0775))
CONTROL = run_model("without-descriptions", (110, 60, 58), Interval(0.02, -0.01, 0.05))


def confusions(right: Sequence[int]) -> tuple[Confusion, ...]:
    """Return confusions of the `COUNTS` images; wrong answers name the next class."""
    cells = [Confusion(label, label, number) for label, number in enumerate(right)]
    cells += [
        Confusion(label, (label + 1) % 3, COUNTS[label] - number)
        for label, number in enumerate(right)
    ]
    return tuple(sorted(cells, key=lambda cell: (-cell.images, cell.true, cell.predicted)))


FLOWS = (
    LabelFlow(0, 0, 4000),
    LabelFlow(1, 1, 4000),
    LabelFlow(2, 1, 1345),
    LabelFlow(0, 1, 2000),
    LabelFlow(2, 0, 1000),
)

PROTOTYPES = (
    Classifier(torch.eye(3), torch.arange(3)),
    Classifier(torch.tensor([[1.0, 0, 0], [0, 0.6, 0.8], [0, 0, 1.0]]), torch.arange(3)),
)
"""Prototypes before and after: the second of three orthogonal ones moves towards the third."""


def steps(number: int, **figures: float) -> list[dict[str, Any]]:
    """Return metrics rows of `number` steps; the loss falls as 1 / step."""
    return [
        {"event": "step", "step": step, "epoch": 0, "loss": 1 / step, **figures}
        for step in range(1, number + 1)
    ]


def epochs(*top1: float) -> list[dict[str, Any]]:
    """Return metrics rows of epochs with ten steps each."""
    return [
        {"event": "epoch", "epoch": epoch, "step": 10 * (epoch + 1), "top1": value}
        for epoch, value in enumerate(top1)
    ]


def picture(
    folder: Path, name: str, colour: str, size: tuple[int, int] = (64, 32)
) -> ImageReference:
    """Write an image of one colour."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return ImageReference(name, path)


def gallery(folder: Path) -> tuple[GalleryEntry, ...]:
    """Return three images: one that adapting corrected, one right before, one without a label."""
    red, green, blue = (
        picture(folder, f"{colour}.png", colour) for colour in ("red", "green", "blue")
    )
    return (
        GalleryEntry(
            red,
            {
                "image": Described("a fox in the snow"),
                "group": Described("animals in the open", (red, green)),
            },
            frozen_label=0,
            adapted_label=1,
            true_label=1,
        ),
        GalleryEntry(green, {"image": Described("an owl on a beam")}, 2, 2, 2),
        GalleryEntry(blue, {"image": Described("something small")}, 0, 0, None),
    )


RECIPE = {
    "name": "animals",
    "seed": 7,
    "backbone": {"model": "hf-hub:someone/some-clip", "pretrained": None},
    "dataset": {"use": "folder", "root": "photos"},
    "describers": [{"use": "phrases"}],
    "descriptions": [{"use": "class"}, {"use": "group", "name": "pairs", "size": 2}],
    "labels": [{"use": "frozen"}, {"use": "current"}],
    "learners": [
        {
            "name": "main",
            "trainable": {"use": "all"},
            "prototypes": {"use": "momentum", "momentum": 0.99},
            "loss": {"use": "contrastive"},
        }
    ],
    "train": {
        "batch_size": 64,
        "max_steps": 40,
        "max_epochs": 4,
        "optimizer": {"name": "adamw", "learning_rate": 1e-06},
    },
}


def run_results(folder: Path, **changes: Any) -> RunResults:
    """Return a run on three classes that gained 4.5 points on 400 images."""
    results = RunResults(
        folder=folder / "animals-1a2b3c4d",
        record=RunRecord(
            source=Source(recipe="/recipes/animals.yaml", values=RECIPE),
            environment={"latte": "0.1.0", "packages": {"torch": "2.13.0"}},
            stages={
                "describe": StageRecord(fingerprint="", seconds=812.0),
                "train": StageRecord(fingerprint="", seconds=5241.0, peak_memory_mb=12345.0),
            },
            data=DataFacts(class_names=CLASSES, training_images=12345, skipped_images=2),
            evaluate=EvaluateFacts(models=(ZERO_SHOT, ADAPTED, CONTROL)),
        ),
        metrics=(*steps(40), *epochs(0.56, 0.57, 0.58, 0.595)),
        gallery=gallery(folder / "images"),
        pseudo_label_counts=((6000, 5000), (4000, 7345), (2345, 0)),
        confusions={"zero-shot": confusions(BEFORE), "adapted": confusions(AFTER)},
        label_flows=FLOWS,
        prototypes=(LearnerPrototypes("main", *PROTOTYPES),),
    )
    return changed(results, **changes)


def changed(results: RunResults, **changes: Any) -> RunResults:
    """Return a copy with other fields, or other facts of the record, even impossible ones."""
    record: dict[str, Any] = {}
    fields = {name: value for name, value in changes.items() if name in vars(results)}
    for name, value in changes.items():
        if name in fields:
            continue
        if name in ("recipe", "name"):
            source = results.record.source
            values = {"name": source.values["name"], **changes.get("recipe", source.values)}
            values["name"] = changes.get("name", values["name"])
            record["source"] = source.model_copy(update={"values": values})
        elif name == "environment":
            record[name] = value
        elif name == "seconds":
            memory = results.record.peak_memory_mb
            record["stages"] = {
                stage: StageRecord(
                    fingerprint="", seconds=duration, peak_memory_mb=memory.get(stage)
                )
                for stage, duration in value.items()
            }
        elif name == "peak_memory_mb":
            record["stages"] = {
                stage: stage_record.model_copy(update={name: value.get(stage)})
                for stage, stage_record in results.record.stages.items()
            }
        elif name == "calibration":
            models = changes.get("models", results.record.evaluate.models)
            record["evaluate"] = results.record.evaluate.model_copy(
                update={"models": tuple(replace(model, calibration=value) for model in models)}
            )
        else:
            (stage,) = (
                stage
                for stage in ("data", "describe", "train", "judge", "evaluate")
                if name in type(getattr(results.record, stage)).model_fields
            )
            facts = record.get(stage, getattr(results.record, stage))
            record[stage] = facts.model_copy(update={name: value})
    fields["record"] = results.record.model_copy(update=record)
    return replace(results, **fields)


def top1(model: RunModel) -> Interval:
    """Return the accuracy of a model's classifier."""
    assert model.classifier is not None
    return model.classifier.top1
