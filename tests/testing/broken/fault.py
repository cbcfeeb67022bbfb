"""What a broken component and its contract have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from latte.interfaces import Component, NoOptions, Options


class Fault:
    """A contract for `broken`; the tests named in `fails` must fail, and no other."""

    broken: ClassVar[type[Component[Any]]]
    given: ClassVar[Options] = NoOptions()
    fails: ClassVar[set[str]]

    def build(self) -> tuple[type[Component[Any]], Options]:
        return self.broken, self.given
