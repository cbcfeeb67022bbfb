"""Base of the contracts of broken components."""

from __future__ import annotations

from typing import Any, ClassVar

from latte.interfaces import Component, NoOptions, Options


class Fault:
    """Contract tests of `broken`; exactly the tests named in `fails` must fail."""

    broken: ClassVar[type[Component[Any]]]
    given: ClassVar[Options] = NoOptions()
    fails: ClassVar[set[str]]

    def build(self) -> tuple[type[Component[Any]], Options]:
        return self.broken, self.given
