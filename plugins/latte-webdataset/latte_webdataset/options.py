"""Options of the dataset `webdataset`; importing this module reads no files."""

from __future__ import annotations

from pydantic import Field, field_validator

from latte.api import PathText, SourceOptions

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
        return tuple(one.removeprefix(".").lower() for one in images)
