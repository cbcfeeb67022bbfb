"""Imported packages are declared dependencies with lower and upper bounds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.helpers.wheels import CORE, SOURCES

PROVIDES = {"PIL": "pillow", "yaml": "pyyaml", "open_clip": "open-clip-torch", "latte": CORE}
COMPANIONS = {
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic",
    "ftfy": "open-clip-torch",
    "timm": "open-clip-torch",
    "tokenizers": "transformers",
}
"""Modules of packages that another declared package always installs."""


def project(name: str) -> dict[str, Any]:
    text = (SOURCES[name] / "pyproject.toml").read_text(encoding="utf-8")
    fields: dict[str, Any] = tomllib.loads(text)["project"]
    return fields


def requirements(name: str) -> list[Requirement]:
    """Return the requirements of a package and of its extras."""
    about = project(name)
    extras = about.get("optional-dependencies", {}).values()
    return [
        Requirement(requirement)
        for group in (about["dependencies"], *extras)
        for requirement in group
    ]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def modules(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def imported(folder: Path) -> dict[str, Path]:
    """Return the top-level names imported in `folder`, each with one file that imports it."""
    return {
        module.partition(".")[0]: path for path in folder.rglob("*.py") for module in modules(path)
    }


@pytest.mark.parametrize("name", SOURCES)
def test_imported_packages_are_declared_dependencies(name: str) -> None:
    module = "latte" if name == CORE else name.replace("-", "_")
    declared = {normal(requirement.name) for requirement in requirements(name)}
    undeclared = {
        top: path
        for top, path in imported(SOURCES[name] / module).items()
        if top != module
        and top not in sys.stdlib_module_names
        and not {normal(PROVIDES.get(top, top)), COMPANIONS.get(top)} & declared
    }
    assert undeclared == {}


@pytest.mark.parametrize("name", SOURCES)
def test_every_dependency_has_a_lower_and_an_upper_bound(name: str) -> None:
    """The version of the plugin interface bounds the core, so a plugin gives no upper bound."""
    for requirement in requirements(name):
        if requirement.extras and not requirement.specifier:
            continue
        signs = {bound.operator for bound in requirement.specifier}
        assert ">=" in signs, str(requirement)
        assert ("<" in signs) == (normal(requirement.name) != CORE), str(requirement)


@pytest.mark.parametrize("name", SOURCES)
def test_plugin_bounds_of_shared_dependencies_equal_the_core(name: str) -> None:
    """The extras of the core may require newer versions than the core itself."""
    of_core: defaultdict[str, list[SpecifierSet]] = defaultdict(list)
    for requirement in requirements(CORE):
        of_core[normal(requirement.name)].append(requirement.specifier)
    for requirement in requirements(name):
        if normal(requirement.name) in of_core:
            assert requirement.specifier in of_core[normal(requirement.name)], str(requirement)


@pytest.mark.parametrize("name", [name for name in SOURCES if name != CORE])
def test_each_component_of_a_plugin_names_the_version_of_the_interface(name: str) -> None:
    text = (SOURCES[name] / name.replace("-", "_") / "__init__.py").read_text(encoding="utf-8")
    specs = len(re.findall(r"\b(?:Component|Command|Classifier)Spec\(", text))
    assert text.count("api_version=2") == specs


@pytest.mark.parametrize("name", [name for name in SOURCES if name != CORE])
def test_plugin_tests_import_only_the_public_interface(name: str) -> None:
    beyond = {
        path.name: module
        for path in (SOURCES[name] / "tests").glob("*.py")
        for module in modules(path)
        if module.startswith("latte.") and not module.startswith("latte.api")
    }
    assert beyond == {}


def test_a_pytest_session_of_a_user_loads_nothing_of_the_core() -> None:
    assert {*project(CORE)["entry-points"]} == {"latte.plugins"}


def test_make_install_installs_the_packages_of_all_extras() -> None:
    extras = project(CORE)["optional-dependencies"]
    required = {
        name: {Requirement(requirement).name for requirement in extras[name]} for name in extras
    }
    installed = required["dev"] | {
        Requirement(requirement).name for requirement in project(CORE)["dependencies"]
    }
    missing = {name: required[name] - installed for name in required}
    assert not {name: packages for name, packages in missing.items() if packages}
