"""Options that all datasets share; this module imports neither torch nor image code."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field, field_validator

from latte.interfaces import IsPath, Options

CLASS_FOLDERS = "folders"
"""Value of `classes` for which the names of the sub-folders of `root` are the class names."""

ClassNames: TypeAlias = Annotated[
    Annotated[str, IsPath(f"(?!{CLASS_FOLDERS}$)(?P<path>.+)")] | tuple[str, ...],
    Field(
        description="text file with one class name per line, or a list of names, or `folders`: the "
        "names of the sub-folders of root, sorted, with `_` read as a space (a file called "
        "folders: ./folders). Several names of one class: `couch | sofa`, the first is shown"
    ),
]
"""An option that names the classes: a file, `folders`, or the names."""


class SourceOptions(Options):
    """Options that every dataset has.

    Example:
        >>> from latte.api import PathText, SourceOptions
        >>> class FolderOptions(SourceOptions):
        ...     root: PathText
        >>> FolderOptions(root="photos").templates
        ('a photo of a {class}.',)
    """

    template: str | tuple[str, ...] = Field(
        default="a photo of a {class}.",
        description="sentence that stands for a class; only {class} is replaced, by the name. With "
        "a list, a class is the mean feature of all sentences; if one text is needed, it is the "
        "first",
    )

    @property
    def templates(self) -> tuple[str, ...]:
        """All sentences of `template`, which is one sentence or a list."""
        return several_templates(self.template)

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = several_templates(template)
        if not templates or not all("{class}" in one for one in templates):
            raise ValueError('the template must contain {class}, as in "a photo of a {class}."')
        if len({*templates}) < len(templates):
            raise ValueError("the same template stands here twice")
        return template


def several_templates(template: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the templates of an option that holds one or several."""
    return (template,) if isinstance(template, str) else template
