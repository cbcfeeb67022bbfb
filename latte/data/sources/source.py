"""Base class of datasets with class names, and its options: sentences that stand for a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from pydantic import Field, field_validator

from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.classes import shown
from latte.data.sources.sentences import read_sentences
from latte.interfaces import Context, Dataset, LabelledImage, LatteError, Options, PathText


class SourceOptions(Options):
    """Base class of dataset options, with the options `template` and `texts`.

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
    texts: PathText | None = Field(
        default=None,
        description="JSON file with several sentences per class, {class: [sentence, ...]} or "
        "{class: {sentence: weight}}, in place of the template; descriptions `class` and new "
        "names still use the template",
    )

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates of the option `template`, which is one sentence or a list."""
        return (self.template,) if isinstance(self.template, str) else self.template

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = (template,) if isinstance(template, str) else template
        if not templates or not all("{class}" in text for text in templates):
            raise ValueError('the template must contain {class}, as in "a photo of a {class}."')
        if len({*templates}) < len(templates):
            raise ValueError("the same template stands here twice")
        return template


SourceOptionsT = TypeVar("SourceOptionsT", bound=SourceOptions)


class ImageSource(Dataset[SourceOptionsT]):
    """Base class of datasets whose class names are an argument of the constructor.

    If class names are read later, a subclass passes none and overrides `class_names`.

    Example:
        >>> from latte.api import PathText, SourceOptions
        >>> from latte.api.sources import ClassNames, ImageSource, images_below, read_classes
        >>> class Options(SourceOptions):
        ...     root: PathText
        ...     classes: ClassNames
        >>> class Photos(ImageSource[Options]):
        ...     def __init__(self, options, context):
        ...         self._root = context.path(options.root)
        ...         classes = read_classes(options.classes, self._root, context)
        ...         super().__init__(options, context, classes)
        ...     def training_images(self):
        ...         return images_below(self._root, "dataset.root")
    """

    def __init__(
        self, options: SourceOptionsT, context: Context, classes: Sequence[Sequence[str]] = ()
    ) -> None:
        """Store all names of each class; the first name is the one that is shown."""
        super().__init__(options, context)
        self._class_names = shown(classes)
        self._class_aliases = classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Distinct names of the C classes, in label order."""
        return self._class_names

    @property
    def template(self) -> str:
        """First template: a sentence with `{class}` in place of the class name."""
        return self.templates[0]

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates; the mean of their text features represents a class."""
        return self.options.templates

    @property
    def class_aliases(self) -> Sequence[Sequence[str]]:
        """All names of each class; the first is the one in `class_names`."""
        return self._class_aliases or super().class_aliases

    @cached_property
    def class_sentences(self) -> Sequence[Mapping[str, float]]:
        """Weighted sentences of each class, of the option `texts`; empty if it is not set."""
        if self.options.texts is None:
            return ()
        return read_sentences(self.context.path(self.options.texts), self.class_aliases)

    @cached_property
    def lookup(self) -> ClassLookup:
        """Lookup of labels by any name of a class."""
        return ClassLookup(self.class_names, self.class_aliases)

    def refuse_overlap(self, evaluation: Sequence[LabelledImage], where: str) -> None:
        """Raise `LatteError` if a labelled image is a training image too."""
        training_ids = {image.id for image in self.training_images()}
        shared_ids = [
            labelled.image.id for labelled in evaluation if labelled.image.id in training_ids
        ]
        if shared_ids:
            raise LatteError(
                f"{len(shared_ids)} evaluation images are training images too, such as "
                f"{shared_ids[0]}",
                where=where,
                hint="Take them out of one of the two.",
            )
