"""The built-in description types: what is asked about a class, an image and a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from latte.interfaces import DescriptionType, Scope
from latte.toolkit.description_options import (
    CLASS_PLACEHOLDER,
    ClassOptions,
    GroupOptions,
    ImageOptions,
)

AskedT = TypeVar("AskedT", bound=ImageOptions | GroupOptions)


def fill(sentence: str, class_name: str) -> str:
    """`sentence` with each `{class}` replaced; braces in the name itself stay what they are."""
    return sentence.replace(CLASS_PLACEHOLDER, class_name)


class ClassDescription(DescriptionType[ClassOptions]):
    """The template of a class. Nobody is asked: the filled template is the description."""

    scope: ClassVar[Scope] = ClassOptions.scope

    @property
    def weight(self) -> float:
        """How much the template counts where prototypes mix descriptions."""
        return self.options.weight

    def prompt(self, class_name: str) -> str:
        """The template about `class_name`; `with_template` must have closed an open template."""
        if self.options.template is None:
            raise RuntimeError("a class description was built before `with_template` was applied")
        return fill(self.options.template, class_name)


class AskedDescription(DescriptionType[AskedT]):
    """What a describer is asked about an image or a group, with one prompt or several."""

    @property
    def weight(self) -> float:
        """How much its texts count where prototypes mix descriptions."""
        return self.options.weight

    @property
    def samples(self) -> int:
        """How many answers are wanted to each prompt."""
        return self.options.samples

    def prompt(self, class_name: str) -> str:
        """The first question about what has the frozen label `class_name`."""
        return self.prompts(class_name)[0]

    def prompts(self, class_name: str) -> Sequence[str]:
        """All questions about what has the frozen label `class_name`."""
        prompts = self.options.prompt
        written = (prompts,) if isinstance(prompts, str) else prompts
        return tuple(fill(prompt, class_name) for prompt in written)


class ImageDescription(AskedDescription[ImageOptions]):
    """What one image shows."""

    scope: ClassVar[Scope] = ImageOptions.scope


class GroupDescription(AskedDescription[GroupOptions]):
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

    @property
    def groups_per_class(self) -> int | None:
        """How many groups the images of a class share; None: each image has its own."""
        return self.options.groups_per_class
