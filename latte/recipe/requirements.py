"""`requires:`: are the packages that a recipe needs installed, in the versions that it needs?"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from latte.interfaces import LatteError
from latte.recipe.layout import LEARNERS, ORACLE
from latte.recipe.mistakes import Mistakes
from latte.recipe.model import Choice
from latte.recipe.node import DEFAULT, KeyPath, Node, Origin
from latte.registry.spec import USE


def check_requirement(text: str) -> None:
    """Raise `LatteError` if the package that `text` names is missing or has another version."""
    requirement = _parsed(text)
    if requirement.marker and not requirement.marker.evaluate():
        return
    install = f'pip install "{requirement.name}{requirement.specifier}"'
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        raise LatteError(
            f"this recipe needs {requirement.name}, which is not installed", hint=install
        ) from None
    if not requirement.specifier.contains(installed, prereleases=True):
        raise LatteError(
            f"this recipe needs {requirement.name} {requirement.specifier}, "
            f"and {installed} is installed",
            hint=install,
        )


def _parsed(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        raise LatteError(
            f'"{text}" is not a package with a range of versions',
            hint='As in: requires: ["latte-tiny>=0.1,<1"]',
        )
    return requirement


# `oracle: true`: ground-truth labels of training images are used where a recipe says so.


def oracle_options(choice: Choice) -> list[str]:
    """The options of a component that are set and read ground-truth labels."""
    options = choice.options
    return [key for key in options.oracle_options if getattr(options, key) is not None]


def refuse_labels(choice: Choice, path: KeyPath, root: Node, mistakes: Mistakes) -> None:
    """Report each such option of the component at `path`."""
    for key in oracle_options(choice):
        mistakes.add_at(
            root,
            (*path, key),
            f'"{key}" uses ground-truth labels of training images, and {ORACLE}: true is missing',
            f'Add {ORACLE}: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )


def refuse_unused(choices: Iterable[Choice], root: Node, mistakes: Mistakes) -> None:
    """Report `oracle: true` where nothing uses labels: results would be marked for nothing."""
    if not any(map(oracle_options, choices)):
        mistakes.add_at(
            root,
            (ORACLE,),
            f"{ORACLE} is true, and nothing here uses ground-truth labels of training images",
            f"Write {ORACLE}: false, or set correct: NUMBER of a group description.",
        )


# The components that a recipe has unless it says otherwise.


_DEFAULT = Origin(DEFAULT)
_REPORTERS = ("html", "model-card")
_PROTOTYPES = "templates"


def with_defaults(root: Node) -> Node:
    """The recipe with what it left out: reporters, and each learner's prototypes."""
    if root.child("reporters") is None:
        root = root.replaced("reporters", Node([*map(_named, _REPORTERS)], _DEFAULT))
    learners = root.child(LEARNERS)
    if learners is None:
        return _with_prototypes(root)
    if isinstance(learners.value, list):
        items = [_with_prototypes(item) for item in learners.value]
        root = root.replaced(LEARNERS, Node(items, learners.origin))
    return root


def _with_prototypes(node: Node) -> Node:
    if not isinstance(node.value, dict) or node.child("prototypes") is not None:
        return node
    return node.replaced("prototypes", _named(_PROTOTYPES))


def _named(component: str) -> Node:
    return Node({USE: Node(component, _DEFAULT)}, _DEFAULT)
