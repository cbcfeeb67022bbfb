"""Contract tests of datasets: stable ids, distinct classes, no labels in the training split."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from latte.api import Dataset, ImageReference, Kind, LabelledImage
from latte_author.testing.component import ComponentContract


class DatasetContract(ComponentContract):
    """Tests of ids, class names and labels of a dataset.

    Override `write_files(folder)` to write a small dataset to which `options` refers.

    Example:
        >>> from latte_author.testing import DatasetContract
        >>> class TestMyDataset(DatasetContract):
        ...     component = "my-dataset"
        ...     options = {"root": "photos"}
        ...     def write_files(self, folder):
        ...         (folder / "photos").mkdir()
        ...         ...  # write a few images
    """

    kind: ClassVar[Kind] = "dataset"

    def test_class_names_are_distinct(self, tmp_path: Path) -> None:
        """`class_names` must be a tuple of different, non-empty names."""
        names = self.make(tmp_path).class_names
        assert isinstance(names, tuple), "class_names must be a tuple"
        assert names, "there are no classes"
        assert len({*names}) == len(names), "class names must be distinct"
        for name in names:
            assert isinstance(name, str), f"{name!r} is no str"
            assert name.strip(), "a class name is empty"

    def test_the_template_names_the_class(self, tmp_path: Path) -> None:
        """The template for class texts must contain `{class}`."""
        template = self.make(tmp_path).template
        assert "{class}" in template, f"{{class}} is missing in {template!r}"

    def test_sentences_have_weights_for_every_class(self, tmp_path: Path) -> None:
        """`class_sentences` must be empty, or have at least one weighted sentence per class."""
        dataset = self.make(tmp_path)
        if sentences := dataset.class_sentences:
            assert len(sentences) == len(dataset.class_names), "one entry per class is needed"
            assert all(sentences), "every class needs a sentence"
            weights = [weight for weighted in sentences for weight in weighted.values()]
            assert min(weights) > 0, "the weights of sentences must be above 0"

    def test_training_images_carry_no_label(self, tmp_path: Path) -> None:
        """Training images must be `ImageReference` objects without further attributes."""
        images = self.make(tmp_path).training_images()
        assert len(images), "there are no training images"
        for image in images:
            assert isinstance(image, ImageReference), f"{image!r} is no ImageReference"
            extra_attributes = {*dir(image)} - {*dir(ImageReference)}
            assert not extra_attributes, (
                f"a training image also knows {', '.join(sorted(extra_attributes))}"
            )

    def test_training_images_are_sorted_by_id(self, tmp_path: Path) -> None:
        """Training images must be sorted by id, so that their order reveals no labels."""
        ids = [image.id for image in self.make(tmp_path).training_images()]
        assert ids == sorted(ids), "training images must be sorted by their id"

    def test_ids_are_unique(self, tmp_path: Path) -> None:
        """Ids must be unique in each split, and no image may be in both splits."""
        dataset: Dataset[Any] = self.make(tmp_path)
        training = [image.id for image in dataset.training_images()]
        evaluation = [labelled_image.image.id for labelled_image in dataset.evaluation_images()]
        assert len({*training}) == len(training), "training images share an id"
        assert len({*evaluation}) == len(evaluation), "evaluation images share an id"
        shared_ids = {*training} & {*evaluation}
        assert not shared_ids, f"in both splits: {', '.join(sorted(shared_ids)[:3])}"

    def test_ids_stay_when_the_folder_moves(self, tmp_path: Path) -> None:
        """Ids must be relative paths with `/` that do not change if the dataset's folder moves."""
        dataset, moved_dataset = self.make(tmp_path / "here"), self.make(tmp_path / "there")
        ids = [image.id for image in dataset.training_images()]
        assert ids == [image.id for image in moved_dataset.training_images()], "ids are not stable"
        assert ids == [image.id for image in dataset.training_images()], "asking twice changes ids"
        for image_id in ids:
            assert image_id, "an id is empty"
            assert "\\" not in image_id, f"the id {image_id!r} must use /"
            assert not Path(image_id).is_absolute(), f"the id {image_id!r} is an absolute path"

    def test_images_can_be_read(self, tmp_path: Path) -> None:
        """The first three images of both splits must be readable."""
        dataset: Dataset[Any] = self.make(tmp_path)
        evaluation = [labelled_image.image for labelled_image in dataset.evaluation_images()[:3]]
        for reference in [*dataset.training_images()[:3], *evaluation]:
            data = reference.read_bytes()
            assert data, f"{reference.id} is empty"
            with Image.open(BytesIO(data)) as image:
                image.convert("RGB")

    def test_labels_are_class_indices(self, tmp_path: Path) -> None:
        """Labels must be class indices, for evaluation images and in `audit_labels`."""
        dataset: Dataset[Any] = self.make(tmp_path)
        classes = range(len(dataset.class_names))
        for labelled_image in dataset.evaluation_images():
            assert isinstance(labelled_image, LabelledImage), (
                f"{labelled_image!r} is no LabelledImage"
            )
            assert labelled_image.label in classes, (
                f"{labelled_image.image.id} has the label {labelled_image.label}"
            )
        training_ids = {image.id for image in dataset.training_images()}
        for image, label in dataset.audit_labels().items():
            assert image in training_ids, f"audit_labels knows {image}, which is no training image"
            assert label in classes, f"{image} has the label {label}"
