"""Find recipes and tables that come with latte, by names such as `demo` or `flyp/sun397`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean, nearest, suggestion

SUFFIXES = (".yaml", ".yml")
PARTS = "parts"
"""Folder of recipe parts: incomplete recipes that other recipes extend and that cannot be run."""
DATA = "paper"
"""Folder of tables of published results; these files are not recipes."""
TOP = "recipes"
_COMMAND = ": latte "
"""Start of the command in a shipped recipe's first comment; the summary is before it."""


@cache
def recipe_folder() -> Path | None:
    """Return the folder of shipped recipes, in the installed package or in a git checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "_recipes", package.parent / "recipes"):
        if (folder / PARTS).is_dir():
            return folder
    return None


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of all shipped recipes and recipe parts, sorted by folder, then by name."""
    folder = recipe_folder()
    if folder is None:
        return ()
    paths = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml")]
    paths = [path for path in paths if path.parts[0] != DATA]
    return tuple(path.as_posix() for path in sorted(paths, key=lambda path: (path.parent, path)))


def shipped_path(name: str) -> Path | None:
    """Return the file of the shipped recipe `name`; None if there is none."""
    folder = recipe_folder()
    return folder / f"{name}.yaml" if folder and name in shipped_names() else None


def unknown_recipe(name: str, where: str | None = None) -> LatteError:
    """Return the error for an unknown name of a shipped recipe."""
    hint = f"{did_you_mean(name, shipped_names())} All names: latte recipes ls".strip()
    return LatteError(f'no recipe called "{name}" comes with latte', where=where, hint=hint)


def is_part(name: str) -> bool:
    """Return True if `name` is a recipe part: it is incomplete, and other recipes extend it."""
    return name.startswith(f"{PARTS}/")


def is_shipped(path: Path) -> bool:
    """Return True if `path` is in the folder of the shipped recipes."""
    folder = recipe_folder()
    return folder is not None and path.absolute().is_relative_to(folder)


def shown(path: Path) -> str:
    """Return `path` as text; a path in the folder of shipped recipes is relative to this folder."""
    folder = recipe_folder()
    return str(path.relative_to(folder)) if folder and path.is_relative_to(folder) else str(path)


def recipes_by_folder(*, parts: bool) -> dict[str, list[tuple[str, str]]]:
    """Return the name and summary of each shipped recipe, grouped by folder.

    If `parts` is True, include recipe parts, which can be extended but not run.
    """
    names_by_folder: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(shipped_names(), key=is_part):
        if is_part(name) and not parts:
            continue
        folder = name.rpartition("/")[0]
        group = f"{folder}: to extend, not to run" if is_part(name) else folder or TOP
        first_line = find(name).read_text(encoding="utf-8").partition("\n")[0]
        sentence = first_line.removeprefix("#").partition(_COMMAND)[0].partition(". ")[0]
        names_by_folder.setdefault(group, []).append((name, sentence.strip().rstrip(":.")))
    return names_by_folder


def find(name: str) -> Path:
    """Return the file of the shipped recipe `name`. Raises `LatteError` if there is none."""
    path = shipped_path(name.removesuffix(".yaml"))
    if path is None:
        raise unknown_recipe(name)
    return path


def find_table(path: Path) -> Path:
    """Return `path` if it is a file, else the shipped table of published numbers with this name.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.runs import find_table
        >>> find_table(Path("published")).name
        'published.yaml'
    """
    if path.is_file():
        return path
    folder = recipe_folder()
    shipped = {table.stem: table for table in (folder / DATA).glob("*.yaml")} if folder else {}
    name = path.name.removesuffix(".yaml") if path.parent == Path() else ""
    if name not in shipped:
        hint = suggestion(path.name, sorted(shipped), "Tables of latte")
        raise LatteError("there is no such file", where=str(path), hint=hint)
    return shipped[name]


def refuse_absent_file(path: Path) -> None:
    """Raise `LatteError` with the most similar name if the file `path` does not exist."""
    if path.exists():
        return
    if not path.parent.is_dir():
        raise LatteError(f"the folder {path.parent} does not exist", where=str(path))
    recipes = [file.name for file in path.parent.iterdir() if file.suffix in SUFFIXES]
    runnable = [name for name in shipped_names() if not is_part(name)]
    hint = None
    without_suffix = [name for name in recipes if Path(name).stem == path.name]
    if near := next(iter(without_suffix), None) or nearest(path.name, recipes):
        hint = f'Did you mean "{path.parent / near}"?'
    elif near := nearest(path.with_suffix("").as_posix(), runnable):
        hint = f'Did you mean "{near}", which comes with latte? All recipes: latte recipes ls'
    elif not path.suffix:
        hint = "All recipes that come with latte: latte recipes ls"
    raise LatteError("there is no such file", where=str(path), hint=hint)
