"""Size of the project by package: `python -m tests.helpers.size`.

The folder that is counted is the one from which `latte` is imported, so that another version is
counted with its folders in PYTHONPATH and `python tests/helpers/size.py`.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import latte

ROOT = Path(latte.__file__).parents[1]
CODE, LINES, FILES, OPTIONS, KEYS, COMMANDS = COLUMNS = (
    *("code", ".py lines", "files"),
    *("options", "recipe keys", "commands"),
)
TESTING = ("tests", "tests of plugins", "faults and fuzz", "benchmarks", "examples")
"""Packages whose options nobody can set in a recipe."""
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}

Sizes = dict[str, Counter[str]]


def sizes(root: Path = ROOT) -> Sizes:
    """Return the counts of each package below `root`, by column."""
    packages: Sizes = {}
    classes: list[tuple[str, ast.ClassDef]] = []
    for path in python_files(root):
        source, package = path.read_text(encoding="utf-8"), package_of(path.relative_to(root))
        tree = ast.parse(source)
        counts = packages.setdefault(package, Counter())
        counts[FILES] += 1
        counts[LINES] += len(source.splitlines())
        counts[CODE] += code_lines(source, tree)
        if package not in TESTING:
            nodes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
            classes += [(package, node) for node in nodes]
    options = derived_from("Options", [node for _, node in classes])
    for package, node in classes:
        packages[package][OPTIONS] += len(fields(node)) if node.name in options else 0
    packages["latte"][KEYS] = len(recipe_keys())
    for package in commands():
        packages.setdefault(package, Counter())[COMMANDS] += 1
    return packages


def python_files(root: Path) -> Iterator[Path]:
    """Return the Python files below `root`, without those in hidden or built folders."""
    for path in sorted(root.rglob("*.py")):
        folders = path.relative_to(root).parts
        if not any(part.startswith(".") or part in ("build", "dist", "_build") for part in folders):
            yield path


def package_of(path: Path) -> str:
    """Return the package of a file, whose `path` starts at the project's folder."""
    top_folder, *inner = path.parts
    if top_folder == "plugins":
        return "tests of plugins" if "tests" in inner else inner[0]
    is_test = path.name.startswith("test_")
    if {"faults", "fuzz"} & {*path.parts[:2]} and not is_test:
        return "faults and fuzz"
    return top_folder


def code_lines(source: str, tree: ast.Module) -> int:
    """Return the number of lines with code: no blank line, comment or docstring.

    Strings below fields, which document them, count as docstrings.
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def derived_from(base: str, classes: Collection[ast.ClassDef]) -> set[str]:
    """Return the names of those `classes` that derive from `base`, directly or not."""
    derived = {base}
    while True:
        subclasses = {
            node.name
            for node in classes
            if any(isinstance(parent, ast.Name) and parent.id in derived for parent in node.bases)
        }
        if subclasses <= derived:
            return derived
        derived |= subclasses


def fields(node: ast.ClassDef) -> list[str]:
    """Return the names of the pydantic fields that a class declares itself."""
    return [
        line.target.id
        for line in node.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.target, ast.Name)
        and not line.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(line.annotation)
    ]


def recipe_keys() -> list[str]:
    """Return the keys of a recipe, such as `train` and `TrainSettings.batch_size`.

    Options of components are not among them.
    """
    from latte.recipe.schema import recipe_schema
    from latte.registry.registry import load_registry

    schema = recipe_schema(load_registry())
    # Names of classes are those of settings, other names are kinds of components.
    sections = {name: part for name, part in schema["$defs"].items() if name[0].isupper()}
    inner = [f"{name}.{key}" for name, part in sections.items() for key in part["properties"]]
    return [*schema["properties"], *inner]


def commands() -> list[str]:
    """Return the package of each command in `latte --help`."""
    from latte.cli.main import COMMANDS as CORE
    from latte.cli.plugin_commands import plugin_commands

    targets = (spec.target for spec in plugin_commands().values())
    modules = [target.replace(":", ".").partition(".")[0] for target in targets]
    return ["latte"] * len(CORE) + [module.replace("_", "-") for module in modules]


def table(packages: Sizes) -> str:
    """Return the counts as text, with sums over the plugins and over everything."""
    names = sorted(packages, key=lambda name: (not name.startswith("latte"), name))
    plugins = [packages[name] for name in names if name.startswith("latte-")]
    rows = {
        **{name: packages[name] for name in names},
        "all plugins": sum(plugins, Counter()),
        "everything": sum(packages.values(), Counter()),
    }
    lines = [f"{'package':20}" + "".join(f"{column:>13}" for column in COLUMNS)]
    lines += [
        f"{name:20}" + "".join(f"{counts[column]:13,}" for column in COLUMNS)
        for name, counts in rows.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table(sizes()))
