"""New plugins of every kind are complete and formatted, and overwrite nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest
import yaml
from latte_author.kit.names import plugin_names
from latte_author.kit.write import SUMMARIES, contract_of, write_plugin
from latte_author.testing import __all__ as contracts

from latte.api import API_VERSION, Kind, LatteError

KINDS: tuple[Kind, ...] = get_args(Kind)


def write(folder: Path, kind: Kind) -> list[Path]:
    return write_plugin(plugin_names(f"latte-own-{kind}"), kind, folder / f"latte-own-{kind}")


def test_every_kind_has_a_summary_and_a_contract() -> None:
    assert set(SUMMARIES) == set(KINDS)
    assert {contract_of(kind) for kind in KINDS} <= set(contracts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_complete(kind: Kind, tmp_path: Path) -> None:
    files = {path.as_posix() for path in write(tmp_path, kind)}
    module = f"latte_own_{kind}"
    assert files >= {"pyproject.toml", "README.md", "recipe.yaml", ".gitignore"}
    assert ".github/workflows/publish.yml" in files
    assert files >= {f"{module}/__init__.py", f"tests/test_{module}.py"}
    project = tomllib.loads((tmp_path / f"latte-own-{kind}/pyproject.toml").read_text())["project"]
    assert project["entry-points"]["latte.plugins"] == {module: module}
    assert any(requirement.startswith("latte-clip>=") for requirement in project["dependencies"])


@pytest.mark.parametrize("kind", KINDS)
def test_component_states_the_version_of_the_interface(kind: Kind, tmp_path: Path) -> None:
    """The default is always the version of the installed latte, so it would never be refused."""
    write(tmp_path, kind)
    package = tmp_path / f"latte-own-{kind}" / f"latte_own_{kind}" / "__init__.py"
    assert f"api_version={API_VERSION}," in package.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_runs_of_the_recipe_are_named_after_the_component(kind: Kind, tmp_path: Path) -> None:
    """A comparison lists runs by the name of their recipe."""
    write(tmp_path, kind)
    recipe = yaml.safe_load((tmp_path / f"latte-own-{kind}" / "recipe.yaml").read_text())
    assert recipe["name"] == f"own-{kind}"


def test_written_files_pass_ruff(tmp_path: Path) -> None:
    for kind in KINDS:
        write(tmp_path, kind)
    write_plugin(plugin_names("latte-mine"), "labeler", tmp_path / "latte-mine", joint=True)
    ruff = shutil.which("ruff", path=Path(sys.executable).parent)
    assert ruff, "ruff is part of the development environment"
    line = ["--isolated", str(tmp_path)]
    for command in (["format", "--diff"], ["check", "--select", "E,F,W,UP,B"]):
        ended = subprocess.run([ruff, *command, *line], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout
    assert not [*tmp_path.rglob("*{{*")]


def test_joint_labeler_takes_no_steps_and_no_texts(tmp_path: Path) -> None:
    """So the recipe is a method that `latte field --recipe` can compare."""
    folder = tmp_path / "latte-mine"
    write_plugin(plugin_names("latte-mine"), "labeler", folder, joint=True)
    recipe = yaml.safe_load((folder / "recipe.yaml").read_text())
    assert (recipe["labels"], recipe["prototypes"]) == (["mine"], "from-labeler")
    assert recipe["train"] == {"max_steps": 0}
    assert not {"descriptions", "loss", "trainable"} & {*recipe}
    component = (folder / "latte_mine" / "component.py").read_text()
    assert "class MineLabeler(JointLabeler" in component
    assert "JointLabels.from_probabilities" in component
    with pytest.raises(LatteError, match="joint"):
        write_plugin(plugin_names("latte-x"), "gate", tmp_path / "latte-x", joint=True)


def test_write_plugin_overwrites_nothing_and_writes_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "gate")
    with pytest.raises(LatteError, match="exists"):
        write(tmp_path, "gate")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, "loss")
    assert [path.name for path in tmp_path.iterdir()] == ["latte-own-gate"]
