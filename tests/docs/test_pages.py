"""Pages are correct: messages, paths and links exist, recipes are valid, examples work."""

from __future__ import annotations

import errno
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from latte_author.kit.names import plugin_names
from latte_author.kit.write import write_plugin

import latte.api
import latte.api.output
import latte.api.runs
import latte.api.sources
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from tests.helpers.doc_pages import PAGES, ROOT, blocks
from tests.helpers.plugin_packages import run_python, write_package

TROUBLE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = sorted(
    {
        part
        for row in re.findall(r"^\| (`.*?) \|", TROUBLE, flags=re.MULTILINE)
        for part in re.findall(r"`([^`]+)`", row)
    }
)
_TEXTS = (
    path.read_text(encoding="utf-8")
    for folder in ("latte", "plugins")
    for path in (ROOT / folder).rglob("*.py")
    if "tests" not in path.parts
)
SOURCES = re.sub(r'"\s*\n\s*f?"', "", "\n".join(_TEXTS))


def occurs(message: str) -> bool:
    """Return True if the sources contain `message`, with other text in place of each `…`."""
    patterns = [re.escape(part.strip()).replace(r"\ ", r"\s+") for part in message.split("…")]
    return re.search(".{1,60}?".join(patterns), SOURCES) is not None


@pytest.mark.parametrize("message", MESSAGES)
def test_explained_message_exists_in_the_code(message: str) -> None:
    assert occurs(message), message


def seen_by_users() -> Iterator[str]:
    """Yield the sentences of the messages on the page of faults, without those of the system."""
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    yield from re.findall(r"`([^`\n]+…)`", page)
    _, rule, *lines = page.split("```text\n")[1].split("```")[0].splitlines()
    cells = [slice(*dashes.span()) for dashes in re.finditer("-+", rule)]
    # A row without a count continues the row above.
    rows = "".join(("\n" if line[cells[1]].strip() else " ") + line[cells[2]] for line in lines)
    system = {os.strerror(number).casefold() for number in errno.errorcode} | {"killed"}
    for row in sorted(set(re.sub(" +", " ", rows).strip().splitlines())):
        if row.startswith("nothing"):
            continue
        for sentence in re.split(r"[:.] ", row.partition(" (exit ")[0]):
            text = re.sub(r"\S*[\d/]\S*", "…", sentence).strip(". ")
            if text.casefold() not in system:
                yield text


def test_messages_of_faults_exist_in_the_code() -> None:
    messages = [*seen_by_users()]
    assert "another process is working on this run" in messages
    assert not [message for message in messages if not occurs(message)]


PARTS = [
    pytest.param(block, id=f"{page.parent.name} {number}")
    for page in PAGES
    if page.is_relative_to(ROOT / "plugins")
    for number, block in enumerate(blocks(page, "yaml"))
]
"""Recipes and parts of recipes on the pages of plugins."""
REST = {
    "dataset": "tiny-caltech",
    "backbone": {"model": "plugin:tiny"},
    "labels": ["frozen"],
    "prototypes": "momentum",
    "loss": "contrastive",
}


