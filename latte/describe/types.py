"""The built-in description types: what is asked about a class, an image and a group."""

from __future__ import annotations

from typing import ClassVar

from latte.describe.options import CLASS_PLACEHOLDER, ClassOptions, GroupOptions, ImageOptions
from latte.interfaces import DescriptionType, Scope


def fill(sentence: str, class_name: str) -> str:
    """`sentence` with each `{class}` replaced; braces in the name itself stay what they are."""
    return sentence.replace(CLASS_PLACEHOLDER, class_name)


class ClassDescription(DescriptionType[ClassOptions]):
    """The template of a class. Nobody is asked: the filled template is the description."""

    scope: ClassVar[Scope] = ClassOptions.scope

    def prompt(self, class_name: str) -> str:
        """The template about `class_name`; `with_template` must have closed an open template."""
        if self.options.template is None:
            raise RuntimeError("a class description was built before `with_template` was applied")
        return fill(self.options.template, class_name)


class ImageDescription(DescriptionType[ImageOptions]):
    """What one image shows."""

    scope: ClassVar[Scope] = ImageOptions.scope

    def prompt(self, class_name: str) -> str:
        """The question about an image whose frozen label is `class_name`."""
        return fill(self.options.prompt, class_name)


class GroupDescription(DescriptionType[GroupOptions]):
    """What several images of one frozen pseudo-label have in common (LatteCLIP, section 3.1)."""

    scope: ClassVar[Scope] = GroupOptions.scope

    @property
    def group_size(self) -> int:
        """How many images a group shows."""
        return self.options.size

    @property
    def correct_images(self) -> int | None:
        """How many of them are truly of the class, in an oracle (supplementary, table 1)."""
        return self.options.correct

    def prompt(self, class_name: str) -> str:
        """The question about a group whose frozen label is `class_name`."""
        return fill(self.options.prompt, class_name)
