"""Mutants of any component, of its options and its registration, and of models."""

from __future__ import annotations

from pathlib import Path

from latte_author.testing import ComponentContract, ModelContract
from pydantic import Field

from latte.components.latteclip import ContrastiveLoss
from latte.interfaces import NoOptions, Options
from tests.author.testing.mutants import Mutant, Mutants


class Loose(Options, extra="allow"):
    pass


class Silent(Options):
    words: int = 3


class Outer(Options):
    inner: Silent = Field(default=Silent(), description="a group of options")


class Named(Options):
    name: str = Field(default="", description="what to call it")


class OneWay(Options):
    root: Path = Field(default=Path("a"), description="a folder", exclude=True)


def of_options(broken: Options) -> Mutant:
    sound = NoOptions()
    return Mutant(
        {"kind": "loss", "build": lambda _: (ContrastiveLoss, sound)},
        {"kind": "loss", "build": lambda _: (ContrastiveLoss, broken)},
    )


def absent(sound: str, **contract: str) -> Mutant:
    return Mutant(
        {**contract, "component": sound}, {**contract, "component": "nowhere-to-be-found"}
    )


MUTANTS: Mutants = {
    ComponentContract: {
        "it_is_registered": absent("contrastive", kind="loss"),
        # `test_isolation.py` has packages that import torch.
        "listing_does_not_import_torch": absent("contrastive", kind="loss"),
        "an_unknown_option_is_refused": of_options(Loose()),
        "every_option_has_a_description": of_options(Outer()),
        "no_option_is_called_like_a_key_of_recipes": of_options(Named()),
        "options_survive_a_resolved_recipe": of_options(OneWay(root=Path("b"))),
    },
    ModelContract: {
        "its_folder_holds_a_model": absent("tiny"),
        "listing_does_not_import_torch": absent("tiny"),
    },
}
