"""Collecting mistakes: all of them, in the order of the file, each once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.node import KeyPath, Node, Origin, deepest, dotted
from latte.registry.suggest import did_you_mean


@dataclass(frozen=True)
class Mistake:
    """One error, and what it is about."""

    origin: Origin
    path: KeyPath
    """Within its recipe, or its control."""
    error: LatteError

    @property
    def order(self) -> tuple[bool, str, int, int]:
        """Each file's mistakes by line and column, then those of the command line."""
        origin = self.origin
        return (origin.line is None, origin.source, origin.line or 0, origin.column)


@dataclass
class Mistakes:
    """What was found wrong so far."""

    found: list[Mistake] = field(default_factory=list)
    prefix: KeyPath = ()
    """Goes before every path: `("controls", NAME)` while a control is checked."""

    def add(self, origin: Origin, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at `path`, which stands at `origin`."""
        error = LatteError(what, where=self.where(origin, path), hint=hint)
        self.found.append(Mistake(origin, path, error))

    def add_at(self, root: Node, path: KeyPath, what: str, hint: str | None = None) -> None:
        """Report a mistake at `path`, at the line of what was written nearest to it."""
        self.add(deepest(root, path).origin, path, what, hint)

    def where(self, origin: Origin, path: KeyPath) -> str:
        """`file:line key.path`."""
        return f"{origin.position} {dotted((*self.prefix, *path))}".rstrip()

    def within(self, *prefix: str) -> Mistakes:
        """An empty collection for a part of the recipe that is checked like a recipe."""
        return Mistakes(prefix=prefix)

    def adopt(self, others: Mistakes) -> None:
        """Take over the mistakes of a part, except those that it shares with the whole."""
        known = {(mistake.path, mistake.error.what) for mistake in self.found}
        self.found += [
            mistake for mistake in others.found if (mistake.path, mistake.error.what) not in known
        ]

    def raise_if_any(self) -> None:
        """Raise `RecipeErrors` with every mistake in file order."""
        if self.found:
            ordered = sorted(self.found, key=lambda mistake: mistake.order)
            raise RecipeErrors([mistake.error for mistake in ordered])


def suggestion(name: str, names: Iterable[str], all_names: str) -> str:
    """A hint with the nearest of `names` and the whole list, which `all_names` introduces."""
    candidates = [*names]
    return f"{did_you_mean(name, candidates)} {all_names}: {', '.join(candidates)}.".lstrip()