@pytest.mark.parametrize("part", PARTS)
def test_recipe_of_a_plugin_is_valid(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_DATA", "data")
    recipe = yaml.safe_load(part)
    path = tmp_path / "recipe.yaml"
    text = part if "train" in recipe else yaml.safe_dump({**REST, **recipe})
    path.write_text(text, encoding="utf-8")
    load_recipe(path, load_registry())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_code_on_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths_named = set(re.findall(r"`((?:latte|tests|benchmarks|examples|recipes)/[\w./-]+)`", text))
    assert not [path for path in sorted(paths_named) if not (ROOT / path).exists()]


def test_paths_of_the_drawings_of_the_architecture_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    paths_named = set(re.findall(r"(?<![\w/])((?:\w+/)+\w+\.py)", text))
    paths_named = {path.removeprefix("latte/") for path in paths_named}
    assert len(paths_named) > 20
    assert not [path for path in sorted(paths_named) if not (ROOT / "latte" / path).exists()]


def test_layers_of_the_architecture_are_those_of_the_import_rules() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = contracts["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawing = page.split("```text")[1].split("```")[0]
    names = [re.findall(r"latte\.(\w+)", layer) for layer in layers]
    rows = [line[24:48] for line in drawing.splitlines()]
    shown = [[row for row, text in enumerate(rows) if name in text.split()] for [name, *_] in names]
    layer_names = [row[0] for row in shown[:-1]]  # the last layer is the version
    assert layer_names == sorted(layer_names)


def test_links_between_pages_exist() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_no_page_has_an_absolute_path() -> None:
    for page in PAGES:
        absolute_path = re.search(
            r"(?<![\w.])/(work|home|root|tmp)/\w", page.read_text(encoding="utf-8")
        )
        assert not absolute_path, f"{page.name}: {absolute_path}"


def blocks_after_the_first_plugin() -> list[str]:
    """Return the Python blocks of the page on plugins from the section on commands on."""
    python = [*blocks(ROOT / "docs/writing-plugins.md", "python")]
    return python[next(i for i, text in enumerate(python) if text.startswith("# latte_words")) :]


def test_command_of_a_plugin_works(tmp_path: Path) -> None:
    module, *_ = blocks_after_the_first_plugin()
    files = {"latte_words.py": module}
    write_package(tmp_path, "latte-words", {"latte_words": "latte_words"}, files)
    program = "from latte.cli.main import main; main()"
    counted = run_python(tmp_path, "-c", program, "count-words", "one two three")
    assert (counted.returncode, counted.stdout) == (0, "3\n"), counted.stderr


@pytest.mark.thorough
def test_method_of_the_page_keeps_its_contract_and_equals_zlap(tmp_path: Path) -> None:
    folder = tmp_path / "latte-spread"
    write_plugin(plugin_names("latte-spread"), "labeler", folder, joint=True)
    python = blocks_after_the_first_plugin()
    start = next(i for i, text in enumerate(python) if "from __future__" in text)
    *blocks, test = python[start:-1]
    component = "\n\n".join(block.rstrip() + "\n" for block in blocks)
    (folder / "latte_spread" / "component.py").write_text(component, encoding="utf-8")
    (folder / "tests" / "test_formula.py").write_text(test, encoding="utf-8")
    equal = """
import torch
from latte_field.base import FieldProblem, shares
from latte_field.zlap import ZlapLabeler, ZlapOptions
from latte_spread.component import SpreadOptions, links, spread
from latte_author.testing.fixtures import make_context, unit_rows


def test_equal(tmp_path):
    images, texts = unit_rows(20, 8, seed=1), unit_rows(4, 8, seed=2)
    nobody = torch.full((20,), -1)
    problem = FieldProblem(images, texts, 20.0, nobody)
    fit = ZlapLabeler(ZlapOptions(), make_context(tmp_path, 0)).fit(problem)
    scores = spread(links(images, texts, SpreadOptions()), 4, 0.3)
    torch.testing.assert_close(shares(scores), fit.probabilities)
"""
    (folder / "tests" / "test_equal.py").write_text(equal, encoding="utf-8")
    write_package(folder, "latte-spread", {"latte_spread": "latte_spread"}, {})
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow", str(folder / "tests")]
    ended = run_python(folder, "-m", "pytest", *options)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_whole_run_in_a_plugin_test_works(tmp_path: Path) -> None:
    """The labeler of the page does not exist here, so `current` takes its place."""
    *_, test = blocks(ROOT / "docs/writing-plugins.md", "python")
    (tmp_path / "test_mine.py").write_text(test.replace("[mine]", "[current]"), encoding="utf-8")
    ended = run_python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert "1 passed" in ended.stdout, ended.stdout


@pytest.mark.slow
def test_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    options = ["-q", "-W", "-b", "html", str(ROOT / "docs"), str(tmp_path / "pages")]
    built = run_python(ROOT, "-m", "sphinx", *options)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "pages/reference/recipe.html").is_file(), sys.version
    page = (tmp_path / "pages/api.html").read_text(encoding="utf-8")
    for module in (latte.api, latte.api.output, latte.api.runs, latte.api.sources):
        names = [f"{module.__name__}.{name}" for name in module.__all__]
        assert not [name for name in names if f'id="{name}"' not in page]
