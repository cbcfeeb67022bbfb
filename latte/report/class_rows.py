"""Count the photos of each class: now, by zero-shot CLIP, and how many are right if known."""

from __future__ import annotations

from dataclasses import dataclass

from latte.interfaces import ClassAccuracy, RunResults
from latte.report.accuracy import measured_models


@dataclass(frozen=True)
class ClassRow:
    """A class of a run.

    Attributes:
        label: Index of the class.
        photos: Training images with this label by the model that the run uses.
        before: Training images with this label by zero-shot CLIP.
        right: Accuracy on labelled images of the class, now; None if there are none.
        right_before: The same of zero-shot CLIP.
        is_doubtful: True if the name fits almost no photo.
    """

    label: int
    name: str
    photos: int
    before: int
    right: ClassAccuracy | None = None
    right_before: ClassAccuracy | None = None
    is_doubtful: bool = False


def class_rows(results: RunResults) -> list[ClassRow]:
    """Return a row per class, the largest class first."""
    record, models = results.record, measured_models(results.record)
    unsupported = {*(record.evaluate.unsupported or ())}
    rows = [
        ClassRow(
            label,
            name,
            now,
            before,
            None if models.used is None else _measured(models.used.classes[label]),
            None if models.zero_shot is None else _measured(models.zero_shot.classes[label]),
            is_doubtful=name in unsupported,
        )
        for label, (name, (before, now)) in enumerate(
            zip(record.data.class_names, results.pseudo_label_counts, strict=True)
        )
    ]
    return sorted(rows, key=lambda row: (-row.photos, -row.before, row.label))


def _measured(accuracy: ClassAccuracy) -> ClassAccuracy | None:
    return accuracy if accuracy.images else None
