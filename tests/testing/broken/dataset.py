"""Datasets; each has one fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from latte.components.datasets.local import FolderOptions, ImageFolderDataset
from latte.interfaces import ImageReference, LabelledImage
from latte.testing import DatasetContract
from latte.testing.fixtures import tiny_images
from tests.testing.broken.fault import Fault


class FaultyDataset(Fault):
    given = FolderOptions(root="photos", classes=("cat", "dog"), evaluation="labelled")

    def write_files(self, folder: Path) -> None:
        tiny_images(folder / "photos")
        for name in ("cat", "dog"):
            tiny_images(folder / "labelled" / name, 2)


class Repeated(ImageFolderDataset):
    @property
    def class_names(self) -> tuple[str, ...]:
        return ("cat", "cat")


class TestClassesShareAName(FaultyDataset, DatasetContract):
    broken = Repeated
    fails: ClassVar = {"class_names_are_distinct"}


class Mutable(ImageFolderDataset):
    @property
    def class_names(self) -> tuple[str, ...]:
        return [*super().class_names]  # type: ignore[return-value]


class TestClassNamesAreAList(FaultyDataset, DatasetContract):
    broken = Mutable
    fails: ClassVar = {"class_names_are_distinct"}


class Nameless(ImageFolderDataset):
    template = "a photo of something."


class TestTheTemplateNamesNoClass(FaultyDataset, DatasetContract):
    broken = Nameless
    fails: ClassVar = {"the_template_names_the_class"}


class Labelled(ImageFolderDataset):
    def training_images(self) -> Sequence[ImageReference]:
        return [LabelledImage(one, 0) for one in super().training_images()]  # type: ignore[misc]


class TestTrainingImagesAreLabelled(FaultyDataset, DatasetContract):
    broken = Labelled
    fails: ClassVar = {
        "training_images_carry_no_label",
        "training_images_are_sorted_by_id",
        "ids_are_unique",
        "ids_stay_when_the_folder_moves",
        "images_can_be_read",
        "labels_are_class_indices",
    }


class Tagged(ImageReference):
    label = 0


class Tagging(ImageFolderDataset):
    def training_images(self) -> Sequence[ImageReference]:
        return [Tagged(one.id, one.path) for one in super().training_images()]


class TestReferencesKnowALabel(FaultyDataset, DatasetContract):
    broken = Tagging
    fails: ClassVar = {"training_images_carry_no_label"}


class Unsorted(ImageFolderDataset):
    def training_images(self) -> Sequence[ImageReference]:
        return super().training_images()[::-1]


class TestImagesAreNotSorted(FaultyDataset, DatasetContract):
    broken = Unsorted
    fails: ClassVar = {"training_images_are_sorted_by_id"}


class Overlapping(ImageFolderDataset):
    def evaluation_images(self) -> Sequence[LabelledImage]:
        return [LabelledImage(one, 0) for one in self.training_images()[:2]]


class TestItEvaluatesOnTrainingImages(FaultyDataset, DatasetContract):
    broken = Overlapping
    fails: ClassVar = {"ids_are_unique"}


class Absolute(ImageFolderDataset):
    def training_images(self) -> Sequence[ImageReference]:
        return [ImageReference(str(one.path), one.path) for one in super().training_images()]


class TestIdsAreAbsolutePaths(FaultyDataset, DatasetContract):
    broken = Absolute
    fails: ClassVar = {"ids_stay_when_the_folder_moves"}


class Missing(ImageFolderDataset):
    def training_images(self) -> Sequence[ImageReference]:
        return [ImageReference(one.id, one.path / "gone") for one in super().training_images()]


class TestImagesAreNotThere(FaultyDataset, DatasetContract):
    broken = Missing
    fails: ClassVar = {"images_can_be_read"}


class OneBased(ImageFolderDataset):
    def evaluation_images(self) -> Sequence[LabelledImage]:
        return [replace(one, label=one.label + 1) for one in super().evaluation_images()]


class TestLabelsStartAtOne(FaultyDataset, DatasetContract):
    broken = OneBased
    fails: ClassVar = {"labels_are_class_indices"}


class Gossip(ImageFolderDataset):
    def audit_labels(self) -> Mapping[str, int]:
        return {"an image of another dataset": 0}


class TestLabelsOfOtherImages(FaultyDataset, DatasetContract):
    broken = Gossip
    fails: ClassVar = {"labels_are_class_indices"}
