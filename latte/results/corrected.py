"""Read the classes that a person gave to a run's training images."""

from __future__ import annotations

from latte.results.run import Run
from latte.results.stored import explained, read_stored


def read_corrected(run: Run) -> dict[str, int]:
    """Return the classes that a person gave to a run's images, by content hash; -1 for none."""
    path, classes = run.folder.corrected, len(run.class_names)
    if not run.folder.wrote("train", path):
        return {}
    labels = read_stored(path, dict[str, int])
    with explained(path):
        if not all(-1 <= label < classes for label in labels.values()):
            raise ValueError(f"a label is none of {classes} classes")
    return labels
