from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.helpers.size import code_lines, package_of, recipe_keys, sizes, table

SOURCE = '''"""Docstring."""

# comment
class LoudOptions(Options):
    """Docstring."""

    loud: bool = False  # comment
    """Docstring."""
    kinds: ClassVar = ("a",)
    words: tuple[str, ...] = (
        "a",
    )

class LouderOptions(LoudOptions):
    text = """two
lines"""
    louder: int = 1
'''


def test_code_has_no_blank_lines_comments_and_docstrings() -> None:
    assert code_lines(SOURCE, ast.parse(SOURCE)) == 10


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("latte/cli/main.py", "latte"),
        ("plugins/latte-loud/latte_loud/options.py", "latte-loud"),
        ("plugins/latte-loud/tests/test_loud.py", "tests of plugins"),
        ("tests/faults/disks.py", "faults and fuzz"),
        ("tests/faults/test_faults.py", "tests"),
        ("conftest.py", "conftest.py"),
    ],
)
def test_package_of_a_file(path: str, package: str) -> None:
    assert package_of(Path(path)) == package


def test_sizes_of_a_small_project(tmp_path: Path) -> None:
    for path in ("latte/options.py", "plugins/latte-loud/options.py", "tests/test_options.py"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(SOURCE)
    packages = sizes(tmp_path)
    assert packages["latte"]["options"] == packages["latte-loud"]["options"] == 3
    assert packages["tests"] == {"files": 1, ".py lines": 17, "code": 10}
    assert packages["latte"]["commands"] > 10
    assert {"train", "TrainSettings.batch_size"} <= {*recipe_keys()}
    assert "everything" in table(packages).splitlines()[-1]
