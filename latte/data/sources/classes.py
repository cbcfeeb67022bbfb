"""Class names of datasets: read them, and find the label of a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from latte.data.sources.class_lookup import ALIAS_SEPARATOR, CLASS_FOLDERS
from latte.data.sources.tables import csv_cells
from latte.data.sources.walk import list_folders
from latte.interfaces import Context, IsPath, LatteError
from latte.io.paths import existing_file, read_text, some

_WHERE = "dataset.classes"
_IN_LINES = "Write one class name per line, or all in one line with commas between them."
_NOT_FOLDERS = (
    "`classes: folders` takes each sub-folder for a class. Or name them: classes: [cat, dog]"
)
_AS_TABLE = "Write one class name per line, or save the table as .csv with a column called class."
_TABLES = (".csv", ".tsv")
_COLUMNS = ("class", "label", "name")
_VAGUE = {"other", "others", "misc", "miscellaneous", "none", "unknown", "various"}
_VAGUE |= {"sonstige", "sonstiges", "andere", "unbekannt"}
"""Class names for "all the rest", in lower case."""
ClassNames: TypeAlias = Annotated[
    Annotated[str, IsPath(f"(?!{CLASS_FOLDERS}$)(?P<path>.+)")] | tuple[str, ...],
    Field(
        description="text file with one class name per line, or a table (.csv, .tsv), or a list of "
        "names, or `folders`: the names of the sub-folders of root, sorted, with `_` read as a "
        "space (a file called folders: ./folders). Several names of one class: `couch | sofa`, the "
        "first is shown"
    ),
]
"""An option that names the classes: a file, `folders`, or the names."""


def read_classes(
    classes: str | tuple[str, ...], root: Path, context: Context
) -> tuple[tuple[str, ...], ...]:
    """Read all names of each class from a list, a text file, or (`folders`) subfolders of `root`.

    A text file has one class per line, or all names in a single line with commas between them. In a
    table (`.csv`, `.tsv`), the column class, label or name has the names; without such a header, it
    is the first column with letters. Lines that start with `#` are comments.

    Raises `LatteError` for a missing file, a repeated name, or fewer than two classes.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Backbone, Context
        >>> from latte.api.sources import read_classes
        >>> context = Context(Path(), Path("cache"), "cpu", 0, Backbone)
        >>> read_classes(("couch | sofa", "table"), Path(), context)
        (('couch', 'sofa'), ('table',))
    """
    if classes == CLASS_FOLDERS:
        folders = [(folder_class_name(folder), str(folder)) for folder in list_folders(root)]
        return tuple((name,) for name in distinct(folders, str(root), _NOT_FOLDERS))
    if isinstance(classes, str):
        entries = _entries(file := existing_file(context.path(classes), _WHERE))
        return _with_aliases(entries, str(file), _IN_LINES)
    return _with_aliases([(name, f"{_WHERE}.{i}") for i, name in enumerate(classes)], _WHERE)


def read_class_names(
    classes: str | tuple[str, ...], root: Path, context: Context
) -> tuple[str, ...]:
    """Return only the first name of each class; see `read_classes`.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Backbone, Context, read_class_names
        >>> context = Context(Path(), Path("cache"), "cpu", 0, Backbone)
        >>> read_class_names(("couch | sofa", "table"), Path(), context)
        ('couch', 'table')
    """
    return shown(read_classes(classes, root, context))


def shown(classes: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the first name of each class, which reports and messages show."""
    return tuple(names[0] for names in classes)


def class_notes(
    classes: str | tuple[str, ...], names: Sequence[str], context: Context
) -> Iterator[str]:
    """Yield warnings about the option `classes` and the `names` that it gives, one sentence each.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Backbone, Context
        >>> from latte.api.sources import class_notes
        >>> context = Context(Path(), Path("cache"), "cpu", 0, Backbone)
        >>> [*class_notes(("cat", "dog"), ("cat", "dog"), context)]
        []
    """
    if isinstance(classes, str) and classes != CLASS_FOLDERS:
        file = context.path(classes)
        if file.suffix.lower() in _TABLES:
            (line, first_cells), *_ = _table_rows(file)
            if _named_column(first_cells) is None:
                yield (
                    f'{file}:{line}: "{first_cells[_words_column(file)].strip()}" is read as a '
                    "class name; if this line is a header, call the column class"
                )
        elif comments := sum(line.startswith("#") for line in _lines(file)):
            singular = "1 line starts with # and is read as a comment"
            plural = f"{comments:,} lines start with # and are read as comments"
            yield f"{file}: {singular if comments == 1 else plural}"
    folded_names = {name: name.partition("/")[0].strip().casefold() for name in names}
    if vague_names := [name for name, folded_name in folded_names.items() if folded_name in _VAGUE]:
        yield (
            f"class names that no image looks like: {some(vague_names)}. Leave them out, and use "
            "`latte predict --unknown-below` for images of no class"
        )


