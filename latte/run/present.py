"""`present.json`: which of the named classes occur among a run's own images."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from latte.evaluate.priors import present_classes
from latte.interfaces import PresentNames
from latte.io.files import write_json
from latte.results.folder import RunFolder
from latte.results.stored import explained, read_stored


def write_present(
    folder: RunFolder, labels: Tensor, probabilities: Tensor, class_names: Sequence[str]
) -> None:
    """Estimate which classes occur and write `present.json`.

    Args:
        folder: of the run.
        labels: (N, K) int64, the likeliest classes of each training image.
        probabilities: (N, K), calibrated; what rounding puts above 1 counts as 1.
        class_names: all C names, in label order.
    """
    found = present_classes(labels, probabilities.clamp(max=1), len(class_names))
    write_json(
        folder.present,
        {
            "expected": found.expected,
            "low": found.interval[0],
            "high": found.interval[1],
            "unsupported": [class_names[label] for label in found.unsupported],
        },
    )


def read_present(folder: RunFolder, class_names: Sequence[str]) -> PresentNames | None:
    """Return what `write_present` wrote; None in runs of versions that did not.

    Raises `LatteError` for a file that is missing, damaged, or about other classes.
    """
    if not folder.present.exists():
        record = folder.recorded("evaluate")
        if record is None or folder.relative(folder.present) not in record.outputs:
            return None
    found = read_stored(folder.present, PresentNames)
    with explained(folder.present):
        if not 0 <= found.low <= found.expected <= found.high <= len(class_names):
            raise ValueError("its number of classes is not within its interval")
        if len({*found.unsupported}) < len(found.unsupported):
            raise ValueError("a class without an image occurs twice")
        if unknown := {*found.unsupported} - {*class_names}:
            raise ValueError(f"{min(unknown)} is none of the classes")
    return found
