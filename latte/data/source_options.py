"""Options of the built-in datasets; imports neither torch nor images."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, field_validator

from latte.interfaces import IsPath, Options, PathText

CLASS_FOLDERS = "folders"
"""The value of `classes` that takes the names from the sub-folders of `root`."""

_CLASSES = (
    "text file with one class name a line, or a list of names, or `folders`: the names of the "
    "sub-folders of root, sorted, with `_` read as a space (a file called folders: ./folders). "
    "Several names of one class: `couch | sofa`, the first is shown"
)


ClassNames: TypeAlias = (
    Annotated[str, IsPath(f"(?!{CLASS_FOLDERS}$)(?P<path>.+)")] | tuple[str, ...]
)
"""What `classes` may hold: a file, `folders`, or the names."""


class SourceOptions(Options):
    """What every dataset can be told."""

    template: str | tuple[str, ...] = Field(
        default="a photo of a {class}.",
        description="sentence that stands for a class; {class} becomes its name, all else stays. "
        "Of a list, a class is the mean of all; where a text is wanted, the first is taken",
    )

    @property
    def templates(self) -> tuple[str, ...]:
        """The sentences of `template`, be it one or a list."""
        return _several(self.template)

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = _several(template)
        if not templates or not all("{class}" in one for one in templates):
            raise ValueError('the template must contain {class}, as in "a photo of a {class}."')
        if len({*templates}) < len(templates):
            raise ValueError("the same template stands here twice")
        return template


class FolderOptions(SourceOptions):
    """Every image below a folder, labelled by nobody."""

    root: PathText = Field(
        description="folder of the training images, searched with its sub-folders"
    )
    classes: ClassNames = Field(description=_CLASSES)
    evaluation: PathText | None = Field(
        default=None,
        description="labelled images, outside root: a folder with one sub-folder a class, or a "
        "CSV or JSONL file with the columns path (from the file's folder, or absolute) and class",
    )


class ListOptions(SourceOptions):
    """Images named in a file that the user wrote, so it may name absolute paths."""

    images: PathText = Field(description="CSV or JSONL file that names the training images")
    root: PathText | None = Field(
        default=None, description="where relative paths start; default: the folder of each file"
    )
    classes: ClassNames = Field(description=_CLASSES)
    evaluation: PathText | None = Field(
        default=None, description="CSV or JSONL file with labelled images that are not in images"
    )
    path_column: str = Field(default="path", description="column that holds an image's path")
    class_column: str = Field(
        default="class",
        description="column with the true class: needed in evaluation; in images, where present, "
        "only shown in reports",
    )


class CoopOptions(SourceOptions):
    """A split file as CoOp publishes them: train and val become training, test evaluation."""

    split: PathText = Field(description="split_zhou_*.json")
    root: PathText = Field(description="folder where the paths of the split start")
    lower: bool = Field(
        default=True, description="lower-case the class names (`_` is always read as a space)"
    )


class PublishedOptions(SourceOptions):
    """One of the datasets that LatteCLIP was measured on, in CoOp's layout."""

    root: PathText | None = Field(
        default=None,
        description="the dataset's folder; without it, the folder of CoOp's name below the one in "
        "the environment variable LATTE_DATA (latte datasets show NAME)",
    )
    template: str | tuple[str, ...] = Field(
        default="released",
        description="sentence that stands for a class: `released` as LatteCLIP's code has it, "
        "`coop` as CoOp's has it, `supplement` as LatteCLIP's supplement says (a photo of a "
        "{class}.), or your own with {class}; of a list, a class is the mean of all",
    )
    split: str | None = Field(
        default=None,
        description="another split file of CoOp's shape, relative to root; without it, CoOp's",
    )

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = _several(template)
        own = [one for one in templates if one not in ("released", "coop", "supplement")]
        if not templates or not all("{class}" in one for one in own):
            raise ValueError(
                'it must be released, coop or supplement, or contain {class}, as in "a {class}."'
            )
        return template


def _several(template: str | tuple[str, ...]) -> tuple[str, ...]:
    return (template,) if isinstance(template, str) else template
