"""Folder of a student: train, write the files, and mark the folder as complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from latte.api import (
    LatteError,
    Progress,
    open_image,
    read_model_json,
    write_text,
)
from latte.api.runs import ClassifierPredictor, Run, training_view
from latte_student.batches import pixels_of
from latte_student.checkpoint import NAME as CHECKPOINT
from latte_student.checkpoint import Position
from latte_student.lesson import Lesson, check_unchanged
from latte_student.network import Network, build_network
from latte_student.onnx_files import INT8, MODEL, write_int8, write_onnx
from latte_student.opened import OnnxStudent
from latte_student.settings import DistilSettings
from latte_student.training import Training

CLASSIFIER = "classifier.json"
_OPENED_BY = "latte-student/student"
_CALIBRATED = 64
"""Images from whose activations the ranges of int8 are found."""
_COMPARED = 256
"""Images by whose labels int8 is compared with fp32, those that were left out first."""
LEAST_KEPT = 0.95
"""Share of the student's agreement with the run that int8 keeps, from which the folder uses it."""


@dataclass(frozen=True)
class Student:
    """A complete student."""

    folder: Path
    model: str
    """File that `latte predict` uses."""
    epochs: int
    best_epoch: int
    seconds: float
    kept: float
    """Agreement of int8 with the run's labels of its images, divided by that of fp32."""


def distilled(
    run: Run, lesson: Lesson, settings: DistilSettings, folder: Path, progress: Progress
) -> Student:
    """Return the student in `folder`, after what is left of its training.

    Raises `LatteError` if the folder has another student.
    """
    finished = read_student(folder, settings.fingerprint(lesson.fingerprint))
    if finished is not None:
        progress.say("this student is finished: nothing is trained")
        return finished
    check_unchanged(lesson, progress)
    torch.manual_seed(settings.seed)
    network = build_network(
        settings.student, len(lesson.class_names), settings.size, settings.weights
    )
    position = _trained(run, lesson, settings, network, folder, progress)
    progress.say("write ONNX and int8")
    write_onnx(folder / MODEL, network, lesson.class_names)
    write_int8(folder / INT8, folder / MODEL, _calibration(run, lesson, network))
    return _finish(lesson, settings, folder, position)


def _trained(
    run: Run,
    lesson: Lesson,
    settings: DistilSettings,
    network: Network,
    folder: Path,
    progress: Progress,
) -> Position:
    training = Training(
        lesson,
        network,
        training_view(run, network.pixel_format),
        training_view(run, network.pixel_format, augmented=False),
        settings,
        folder,
        "cuda" if torch.cuda.is_available() else "cpu",
    )
    position = training.run(progress)
    network.module.cpu()
    return position


def _calibration(run: Run, lesson: Lesson, network: Network) -> Iterator[Tensor]:
    """Yield 8-bit pixels (B, S, S, 3) of training images, one batch at a time."""
    pixels = network.pixel_format
    view = training_view(run, pixels, augmented=False)
    step = max(1, len(lesson.training) // _CALIBRATED)
    for rows in torch.split(lesson.training[::step][:_CALIBRATED], 8):
        normalised = pixels_of(lesson.images, rows, view, pixels.size, 0)
        std, mean = (torch.tensor(values).view(3, 1, 1) for values in (pixels.std, pixels.mean))
        values = (255 * (normalised * std + mean)).round().clamp(0, 255)
        yield values.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _finish(lesson: Lesson, settings: DistilSettings, folder: Path, position: Position) -> Student:
    """Choose the file that the folder uses, and mark the folder as complete."""
    kept = _kept_by_int8(folder, lesson)
    student = Student(
        folder,
        INT8 if kept >= LEAST_KEPT else MODEL,
        len(position.losses),
        position.best_epoch + 1,
        position.seconds,
        kept,
    )
    about = {
        "opened_by": _OPENED_BY,
        **{name: value for name, value in asdict(student).items() if name != "folder"},
        "student": settings.student,
        "fingerprint": settings.fingerprint(lesson.fingerprint),
    }
    write_text(folder / CLASSIFIER, json.dumps(about, indent=2) + "\n")
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return student


def _kept_by_int8(folder: Path, lesson: Lesson) -> float:
    """Return the agreement of int8 with the run's labels, divided by that of fp32."""
    rows = torch.cat([lesson.left_out, lesson.training])[:_COMPARED]
    labels = lesson.targets[rows].argmax(dim=1).tolist()
    network, int8 = (
        fmean(
            first == second
            for first, second in zip(labels, _labels(path, lesson, rows), strict=True)
        )
        for path in (folder / MODEL, folder / INT8)
    )
    return int8 / network if network else 1.0


def _labels(path: Path, lesson: Lesson, rows: Tensor) -> list[int]:
    model = ClassifierPredictor(OnnxStudent(path))
    decoded = (open_image(lesson.images[row]) for row in rows.tolist())
    return [prediction.label for prediction in model.predict_iter(decoded, top_k=1)]


def read_student(folder: Path, fingerprint: str) -> Student | None:
    """Return the complete student in `folder`, or None.

    Raises `LatteError` if the student was trained on another run, or with other settings.
    """
    path = folder / CLASSIFIER
    if not path.is_file():
        return None
    about: Any = read_model_json(path, str(path))
    if not isinstance(about, dict) or about.get("fingerprint") != fingerprint:
        raise LatteError(
            "this folder has a student of another run, or with other settings",
            where=str(folder),
            hint="name another folder with --output, or remove this one",
        )
    names = ("model", "epochs", "best_epoch", "seconds", "kept")
    return Student(folder, *(about[name] for name in names))
