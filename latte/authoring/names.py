"""What a new plugin is called: as a pip package, as an import package, in recipes, in code."""

from __future__ import annotations

import keyword
import re
import sys
from dataclasses import dataclass

from latte.interfaces import LatteError

_DISTRIBUTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "latte-"


@dataclass(frozen=True)
class Names:
    """The names of one plugin: `latte-warm-colours` for instance."""

    distribution: str
    """What pip installs: `latte-warm-colours`."""

    @property
    def module(self) -> str:
        """What Python imports, and the entry point's key: `latte_warm_colours`."""
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        """What recipes say: `warm-colours`."""
        return self.distribution.removeprefix(_PREFIX)

    @property
    def camel(self) -> str:
        """What its classes' names begin with: `WarmColours`."""
        return "".join(word.capitalize() for word in self.component.split("-"))


def plugin_names(text: str) -> Names:
    """The names that follow from `text`. Raises `LatteError` where it cannot name a package."""
    wanted = text.strip().lower().replace("_", "-").replace(" ", "-")
    if not _DISTRIBUTION.fullmatch(wanted):
        raise LatteError(
            f'"{text}" cannot name a package',
            hint="lower-case letters, digits and single hyphens, as in latte-colours",
        )
    names = Names(wanted)
    taken = names.module in sys.stdlib_module_names or keyword.iskeyword(names.module)
    if taken or names.module == "latte" or names.component[0].isdigit():
        raise LatteError(
            f'a package called "{wanted}" would hide another one',
            hint=f"try latte-{names.component.lstrip('0123456789') or 'colours'}-plugin",
        )
    return names
