"""Check files and folders that users name, and make names that every file system accepts."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from latte.interfaces import LatteError

_ESCAPED_BYTE = re.compile(rb"\\x([89a-f][0-9a-f])")
LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
"""Pattern of valid names of list items and controls, which become parts of file names."""


class MissingPathError(LatteError):
    """Error for a file or folder that a user names and that does not exist."""


def existing_file(path: Path, where: str) -> Path:
    """Return `path` if it is a file, else raise `LatteError` that suggests a similar name.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import existing_file
        >>> Path("classes.txt").touch()
        >>> existing_file(Path("classes.txt"), "dataset.classes").name
        'classes.txt'
    """
    return path if is_file(path) else _missing(path, "file", where)


def existing_folder(path: Path, where: str) -> Path:
    """Return `path` if it is a folder, else raise `LatteError` that suggests a similar name.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import existing_folder
        >>> Path("photos").mkdir()
        >>> existing_folder(Path("photos"), "dataset.root").name
        'photos'
    """
    return path if is_folder(path) else _missing(path, "folder", where)


def given_path(value: object, argument: str) -> Path:
    """Return a path that is given as text or `os.PathLike`, with `~` replaced by the home folder.

    Raises `LatteError` that names the `argument` for any other value, for an empty text, and for a
    text with a null character.
    """
    if isinstance(value, str | os.PathLike) and os.fspath(value) and "\0" not in str(value):
        path = Path(os.path.expanduser(value))  # noqa: PTH111 - keeps the ~ of an unknown user
        if _can_exist(path):
            return path
    what = f"{type(value).__name__} is no path"
    if isinstance(value, str | os.PathLike):
        what = f"{os.fspath(value)!r} is no path"
    raise LatteError(what, where=argument, hint="give one path, as text or as a pathlib.Path")


def _can_exist(path: Path) -> bool:
    """Return False for text that no file name can contain, such as half of a surrogate pair."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def is_file(path: Path) -> bool:
    """Return True if `path` is a file; an impossible name gives False, not an error.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import is_file
        >>> is_file(Path("a" * 10_000))
        False
    """
    return _holds(Path.is_file, path)


def exists(path: Path) -> bool:
    """Return True if `path` exists; a name that no file can have gives False."""
    return _holds(Path.exists, path)


def is_folder(path: Path) -> bool:
    """Return True if `path` is a folder or a link to one.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import is_folder
        >>> is_folder(Path())
        True
    """
    return _holds(Path.is_dir, path)


def relative(path: Path) -> str:
    """Return `path` relative to the working directory, or unchanged if it is outside of it."""
    working_folder = Path.cwd()
    return (
        str(path.relative_to(working_folder)) if path.is_relative_to(working_folder) else str(path)
    )


def path_as_text(path: str) -> str:
    r"""Return `path` as valid UTF-8 text, with each invalid byte written as `\xNN`.

    Half of a surrogate pair, which no file name can contain, is written as `\uNNNN`.
    """
    try:
        encoded = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        encoded = path.encode("utf-8", "backslashreplace")
    return encoded.decode("utf-8", "backslashreplace")


def path_from_text(text: str, folder: Path = Path()) -> str:
    """Undo `path_as_text`; return `text` unchanged if it is the name of a file in `folder`.

    Raises `ValueError` for text that no file name can contain, such as half of a surrogate pair.
    """
    os.fsencode(text)
    if "\\x" not in text or is_file(folder / text):
        return text
    name = _ESCAPED_BYTE.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    return os.fsdecode(name)