def _lines(file: Path) -> list[str]:
    return [line.strip() for line in read_text(file).split("\n")]


def _entries(file: Path) -> list[tuple[str, str]]:
    if file.suffix.lower() in _TABLES:
        return _table_entries(file)
    entries = [
        (line, f"{file}:{number}")
        for number, line in enumerate(_lines(file), start=1)
        if line and not line.startswith("#")
    ]
    if len(entries) == 1:
        (line, place), *_ = entries
        return [(name, place) for name in line.split(",")]
    for line, place in entries:
        if ";" in line or "\t" in line:
            problem = f"a class name with a semicolon or a tab: {line!r}"
            raise LatteError(problem, where=place, hint=_AS_TABLE)
    return [(_unquoted(line), place) for line, place in entries]


def _unquoted(line: str) -> str:
    quoted_text = line[1:-1]
    is_quoted = (
        quoted_text and line[0] == line[-1] == '"' and '"' not in quoted_text.replace('""', "")
    )
    return quoted_text.replace('""', '"') if is_quoted else line


def _table_entries(file: Path) -> list[tuple[str, str]]:
    rows = _table_rows(file)
    if not rows:
        return []
    (_, first_cells), *other_rows = rows
    column = _named_column(first_cells)
    if column is None and not other_rows:
        return [(name, f"{file}:{line}") for line, cells in rows for name in cells]
    for line, cells in rows:
        if len(cells) != len(first_cells):
            raise LatteError(
                f"{len(cells)} values, but {len(first_cells)} in the first line",
                where=f"{file}:{line}",
                hint="A value that contains the separator must stand in double quotes.",
            )
    names, column = (rows, _words_column(file)) if column is None else (other_rows, column)
    return [(cells[column], f"{file}:{line}") for line, cells in names]


def _table_rows(file: Path) -> list[tuple[int, list[str]]]:
    return [row for row in csv_cells(file) if not row[1][0].lstrip().startswith("#")]


def _named_column(header: Sequence[str]) -> int | None:
    """Return the index of the column that is called class, label or name; None if there is none."""
    columns = [cell.strip().casefold() for cell in header]
    return next((columns.index(name) for name in _COLUMNS if name in columns), None)


def _words_column(file: Path) -> int:
    """Return the index of the first column with letters: a column of numbers has no class names."""
    columns = zip(*(cells for _, cells in _table_rows(file)), strict=False)
    return next(
        (i for i, column in enumerate(columns) if any(map(str.isalpha, "".join(column)))), 0
    )


def _with_aliases(
    entries: Sequence[tuple[str, str]], where: str, hint: str | None = None
) -> tuple[tuple[str, ...], ...]:
    split_entries = [
        ([name.strip() for name in entry.split(ALIAS_SEPARATOR)], place) for entry, place in entries
    ]
    distinct([(name, place) for names, place in split_entries for name in names], where, hint)
    classes = tuple(tuple(filter(None, names)) for names, _ in split_entries if any(names))
    refuse_fewer_than_two(len(classes), where, hint)
    return classes


def folder_class_name(folder: Path) -> str:
    """Return the class name of a class folder: `_` and several spaces become one space.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import folder_class_name
        >>> folder_class_name(Path("photos/polar_bear"))
        'polar bear'
    """
    return " ".join(folder.name.replace("_", " ").split())


def distinct(
    names: Sequence[tuple[str, str]], where: str, hint: str | None = None
) -> tuple[str, ...]:
    """Return the stripped, non-empty names of pairs (name, place); place is `FILE:LINE`.

    Raises `LatteError` for a repeated name, even if its Unicode form differs. Fewer than two names
    raise a `LatteError` with `hint`.
    """
    first_mentions: dict[str, tuple[str, str]] = {}
    for name, place in ((name.strip(), place) for name, place in names):
        # Other systems may write the name in another Unicode form.
        composed_name = unicodedata.normalize("NFC", name)
        if composed_name in first_mentions:
            first_place = first_mentions[composed_name][1]
            raise LatteError(
                f"class {name!r} occurs twice",
                where=place,
                hint=f"It was named first at {first_place}: rename or remove one.",
            )
        if name:
            first_mentions[composed_name] = name, place
    refuse_fewer_than_two(len(first_mentions), where, hint)
    return tuple(name for name, _ in first_mentions.values())


def refuse_fewer_than_two(classes: int, where: str, hint: str | None = None) -> None:
    """Raise `LatteError` with this `hint` if the number of `classes` is less than two."""
    if classes < 2:
        names = "1 class name" if classes == 1 else f"{classes} class names"
        raise LatteError(f"{names}; at least 2 are needed", where=where, hint=hint)
