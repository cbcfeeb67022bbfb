"""Public classes and functions have an example in their docstring; all examples work."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import latte_author.testing
import pytest
import torch

import latte.api
import latte.api.output
import latte.api.plugins
import latte.api.runs
import latte.api.sources

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"^Example:\n((?:    .*\n|\n)+)", re.MULTILINE)


def public() -> dict[str, Any]:
    """Exported classes and functions by their full name."""
    modules = (
        latte.api,
        latte.api.output,
        latte.api.plugins,
        latte.api.runs,
        latte.api.sources,
        latte_author.testing,
    )
    names = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }
    return {
        name: value
        for name, value in names.items()
        if inspect.isclass(value) or inspect.isfunction(value)
    }


@pytest.mark.parametrize("name", public())
def test_public_docstring_has_a_working_example(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = inspect.cleandoc(public()[name].__doc__ or "") + "\n"
    example = EXAMPLE.search(own)
    assert example, f"{name} has no `Example:` in its docstring"
    code = textwrap.dedent(example[1])
    monkeypatch.chdir(tmp_path)
    if ">>>" not in code:
        compile(code, name, "exec")
        return
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "example"}, name, name, 0)
    problems: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=problems.append)
    assert not problems, "".join(problems)


def modules_with_examples() -> list[str]:
    """Modules of latte and its plugins with examples in their docstrings."""
    found = []
    for folder in (ROOT, *sorted((ROOT / "plugins").iterdir())):
        for path in sorted(folder.glob("latte*/**/*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                found.append(".".join(path.relative_to(folder).with_suffix("").parts))
    return found


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_of_a_module_work(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"torch": torch}
    tests = doctest.DocTestFinder().find(importlib.import_module(module), extraglobs=known)
    problems: list[str] = []
    for number, test in enumerate(tests):
        (place := tmp_path / str(number)).mkdir()
        monkeypatch.chdir(place)  # examples create files
        doctest.DocTestRunner(verbose=False).run(test, out=problems.append)
    assert not problems, "".join(problems)