def visible_entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of `folder` that are not hidden, sorted by name.

    Raises `LatteError` if the folder cannot be listed.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import visible_entries
        >>> Path("1.jpg").touch()
        >>> [entry.name for entry in visible_entries(Path())]
        ['1.jpg']
    """
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise LatteError(f"cannot be listed: {error.strerror}", where=str(folder)) from error
    return sorted(visible, key=lambda entry: entry.name)


def read_text(path: Path, most: int | None = None) -> str:
    """Return the text of a UTF-8 file without its byte order mark.

    Raises `LatteError` if the file cannot be read, is larger than `most` bytes, is not UTF-8, or
    has null characters, as damaged files and UTF-16 have. The error then names the line.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.sources import read_text
        >>> _ = Path("classes.txt").write_text("cat")
        >>> read_text(Path("classes.txt"))
        'cat'
    """
    try:
        with path.open("rb") as file:
            data = file.read() if most is None else file.read(most + 1)
    except OSError as error:
        raise LatteError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if most is not None and len(data) > most:
        raise LatteError(f"is larger than {most:,} bytes", where=str(path))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_text("is not UTF-8 text", path, data[: error.start]) from error
    if "\0" in text:
        raise _no_text("has null characters, so it is not UTF-8 text", path, data.split(b"\0")[0])
    return text


def _no_text(what: str, path: Path, bytes_before: bytes) -> LatteError:
    """Return an error for a file that is no text after `bytes_before`."""
    line = bytes_before.count(b"\n") + 1
    is_table = path.suffix.lower() in (".csv", ".tsv", ".txt")
    hint = (
        "Save the file as UTF-8; in Excel, save it as the type “CSV UTF-8”."
        if is_table
        else "Save the file as UTF-8."
    )
    return LatteError(what, where=f"{path}:{line}", hint=hint)


def refuse_other_kind(path: Path, *starts: str, force: bool) -> None:
    """Raise `LatteError` if a command cannot, or must not, write its result to the file `path`.

    A file may be overwritten if it is empty, or begins with one of `starts`: the beginnings of
    files that the command writes. `force` allows any file, but no folder, device or pipe.

    Example:
        >>> from pathlib import Path
        >>> from latte.api.output import refuse_other_kind
        >>> refuse_other_kind(Path("table.csv"), "method,dataset", force=False)
    """
    refuse_read_only(path)
    if is_folder(path):
        hint = f"name a file in it: {path / 'FILE'}"
        raise LatteError("this is a folder, not a file", where=str(path), hint=hint)
    if exists(path) and not is_file(path):
        hint = "give the name of a file"
        raise LatteError("is a device or a pipe, not a file", where=str(path), hint=hint)
    if force or not is_file(path):
        return
    try:
        with path.open("rb") as file:
            beginning = file.read(max(map(len, starts), default=1))
    except OSError as error:
        raise LatteError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if beginning and not beginning.startswith(tuple(map(str.encode, starts))):
        raise LatteError(
            "this is another kind of file, and is not overwritten",
            where=str(path),
            hint="name another file, or overwrite it: --force",
        )


def refuse_read_only(path: Path, where: str | None = None) -> None:
    """Raise `LatteError` if `path` cannot be created: its folder is a file, or is read-only.

    A folder that does not exist yet is allowed, if it can be created. The error names `where`; by
    default, `path`.
    """
    folder = path.parent
    while not exists(folder):
        folder = folder.parent
    if is_folder(folder) and os.access(folder, os.W_OK | os.X_OK):
        return
    reason = "read-only" if is_folder(folder) else "not a folder"
    raise LatteError(f"cannot be written, because {folder} is {reason}", where=where or str(path))


def some(names: Sequence[str]) -> str:
    """Return the first five names and the number of further names, as text for messages.

    Example:
        >>> from latte.api.sources import some
        >>> some(["a", "b", "c", "d", "e", "f", "g"])
        'a, b, c, d, e and 2 more'
    """
    further_names = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + further_names


def _missing(path: Path, kind: str, where: str) -> NoReturn:
    parent = path.parent
    while not is_folder(parent):
        parent = parent.parent
    what, hint = f"no such {kind}: {path}", _nearest(path, parent, kind)
    if kind == "folder" and is_file(path):
        what = f"this is a file, not a folder: {path}"
        hint = hint or f"its folder is {parent}"
    raise MissingPathError(what, where=where, hint=hint or _content(parent))


def _nearest(path: Path, parent: Path, kind: str) -> str | None:
    names = [entry.name for entry in visible_entries(parent)]
    first_name, *inner_names = path.relative_to(parent).parts
    test = is_folder if inner_names or kind == "folder" else is_file
    close_names = get_close_matches(
        first_name, [name for name in names if test(parent / name)], n=1
    )
    if close_names and parent / close_names[0] != path:
        return f"Did you mean {parent / close_names[0]}?"
    return None


def _content(folder: Path) -> str:
    names = [entry.name for entry in visible_entries(folder)]
    return f"{folder} holds {some(names)}." if names else f"{folder} is empty."


def _holds(test: Callable[[Path], bool], path: Path) -> bool:
    try:
        return test(path)
    except OSError:
        return False


LONGEST_NAME = 200
"""Largest length of a name in bytes; file systems accept 255."""
_FORBIDDEN = frozenset('<>:"/\\|?*')
_SPELLED_OUT = str.maketrans(
    {
        **{"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"},
        **{"æ": "ae", "œ": "oe", "ø": "oe", "å": "aa", "Æ": "Ae", "Œ": "Oe", "Ø": "Oe", "Å": "Aa"},
    }
)
"""Letters that have a usual spelling in ASCII; of others, only the accent is dropped."""
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"}
)
"""Names that Windows reserves, with or without a suffix."""


def safe_name(text: str) -> str:
    """Turn `text` into a valid name of a visible file or folder, up to `LONGEST_NAME` bytes long.

    Path separators, unprintable characters and characters that Windows forbids become `_`.
    """
    name = "".join(
        character if character.isprintable() and character not in _FORBIDDEN else "_"
        for character in unicodedata.normalize("NFC", text)
    )
    name = shortened(name.strip(" "), LONGEST_NAME).rstrip(". ")
    device = name.partition(".")[0].rstrip().lower() in _DEVICES
    return f"_{name}" if device or not name or name.startswith(".") else name


def ascii_name(text: str) -> str:
    """Turn `text` into a name of ASCII letters, digits and `._-`, which any shell takes as it is.

    It is empty if nothing of `text` can be written so.

    Example:
        >>> ascii_name("Größe à 2 €")
        'Groesse-a-2'
    """
    spelled = unicodedata.normalize("NFC", text).translate(_SPELLED_OUT)
    letters = (
        character
        for character in unicodedata.normalize("NFKD", spelled)
        if not unicodedata.combining(character)
    )
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "".join(letters)).strip("-.")


def distinct_names(texts: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Return one `safe_name` per text; all names differ from each other and from `reserved`.

    Names that differ only in case count as equal; a name in use gets a number, as in `cat-2`.
    """
    used_names = {_folded(name) for name in reserved}
    numbers: Counter[str] = Counter()
    safe_names = []
    for text in texts:
        base = name = safe_name(text)
        while _folded(name) in used_names:
            numbers[_folded(base)] += 1
            name = f"{base}-{numbers[_folded(base)] + 1}"
        used_names.add(_folded(name))
        safe_names.append(name)
    return safe_names


def shortened(name: str, max_bytes: int) -> str:
    """Return the longest start of `name` that has at most `max_bytes` bytes."""
    name = name[:max_bytes]
    while len(name.encode("utf-8", "surrogateescape")) > max_bytes:
        name = name[:-1]
    return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def is_label(name: str) -> bool:
    """Return True if `name` can be part of a file name."""
    return bool(LABEL.fullmatch(name))
