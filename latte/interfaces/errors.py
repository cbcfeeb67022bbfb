"""The one error that people see: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LatteError(Exception):
    """A mistake that the user can mend; the command line prints it and exits with code 2.

    `what` says what is wrong, `where` is `file:line key.path` (or a file, or an image id), and
    `hint` names the nearest right name or the command that fixes it.
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


class RecipeErrors(LatteError):  # noqa: N818 - several errors, not one
    """All mistakes of one recipe, found in one pass and reported together."""

    def __init__(self, errors: list[LatteError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


# The nearest right name for a mistyped one.


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name most like `name`, whatever its case; None if none is alike."""
    by_folded = {candidate.casefold(): candidate for candidate in names}
    matches = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`Did you mean "..."?`, or an empty string."""
    match = nearest(name, names)
    return f'Did you mean "{match}"?' if match else ""
