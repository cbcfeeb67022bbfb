"""Options that all datasets share; imports neither torch nor Pillow."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, field_validator

from latte.interfaces import IsPath, Options

CLASS_FOLDERS = "folders"
"""The value of `classes` that takes the class names from the sub-folders of `root`."""

CLASSES_HELP = (
    "text file with one class name per line, or a list of names, or `folders`: the names of the "
    "sub-folders of root, sorted, with `_` read as a space (a file called folders: ./folders). "
    "Several names of one class: `couch | sofa`, the first is shown"
)


ClassNames: TypeAlias = (
    Annotated[str, IsPath(f"(?!{CLASS_FOLDERS}$)(?P<path>.+)")] | tuple[str, ...]
)
"""Type of the option `classes`: a file, `folders`, or the names."""


class SourceOptions(Options):
    """Options of every dataset."""

    template: str | tuple[str, ...] = Field(
        default="a photo of a {class}.",
        description="sentence about a class, with {class} for its name. With a list, the features "
        "of a class are the mean over all sentences, and its text is the first one",
    )

    @property
    def templates(self) -> tuple[str, ...]:
        """The sentences of `template`, which may hold one or a list."""
        return several_templates(self.template)

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = several_templates(template)
        if not templates or not all("{class}" in one for one in templates):
            raise ValueError('the template must contain {class}, as in "a photo of a {class}."')
        if len({*templates}) < len(templates):
            raise ValueError("the same template occurs twice")
        return template


def several_templates(template: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the templates of an option that holds one or several."""
    return (template,) if isinstance(template, str) else template
