"""Dataset `webdataset`: images in tars of the WebDataset format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator

from latte.api import (
    Context,
    ImageReference,
    LabelledImage,
    LatteError,
    PathText,
    SourceOptions,
    read_class_names,
)
from latte.api.sources import ImageSource, ListedPaths
from latte_webdataset.labels import LabelReader
from latte_webdataset.samples import TarSample, read_index
from latte_webdataset.shards import find_shards

_SHARDS = (
    "a folder (all its *.tar), a pattern such as shards/*.tar or train-{0000..0041}.tar, or a "
    "list of these, from root"
)


class WebDatasetOptions(SourceOptions):
    """Options of the dataset `webdataset`; the defaults fit the layout of CLIP_benchmark."""

    root: PathText = Field(description="folder that holds the shards and the file of class names")
    train: str | tuple[str, ...] = Field(
        default="train", description=f"shards of the training images: {_SHARDS}"
    )
    evaluation: str | tuple[str, ...] | None = Field(
        default="test", description=f"shards of the labelled images, or none: {_SHARDS}"
    )
    classes: str = Field(
        default="classnames.txt", description="text file below root with one class name per line"
    )
    images: tuple[str, ...] = Field(
        default=("jpg", "jpeg", "png", "webp"),
        min_length=1,
        description="extensions of the images; a sample has exactly one of them",
    )
    label: str = Field(
        default="cls",
        description="extension of the labels, class numbers from 0 or class names; `json:KEY` "
        "reads that key of a sample's .json",
    )

    @field_validator("images")
    @classmethod
    def _without_dots(cls, images: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(extension.removeprefix(".").lower() for extension in images)


_Listed = tuple[ImageReference, TarSample]


class WebDataset(ImageSource[WebDatasetOptions]):
    """Dataset of images in tars; an id is the tar's path below `root` and the member's name."""

    def __init__(self, options: WebDatasetOptions, context: Context) -> None:
        self._root = context.path(options.root)
        if not self._root.is_dir():
            raise LatteError(f"no such folder: {self._root}", where="dataset.root")
        # A recipe may be untrusted, and describers get the lines of this file.
        paths = ListedPaths(self._root, absolute=False)
        file = paths.reference(options.classes, "dataset.classes").path
        names = read_class_names(str(file), self._root, context)
        super().__init__(options, context, [(name,) for name in names])
        self._train = find_shards(self._root, options.train, "dataset.train")
        self._test: list[Path] = []
        if options.evaluation is not None:
            self._test = find_shards(self._root, options.evaluation, "dataset.evaluation")
        shared_shards = {*self._train} & {*self._test}
        if shared_shards:
            raise LatteError(
                f"{min(shared_shards)} has both training and evaluation images",
                where="dataset.evaluation",
                hint="Training would see what it is measured on: name other shards.",
            )

    def training_images(self) -> Sequence[ImageReference]:
        """Return the images of the training shards, sorted by id, without reading labels."""
        return [image for image, _ in self._listed_training]

    def evaluation_images(self) -> Sequence[LabelledImage]:
        """Return the images of the evaluation shards, which all have a label, sorted by id."""
        return self._evaluation

    def audit_labels(self) -> Mapping[str, int]:
        """Return the labels, by image id, of the training images that have a label."""
        labels = {
            image.id: self._labels.read(sample, image.path)
            for image, sample in self._listed_training
        }
        return {image: label for image, label in labels.items() if label is not None}

    @cached_property
    def _labels(self) -> LabelReader:
        return LabelReader(self.options.label, self.class_names)

    @cached_property
    def _listed_training(self) -> list[_Listed]:
        return self._listed(self._train, "dataset.train")

    @cached_property
    def _evaluation(self) -> list[LabelledImage]:
        test_pairs = self._listed(self._test, "dataset.evaluation") if self._test else []
        return [
            LabelledImage(image, self._known_label(image, sample)) for image, sample in test_pairs
        ]

    def _known_label(self, image: ImageReference, sample: TarSample) -> int:
        label = self._labels.read(sample, image.path)
        if label is None:
            raise LatteError(
                f"an evaluation image has no label: {image.id}",
                where="dataset.label",
                hint=f"Its sample has {', '.join(sorted(sample.files))}; label says "
                f"{self.options.label!r}.",
            )
        return label

    def _listed(self, shards: Sequence[Path], where: str) -> list[_Listed]:
        pairs = sorted(
            (pair for shard in shards for pair in self._of_shard(shard)),
            key=lambda pair: pair[0].id,
        )
        if not pairs:
            raise LatteError(
                f"no images in {len(shards)} shards, such as {shards[0]}",
                where=where,
                hint=f"Images end in {', '.join(self.options.images)}: see the option images.",
            )
        return pairs

    def _of_shard(self, shard: Path) -> Iterator[_Listed]:
        name = shard.relative_to(self._root).as_posix()
        for sample in read_index(shard):
            image_file = sample.image(self.options.images, shard)
            if image_file is not None:
                extension, span = image_file
                yield ImageReference(f"{name}/{sample.key}.{extension}", shard, span), sample
