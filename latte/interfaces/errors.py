"""Errors that name the problem, its place and the fix for the user."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LatteError(Exception):
    """Error that the user can fix; the command line prints it and exits with code 2.

    `what` is the problem, `where` is its place (`file:line key.path`, a file or an image id), and
    `hint` is the nearest correct name or the command that fixes it.

    Example:
        >>> from latte.api import LatteError
        >>> print(LatteError("unknown class 'cta'", where="labels.csv:3", hint="Did you mean cat?"))
        labels.csv:3: unknown class 'cta'
          Did you mean cat?
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class RecipeErrors(LatteError):  # noqa: N818 - holds several errors
    """All errors of one recipe, found in one pass and reported together.

    Example:
        >>> from latte.api import LatteError, RecipeErrors
        >>> len(RecipeErrors([LatteError("unknown key"), LatteError("unknown name")]).errors)
        2
    """

    def __init__(self, errors: list[LatteError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


def error_line(error: BaseException, *, with_type: bool = True) -> str:
    """Return an error's type and message, such as `ImportError: no module named x`.

    The result is one line of at most 200 characters. If the error has no message, the result is the
    type. Without `with_type`, it is the message alone.

    Example:
        >>> from latte.api import error_line
        >>> error_line(ValueError("no such margin"))
        'ValueError: no such margin'
    """
    name, message = type(error).__name__, " ".join(str(error).split())
    line = f"{name}: {message}" if message and with_type else message or name
    return line if len(line) <= 200 else line[:199] + "…"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name most similar to `name`, ignoring case; None if none is similar."""
    by_folded = {candidate.casefold(): candidate for candidate in names}
    close_names = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close_names[0]] if close_names else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `Did you mean "..."?` with the nearest name, or an empty string.

    Example:
        >>> from latte.api import did_you_mean
        >>> did_you_mean("gaurd", ["guard", "gate"])
        'Did you mean "guard"?'
    """
    match = nearest(name, names)
    return f'Did you mean "{match}"?' if match else ""


def suggestion(name: str, names: Iterable[str], title: str) -> str:
    """Return a hint: a suggestion of the nearest name, then `title` and the list of `names`."""
    candidates = [*names]
    return f"{did_you_mean(name, candidates)} {title}: {', '.join(candidates)}.".lstrip()
