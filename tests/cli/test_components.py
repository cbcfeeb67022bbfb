"""`latte components` lists components and their options."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from latte.cli.components import default_in_words, in_recipe, option_rows
from latte.interfaces import Options
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from tests.helpers.command_line import LatteProcess

pytestmark = pytest.mark.thorough


def words(text: str) -> str:
    return " ".join(text.split())


class TestList:
    def test_every_component_is_one_entry_within_80_columns(
        self, latte_in_zoo: LatteProcess
    ) -> None:
        listed = latte_in_zoo("components", "loss")
        assert listed.returncode == 0
        assert max(map(len, listed.stdout.splitlines())) <= 80
        assert "loss contrastive latte-clip symmetric" in words(listed.stdout)
        assert "loss hinge latte-good about hinge" in words(listed.stdout)
        assert "describer" not in listed.stdout

    def test_broken_plugins_are_announced_on_stderr_one_line_each(
        self, latte_in_zoo: LatteProcess
    ) -> None:
        lines = latte_in_zoo("components", "loss").stderr.splitlines()
        (exits,) = [line for line in lines if "latte-exits" in line]
        assert exits.startswith("warning: plugin latte-exits 1.0 is broken: SystemExit: 3. ")
        assert "LATTE_STRICT_PLUGINS=1" in exits
        assert len([line for line in lines if "latte-unimportable" in line]) == 1
        assert not [line for line in lines if "latte-good 1.2" in line]

    def test_the_list_ends_with_the_way_to_write_a_component(
        self, latte_in_zoo: LatteProcess
    ) -> None:
        last_line = latte_in_zoo("components", "model").stdout.splitlines()[-1]
        assert last_line == "In a recipe: model: plugin:NAME. Options: latte components model NAME"
        assert "components NAME" in latte_in_zoo("components").stdout.splitlines()[-1]

    def test_an_unknown_kind_suggests_the_nearest(self, latte_in_zoo: LatteProcess) -> None:
        ended = latte_in_zoo("components", "losses")
        assert (ended.returncode, ended.stdout) == (2, "")
        assert 'Did you mean "loss"?' in ended.stderr

    def test_a_name_without_its_kind_shows_the_same_page(self, latte_in_zoo: LatteProcess) -> None:
        page = latte_in_zoo("components", "loss", "hinge").stdout
        assert latte_in_zoo("components", "hinge").stdout == page


class TestPage:
    def test_a_page_shows_summary_package_source_and_options(
        self, latte_in_zoo: LatteProcess, zoo: Path
    ) -> None:
        page = latte_in_zoo("components", "loss", "hinge").stdout
        assert page.startswith("loss hinge\nabout hinge\n")
        assert "package  latte-good 1.2 (latte-good/hinge)\n" in page
        assert "defined  latte_good.losses:Hinge\n" in page
        assert "\nrecipe   loss: {use: hinge, rows: ...}\n" in page
        assert "margin number ≥ 0.0 0.2 how far apart" in words(page)
        assert "rows whole number required how many" in words(page)

    def test_built_in_components_have_pages_while_other_packages_are_broken(
        self, latte_in_zoo: LatteProcess
    ) -> None:
        page = latte_in_zoo("components", "loss", "contrastive")
        assert page.returncode == 0
        assert "defined  latte.components.latteclip:" in page.stdout

    def test_a_component_without_options_says_so(self, latte_in_zoo: LatteProcess) -> None:
        assert "It has no options." in latte_in_zoo("components", "loss", "fussy").stdout


class Inner(Options):
    rate: float = Field(default=0.1, gt=0.0, description="inner rate")


class Everything(Options):
    flag: bool = Field(default=False, description="a flag")
    choice: Literal["left", "right"] = Field(default="left", description="a choice")
    perhaps: int | None = Field(default=None, ge=1, le=9, description="perhaps")
    pair: tuple[Annotated[float, Field(ge=0.0)], float] = Field(
        default=(0.5, 1.0), description="a pair"
    )
    names: tuple[str, ...] = Field(default=(), description="names")
    table: dict[str, int] = Field(default_factory=dict, description="a table")
    folder: Path = Field(description="a folder")
    inner: Inner | None = Field(default=Inner(rate=0.7), description="more")


@pytest.mark.parametrize("name", ["current", "phrases", "image", "evidence", "tiny", "contrastive"])
def test_a_recipe_with_the_line_of_a_component_is_valid(name: str, tmp_path: Path) -> None:
    registry = load_registry()
    (registered,) = [registered for registered in registry.all() if registered.spec.name == name]
    rows = [] if name == "tiny" else list(option_rows(registry.options_model(registered)))
    line = in_recipe(registered.spec.kind, name, rows)
    lines = {
        "dataset": "dataset: {use: folder, root: images, classes: [cup, chair]}",
        "describer": "describer: phrases",
        "descriptions": "descriptions: [class]",
        "labels": "labels: [current]",
        "prototypes": "prototypes: momentum",
        "loss": "loss: contrastive",
    }
    if name == "tiny":
        line = f"backbone:\n  {line}"
    else:
        lines["backbone"] = 'backbone: {model: "plugin:tiny"}'
    lines[line.partition(":")[0]] = line
    file = tmp_path / "mine.yaml"
    file.write_text("\n".join(lines.values()), encoding="utf-8")
    assert load_recipe(file, registry).resolved


@pytest.mark.parametrize(
    ("name", "type_in_words", "default"),
    [
        ("flag", "true or false", "false"),
        ("choice", "left or right", "left"),
        ("perhaps", "whole number or none ≥ 1, ≤ 9", "none"),
        ("pair", "list of 2: number ≥ 0.0, number", "[0.5, 1.0]"),
        ("names", "list of text", "[]"),
        ("table", "mapping of text to whole number", "none"),
        ("folder", "path", "required"),
        ("inner", "options or none", "see below"),
        ("inner.rate", "number > 0.0", "0.7"),
    ],
)
def test_option_types_and_defaults_in_plain_words(
    name: str, type_in_words: str, default: str
) -> None:
    rows = {row.name: row for row in option_rows(Everything)}
    assert (rows[name].type, default_in_words(rows[name])) == (type_in_words, default)
