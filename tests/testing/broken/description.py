"""Description types; each has one fault."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from latte.interfaces import DescriptionType, NoOptions, Options, Scope
from latte.testing import DescriptionTypeContract
from tests.testing.broken.fault import Fault


class Scene(DescriptionType[NoOptions]):
    scope: ClassVar[Scope] = "image"

    def prompt(self, class_name: str) -> str:
        return f"Which scene is {class_name} in?"


class Everything(Scene):
    scope: ClassVar[Scope] = "everything"  # type: ignore[assignment]


class TestAnUnknownScope(Fault, DescriptionTypeContract):
    broken = Everything
    fails: ClassVar = {"it_has_a_scope"}


class GroupedOptions(Options):
    scope: ClassVar[Scope] = "group"


class TestOptionsDisagreeAboutTheScope(Fault, DescriptionTypeContract):
    broken = Scene
    given = GroupedOptions()
    fails: ClassVar = {"it_has_a_scope"}


class Pair(Scene):
    group_size = 2


class TestSeveralImagesWithoutAGroup(Fault, DescriptionTypeContract):
    broken = Pair
    fails: ClassVar = {"only_groups_show_several_images"}


class Lonely(Scene):
    scope: ClassVar[Scope] = "group"


class TestAGroupOfOne(Fault, DescriptionTypeContract):
    broken = Lonely
    fails: ClassVar = {"only_groups_show_several_images"}


class Cheating(Scene):
    scope: ClassVar[Scope] = "group"
    group_size = 2
    correct_images = 1


class TestLabelsThatNobodyAskedFor(Fault, DescriptionTypeContract):
    broken = Cheating
    fails: ClassVar = {"labels_are_used_only_where_options_ask_for_them"}


class OracleOptions(Options):
    oracle_options: ClassVar[tuple[str, ...]] = ("correct",)
    correct: int | None = Field(default=3, description="images truly of the class")


class Overfull(Cheating):
    correct_images = 3


class TestMoreCorrectImagesThanImages(Fault, DescriptionTypeContract):
    broken = Overfull
    given = OracleOptions()
    fails: ClassVar = {"labels_are_used_only_where_options_ask_for_them"}


class Formatted(Scene):
    def prompt(self, class_name: str) -> str:
        return f"Which scene is {class_name} in {{}}?".format("here")


class TestBracesInAName(Fault, DescriptionTypeContract):
    broken = Formatted
    fails: ClassVar = {"a_prompt_is_never_empty", "class_names_arrive_unchanged"}


class Tidy(Scene):
    def prompt(self, class_name: str) -> str:
        return super().prompt(class_name.lower())


class TestNamesAreChanged(Fault, DescriptionTypeContract):
    broken = Tidy
    fails: ClassVar = {"class_names_arrive_unchanged"}


class Anything(Scene):
    scope: ClassVar[Scope] = "class"

    def prompt(self, class_name: str) -> str:
        return "something"


class TestClassesShareADescription(Fault, DescriptionTypeContract):
    broken = Anything
    fails: ClassVar = {"class_names_arrive_unchanged"}


class Shy(Scene):
    def prompt(self, class_name: str) -> str:
        return super().prompt(class_name) if class_name.isascii() else " "


class TestAnEmptyPrompt(Fault, DescriptionTypeContract):
    broken = Shy
    fails: ClassVar = {"a_prompt_is_never_empty", "class_names_arrive_unchanged"}


class Insistent(Scene):
    def prompts(self, class_name: str) -> tuple[str, ...]:
        return (self.prompt(class_name), self.prompt(class_name))


class TestAPromptTwice(Fault, DescriptionTypeContract):
    broken = Insistent
    fails: ClassVar = {"all_prompts_begin_with_the_first"}


class Other(Scene):
    def prompts(self, class_name: str) -> tuple[str, ...]:
        return ("What else is there?",)


class TestOtherPrompts(Fault, DescriptionTypeContract):
    broken = Other
    fails: ClassVar = {"all_prompts_begin_with_the_first"}


class Weightless(Scene):
    weight = 0.0


class TestNoWeight(Fault, DescriptionTypeContract):
    broken = Weightless
    fails: ClassVar = {"all_prompts_begin_with_the_first"}
