"""Base class of datasets that know their class names when they are constructed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from latte.data.source_options import SourceOptions
from latte.data.sources.classes import ClassLookup, shown
from latte.interfaces import Context, Dataset, LabelledImage, LatteError

SourceOptionsT = TypeVar("SourceOptionsT", bound=SourceOptions)


class ImageSource(Dataset[SourceOptionsT]):
    """Dataset that gets its class names when it is constructed.

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
        self,
        options: SourceOptionsT,
        context: Context,
        classes: Sequence[Sequence[str]],
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
        """First sentence that stands for a class; it contains `{class}` in place of the name."""
        return self.templates[0]

    @property
    def templates(self) -> tuple[str, ...]:
        """All sentences that stand for a class; a class is the mean of their text features."""
        return self.options.templates

    @property
    def class_aliases(self) -> Sequence[Sequence[str]]:
        """All names of each class; the first is the one in `class_names`."""
        return self._class_aliases

    @property
    def lookup(self) -> ClassLookup:
        """Lookup of labels by any name of a class."""
        return ClassLookup(self.class_names, self.class_aliases)

    def refuse_overlap(self, evaluation: Sequence[LabelledImage], where: str) -> None:
        """Raise `LatteError` if a labelled image is a training image too."""
        known = {image.id for image in self.training_images()}
        shared = [labelled.image.id for labelled in evaluation if labelled.image.id in known]
        if shared:
            raise LatteError(
                f"{len(shared)} evaluation images are training images too, such as {shared[0]}",
                where=where,
                hint="Take them out of one of the two.",
            )
