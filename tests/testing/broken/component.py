"""Faults that any component can have."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from latte.components.losses import ContrastiveLoss
from latte.interfaces import Options
from latte.testing import ComponentContract
from tests.testing.broken.fault import Fault


class TestNobodyInstalledIt(ComponentContract):
    kind = "loss"
    component = "nowhere-to-be-found"
    fails: ClassVar = {
        "it_is_registered",
        "checking_a_recipe_does_not_import_torch",
        "an_unknown_option_is_refused",
        "every_option_has_a_description",
        "no_option_is_called_like_a_key_of_recipes",
        "options_survive_a_resolved_recipe",
    }


class LooseOptions(Options, extra="allow"):
    pass


class SilentOptions(Options):
    words: int = 3


class OuterOptions(Options):
    inner: SilentOptions = Field(default=SilentOptions(), description="a group of options")


class NamedOptions(Options):
    name: str = Field(default="", description="what to call it")


class OneWayOptions(Options):
    root: Path = Field(default=Path("a"), description="a folder", exclude=True)


class TestOptionsTakeEverything(Fault, ComponentContract):
    kind = "loss"
    broken = ContrastiveLoss
    given = LooseOptions()
    fails: ClassVar = {"an_unknown_option_is_refused"}


class TestOptionsAreNotDescribed(Fault, ComponentContract):
    kind = "loss"
    broken = ContrastiveLoss
    given = OuterOptions()
    fails: ClassVar = {"every_option_has_a_description"}


class TestOptionsTakeAKeyOfRecipes(Fault, ComponentContract):
    kind = "loss"
    broken = ContrastiveLoss
    given = NamedOptions()
    fails: ClassVar = {"no_option_is_called_like_a_key_of_recipes"}


class TestOptionsDoNotSurviveJson(Fault, ComponentContract):
    kind = "loss"
    broken = ContrastiveLoss
    given = OneWayOptions(root=Path("b"))
    fails: ClassVar = {"options_survive_a_resolved_recipe"}
