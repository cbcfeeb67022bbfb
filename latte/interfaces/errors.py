"""The one error that people see: what is wrong, where, and what to do about it."""

from __future__ import annotations


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
