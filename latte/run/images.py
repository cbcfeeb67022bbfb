"""Stage `data`: which images there are, that they can be read, and what identifies them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from latte import processes
from latte.data.decoded import DecodedImages
from latte.data.disk import DiskStore, bound_from_environment
from latte.data.scan import Scan, write_skipped
from latte.data.shared_scan import scan_together
from latte.files import digest_json, write_text
from latte.interfaces import LatteError
from latte.run.workspace import Workspace

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Images:
    """The readable images of a run, in the order in which every stage numbers them."""

    class_names: tuple[str, ...]
    template: str
    training: Scan
    evaluation: Scan
    labels: tuple[int, ...]
    """True labels of the evaluation images."""

    @property
    def skipped(self) -> int:
        """How many images could not be read."""
        return len(self.training.skipped) + len(self.evaluation.skipped)

    @property
    def fingerprint(self) -> str:
        """Of ids, contents, order, class names and evaluation labels."""
        return digest_json(
            [
                self.class_names,
                self.template,
                [[image.id for image in scan.images] for scan in (self.training, self.evaluation)],
                [self.training.keys, self.evaluation.keys],
                self.labels,
            ]
        )


def find_images(workspace: Workspace) -> Images:
    """List, read and check all images of the recipe's dataset. Raises `LatteError` for no image."""
    dataset, progress = workspace.dataset, workspace.progress
    training = _sample(dataset.training_images(), workspace, "training")
    labelled = _sample(dataset.evaluation_images(), workspace, "evaluation")
    cache = workspace.context.cache_dir
    decoded = DecodedImages(cache / "decoded")
    kept = DiskStore(cache / "pixels", bound_from_environment(), progress.say)
    scanned = scan_together(training, progress, "check images", decoded.keys, kept)
    test_images = [one.image for one in labelled]
    evaluated = scan_together(test_images, progress, "check test images", decoded.keys, kept)
    if processes.is_first():
        decoded.note([*scanned.keys, *evaluated.keys])
    if not scanned.images:
        raise LatteError(
            f"none of {len(training)} training images can be read",
            where="dataset",
            hint=scanned.skipped[0].reason if scanned.skipped else "the dataset lists no image",
        )
    label_of = {one.image.id: one.label for one in labelled}
    labels = tuple(label_of[image.id] for image in evaluated.images)
    return Images(dataset.class_names, dataset.template, scanned, evaluated, labels)


def write_images(workspace: Workspace, images: Images) -> list[Path]:
    """Write what was found to the run folder."""
    folder = workspace.folder
    write_text(folder.training_images, _lines(images.training, None))
    write_text(folder.evaluation_images, _lines(images.evaluation, images.labels))
    skipped = (*images.training.skipped, *images.evaluation.skipped)
    write_skipped(folder.skipped, skipped)
    if skipped:
        workspace.progress.say(f"skipped {len(skipped)} images; reasons: {folder.skipped}")
    return [folder.training_images, folder.evaluation_images, folder.skipped]


def _sample(items: Sequence[ItemT], workspace: Workspace, split: str) -> Sequence[ItemT]:
    """All items, or `limit` of them, drawn from the seed and kept in order."""
    limit = workspace.limit
    if limit is None or limit >= len(items):
        return items
    drawn = random.Random(f"{workspace.seed} {split}").sample(range(len(items)), limit)
    return [items[index] for index in sorted(drawn)]


def _lines(scan: Scan, labels: Sequence[int] | None) -> str:
    rows = [{"id": image.id, "key": key} for image, key in zip(scan.images, scan.keys, strict=True)]
    if labels is not None:
        rows = [{**row, "label": label} for row, label in zip(rows, labels, strict=True)]  # type: ignore[dict-item]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
