"""Types of descriptions (of a class, an image or a group) and their options. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import Field, ValidationInfo, field_validator

from latte.interfaces import DescriptionType, LatteError, Options, Scope

CLASS_PLACEHOLDER = "{class}"
_ANY_PLACEHOLDER = re.compile(r"\{\w*\}")


def check_placeholders(text: str) -> str:
    """Return `text`; raise `ValueError` if it has a placeholder other than `{class}`."""
    for placeholder in _ANY_PLACEHOLDER.findall(text):
        if placeholder != CLASS_PLACEHOLDER:
            raise ValueError(
                f"unknown placeholder {placeholder}; the only one is {CLASS_PLACEHOLDER}"
            )
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def check_template(template: str) -> str:
    """Return `template`; raise `ValueError` if it does not contain `{class}`."""
    check_placeholders(template)
    if CLASS_PLACEHOLDER not in template:
        raise ValueError(f'must contain {CLASS_PLACEHOLDER}, as in "a photo of a {{class}}."')
    return template


def check_prompts(prompts: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Return `prompts`; raise `ValueError` if there is no prompt or a prompt is repeated."""
    if isinstance(prompts, str):
        return check_placeholders(prompts)
    if not prompts:
        raise ValueError("needs at least one prompt")
    for place, prompt in enumerate(prompts):
        check_placeholders(prompt)
        if prompt in prompts[:place]:
            raise ValueError(f'"{prompt}" stands here twice; use samples to ask it several times')
    return prompts


def _weight() -> Any:
    return Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="weight of its texts if prototypes mix several descriptions",
    )


def _samples() -> Any:
    return Field(
        default=1,
        ge=1,
        le=16,
        description="answers to each prompt; each step draws one of the texts about an image or "
        "group. More than 1 needs a describer whose answers vary",
    )


class ClassOptions(Options):
    """Options of description `class`: a sentence about a class.

    Example:
        >>> from latte.api import ClassOptions
        >>> ClassOptions(template="a satellite photo of {class}.").weight
        1.0
    """

    scope: ClassVar[Scope] = "class"

    template: str | None = Field(
        default=None, description="sentence with {class}; none: the dataset's template"
    )
    weight: float = _weight()

    @field_validator("template")
    @classmethod
    def _names_its_class(cls, template: str | None) -> str | None:
        return template if template is None else check_template(template)


def with_template(options: Options, template: str) -> Options:
    """Return `options`; `ClassOptions` without a template get the dataset's `template`.

    Raises `LatteError` for a template without `{class}`.
    """
    if not isinstance(options, ClassOptions) or options.template is not None:
        return options
    try:
        return options.model_copy(update={"template": check_template(template)})
    except ValueError as error:
        raise LatteError(
            f"the template {template!r} {error}",
            where="dataset",
            hint="set `template` of the dataset or of the class description",
        ) from None


class ImageOptions(Options):
    """Options of description `image`: questions about one image.

    Example:
        >>> from latte.api import ImageOptions
        >>> ImageOptions(prompt="What colour is it?", samples=2).samples
        2
    """

    scope: ClassVar[Scope] = "image"

    prompt: str | tuple[str, ...] = Field(
        default="Describe the object in the photo concisely, less than 20 words.",
        description="question to the describer, or a list of questions that are all asked; "
        "{class} is the image's zero-shot label",
    )
    samples: int = _samples()
    weight: float = _weight()

    _usable_prompts = field_validator("prompt")(check_prompts)


