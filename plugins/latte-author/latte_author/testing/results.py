"""Synthetic results of a run, for tests of reporters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from latte.api import (
    ClassAccuracy,
    ClassifiedImage,
    Confusion,
    Described,
    Evaluation,
    GalleryEntry,
    Interval,
    LabelFlow,
    LearnerPrototypes,
    RunModel,
    RunRecord,
    RunResults,
)
from latte_author.testing.fixtures import random_classifier, tiny_images

CLASSES = ("cat", "dog", "fish")
_RECIPE = {
    "name": "pets",
    "seed": 0,
    "backbone": {"model": "ViT-B-32", "pretrained": None},
    "dataset": {"use": "folder", "root": "photos"},
    "describers": [{"use": "phrases"}],
    "descriptions": [{"use": "class"}, {"use": "image"}],
    "labels": [{"use": "frozen"}],
    "learners": [
        {"name": "main", "prototypes": {"use": "momentum"}, "loss": {"use": "contrastive"}}
    ],
    "train": {"batch_size": 4, "max_steps": 2},
}


def run_results(folder: Path) -> RunResults:
    """Return synthetic results of a run, and write the images that they name to `folder`."""
    run = folder / "run"
    run.mkdir(parents=True, exist_ok=True)
    images = tiny_images(folder / "photos", 3)
    zero_shot = _model("zero-shot", (10, 8, 12), None)
    adapted = _model("adapted", (14, 10, 12), Interval(0.1, 0.02, 0.18))
    return RunResults(
        folder=run,
        record=RunRecord.model_validate(
            {
                "source": {"recipe": "/recipes/pets.yaml", "values": _RECIPE},
                "environment": {"latte": "0.1.0"},
                "stages": {
                    "describe": {"fingerprint": "", "seconds": 1.5},
                    "train": {"fingerprint": "", "seconds": 2.5, "peak_memory_mb": 512.0},
                },
                "data": {"class_names": CLASSES, "training_images": 6},
                "evaluate": {"models": (zero_shot, adapted)},
            }
        ),
        metrics=(
            {"event": "step", "step": 1, "epoch": 0, "loss": 2.0},
            {"event": "step", "step": 2, "epoch": 0, "loss": 1.0},
            {"event": "epoch", "step": 2, "epoch": 0, "top1": 0.6},
        ),
        gallery=(
            GalleryEntry(images[0], {"image": Described("a cat on a mat")}, 0, 0, 0),
            GalleryEntry(
                images[1], {"image": Described("two", (images[0], images[1]))}, 1, 2, None
            ),
            GalleryEntry(images[2], {}, 2, 2, 2),
        ),
        pseudo_label_counts=((2, 3), (2, 2), (2, 1)),
        confusions={"zero-shot": _confusions(10, 8, 12), "adapted": _confusions(14, 10, 12)},
        label_flows=(
            LabelFlow(0, 0, 2),
            LabelFlow(1, 1, 2),
            LabelFlow(2, 0, 1),
            LabelFlow(2, 2, 1),
        ),
        mistakes=(ClassifiedImage(images[0], (1, 0), (0.8, 0.1), 2, 0),),
        uncertain=(ClassifiedImage(images[1], (2, 1), (0.4, 0.35), 1, None),),
        examples=tuple(
            ClassifiedImage(image, (label,), (0.9,), 0, None) for label, image in enumerate(images)
        ),
        prototypes=(LearnerPrototypes("main", random_classifier(3, 1), random_classifier(3, 2)),),
    )


def without_evaluation(results: RunResults) -> RunResults:
    """Return a copy of `results` without evaluations, training steps and gallery."""
    record = RunRecord.model_validate(dict(results.record) | {"stages": {}, "evaluate": {}})
    return replace(
        results,
        record=record,
        gallery=(),
        metrics=(),
        confusions={},
        label_flows=(),
        mistakes=(),
        uncertain=(),
        prototypes=(),
    )


def _confusions(*correct_counts: int) -> tuple[Confusion, ...]:
    """Return the confusions of a model that is tested on 20 images per class.

    Of class c, `right[c]` images are classified correctly; all others are classified as the next
    class.
    """
    hits = [Confusion(label, label, images) for label, images in enumerate(correct_counts)]
    errors = [
        Confusion(label, (label + 1) % 3, 20 - images)
        for label, images in enumerate(correct_counts)
    ]
    return tuple(
        sorted(
            (*hits, *errors),
            key=lambda confusion: (-confusion.images, confusion.true, confusion.predicted),
        )
    )


def _model(
    role: Literal["zero-shot", "adapted"], correct_counts: tuple[int, ...], gain: Interval | None
) -> RunModel:
    top1 = sum(correct_counts) / 60
    evaluation = Evaluation(
        images=60,
        top1=Interval(top1, top1 - 0.1, top1 + 0.1),
        top5=1.0,
        mean_per_class=top1,
        classes=tuple(ClassAccuracy(correct, 20) for correct in correct_counts),
        gain=gain,
    )
    return RunModel(role, role, evaluation)
