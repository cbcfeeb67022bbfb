"""Check the packages that a recipe's key `requires` names."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement

from latte.interfaces import LatteError
from latte.registry import replaced


def check_requirement(text: str) -> None:
    """Raise `LatteError` if a requirement such as `latte-tiny>=0.1` is invalid or not met."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        requirement = None
    if requirement is None or requirement.url:
        raise LatteError(
            f'"{text}" is not a package with a range of versions',
            hint='As in: requires: ["latte-tiny>=0.1,<1"]',
        )
    if requirement.marker and not requirement.marker.evaluate():
        return
    if replacement := replaced.PACKAGES.get(requirement.name):
        raise LatteError(
            f"{requirement.name} was replaced by {Requirement(replacement).name}",
            hint=f'Write "{replacement}".',
        )
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