class GroupOptions(Options):
    """Options of description `group`: questions about images that share a zero-shot label.

    Example:
        >>> from latte.api import GroupOptions
        >>> GroupOptions(size=2).size
        2
    """

    scope: ClassVar[Scope] = "group"
    oracle_options: ClassVar[tuple[str, ...]] = ("correct",)

    size: int = Field(default=4, ge=2, le=16, description="images per group")
    prompt: str | tuple[str, ...] = Field(
        default="Describe which visual attributes the objects in all the photos share, concisely, "
        "less than 20 words.",
        description="question to the describer, or a list of questions that are all asked; "
        "{class} is the group's zero-shot label",
    )
    redraw: bool = Field(
        default=True,
        description="true: each step uses the text of a random group with the image's zero-shot "
        "label (LatteCLIP); false: always the text of the group drawn for this image",
    )
    correct: int | None = Field(
        default=None,
        ge=0,
        description="number of images in a group that truly belong to its class; all other images "
        "do not. This reads labels of training images, so the recipe needs oracle: true; none: "
        "groups by zero-shot label",
    )
    groups_per_class: int | None = Field(
        default=None,
        ge=1,
        description="number of groups per class, which the images of the class share; none: one "
        "group per image (LatteCLIP)",
    )
    samples: int = _samples()
    weight: float = _weight()

    _usable_prompts = field_validator("prompt")(check_prompts)

    @field_validator("correct")
    @classmethod
    def _fits_into_a_group(cls, correct: int | None, info: ValidationInfo) -> int | None:
        size = info.data.get("size")
        if correct is not None and size is not None and correct > size:
            raise ValueError(f"must be at most {size}, the size of the group, got {correct}")
        return correct

    @field_validator("groups_per_class")
    @classmethod
    def _draws_without_labels(cls, groups: int | None, info: ValidationInfo) -> int | None:
        if groups is not None and info.data.get("correct") is not None:
            raise ValueError("cannot stand beside correct, which draws a group for each image")
        return groups


AskedT = TypeVar("AskedT", bound=ImageOptions | GroupOptions)
ImageT = TypeVar("ImageT", bound=ImageOptions)
GroupT = TypeVar("GroupT", bound=GroupOptions)


def fill(sentence: str, class_name: str) -> str:
    """Return `sentence` with each `{class}` replaced by `class_name`, which may contain braces."""
    return sentence.replace(CLASS_PLACEHOLDER, class_name)


class ClassDescription(DescriptionType[ClassOptions]):
    """Description of a class: a template with the class name. No describer writes it.

    Example:
        >>> from latte.api import ClassDescription
        >>> class AsDrawing(ClassDescription):
        ...     def prompt(self, class_name):
        ...         return f"a drawing of a {class_name}."
    """

    scope: ClassVar[Scope] = ClassOptions.scope

    @property
    def weight(self) -> float:
        """Weight of this description when prototypes mix the texts of several descriptions."""
        return self.options.weight

    def prompt(self, class_name: str) -> str:
        """Insert `class_name` into the template. Raises `RuntimeError` if there is no template."""
        if self.options.template is None:
            raise RuntimeError("a class description was built before `with_template` was applied")
        return fill(self.options.template, class_name)


class AskedDescription(DescriptionType[AskedT]):
    """Description of an image or a group; a describer writes it in answer to the prompts."""

    @property
    def weight(self) -> float:
        """Weight of this description when prototypes mix the texts of several descriptions."""
        return self.options.weight

    @property
    def samples(self) -> int:
        """Number of answers per prompt."""
        return self.options.samples

    def prompt(self, class_name: str) -> str:
        """Return the first question for the zero-shot label `class_name`."""
        return self.prompts(class_name)[0]

    def prompts(self, class_name: str) -> Sequence[str]:
        """Return all questions for the zero-shot label `class_name`."""
        prompts = self.options.prompt
        templates = (prompts,) if isinstance(prompts, str) else prompts
        return tuple(fill(prompt, class_name) for prompt in templates)


class ImageDescription(AskedDescription[ImageT]):
    """Base class of descriptions of one image. The type parameter is the class of its options.

    Example:
        >>> from latte.api import ImageDescription, ImageOptions
        >>> class Colours(ImageDescription[ImageOptions]):
        ...     def prompts(self, class_name):
        ...         return ("Which colours are in the photo?",)
    """

    scope: ClassVar[Scope] = ImageOptions.scope


class GroupDescription(AskedDescription[GroupT]):
    """Base class of descriptions of a group of images with the same zero-shot label.

    The describer writes what these images have in common (LatteCLIP, section 3.1).

    Example:
        >>> from latte.api import GroupDescription, GroupOptions
        >>> class Shapes(GroupDescription[GroupOptions]):
        ...     def prompts(self, class_name):
        ...         return ("Which shape do the objects share?",)
    """

    scope: ClassVar[Scope] = GroupOptions.scope

    @property
    def group_size(self) -> int:
        """Number of images per group."""
        return self.options.size

    @property
    def correct_images(self) -> int | None:
        """Number of images in a group that truly show its class; if None, no true label is used."""
        return self.options.correct

    @property
    def groups_per_class(self) -> int | None:
        """Number of groups sampled per zero-shot label; if None, one group per image."""
        return self.options.groups_per_class
