"""The plugin in docs/writing-plugins.md can be installed, listed, tested and used."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from latte_author.testing import (
    ComponentContract,
    DescriptionTypeContract,
    LossContract,
    PseudoLabelerContract,
)

from latte.interfaces import Component, NoOptions, Options
from tests.helpers.command_line import Latte, latte_in_process
from tests.helpers.guards import installed
from tests.helpers.plugin_packages import run_python, write_package

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/writing-plugins.md").read_text(encoding="utf-8").split("## Commands")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)
FILES = {
    heading[1]: text
    for _, text in BLOCKS
    if (heading := re.match(r"# (\S+\.(?:py|toml|yaml))\n", text))
}
PLUGIN = {"pyproject.toml", "latte_colours.py", "tests/test_colours.py", "colours.yaml"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the page's describer is installed."""
    folder = tmp_path_factory.mktemp("site")
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    files = {name: FILES[name] for name in PLUGIN}
    write_package(folder, project["name"], project["entry-points"]["latte.plugins"], files)
    return folder


def test_every_code_block_is_tested() -> None:
    tested_blocks = [text for kind, text in BLOCKS if kind != "console"]
    assert len(tested_blocks) == len(FILES)
    tested = {contract.module for contract in ExampleContract.__subclasses__()}
    assert {name.removesuffix(".py") for name in FILES.keys() - PLUGIN} == tested


def test_make_knows_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    targets = {*re.findall(r"`make ([\w-]+)", contributing)}
    assert {"install", "test", "check"} <= targets
    assert targets <= {*re.findall(r"^([\w-]+):", makefile, flags=re.MULTILINE)}


@pytest.fixture
def latte(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Latte]:
    """Run `latte` in this process and in the folder `site`, with the page's describer."""
    monkeypatch.chdir(site)
    monkeypatch.setenv("COLUMNS", "200")
    with installed(site):
        yield latte_in_process(capsys)
    sys.modules.pop("latte_colours", None)


def test_the_describer_is_listed(latte: Latte) -> None:
    plugins = latte("plugins").out
    assert re.search(r"latte-colours +0\.1\.0 +ok +describer: colours", plugins)
    page = latte("components", "describer", "colours").out
    assert "count" in page
    assert "colours that a sentence names" in page
    assert "defined  latte_colours:ColourDescriber" in page


def test_the_describer_passes_its_contract(site: Path) -> None:
    tested = run_python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert tested.returncode == 0, tested.stdout
    assert re.search(r"^\d+ passed in", tested.stdout, flags=re.MULTILINE), tested.stdout


def test_the_recipe_uses_the_describer(latte: Latte) -> None:
    checked = latte("check", "colours.yaml").out
    assert re.search(r"use: latte-colours/colours .*\n +count: 3 ", checked)


class ExampleContract(ComponentContract):
    """Contract of a component of the page, with its default options."""

    module: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _importable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        (tmp_path / f"{self.module}.py").write_text(FILES[f"{self.module}.py"], encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        yield
        sys.modules.pop(self.module, None)

    def build(self) -> tuple[type[Component[Any]], Options]:
        classes = [cls for cls in vars(import_module(self.module)).values() if inspect.isclass(cls)]
        classes = [cls for cls in classes if cls.__module__ == self.module]
        models = [cls for cls in classes if issubclass(cls, Options)]
        (component,) = (cls for cls in classes if issubclass(cls, Component))
        return component, models[0]() if models else NoOptions()


class TestCosine(ExampleContract, LossContract):
    module = "my_loss"


class TestScene(ExampleContract, DescriptionTypeContract):
    module = "latte_scene"


class TestClear(ExampleContract, PseudoLabelerContract):
    module = "latte_clear"


class TestMeans(ExampleContract, PseudoLabelerContract):
    module = "latte_means"
