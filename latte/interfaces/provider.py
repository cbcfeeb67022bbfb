"""The package that provides a component, and the error for a fault of this component."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from latte.interfaces.errors import LatteError

_NOTED = "_latte_provider"
_URLS = ("issues", "issuetracker", "bugtracker", "bugreports", "bugs", "tracker")
_OTHER_URLS = ("repository", "source", "sourcecode", "homepage")


@dataclass(frozen=True, slots=True)
class Provider:
    """A component as recipes name it, and the package that it comes from."""

    component: str
    """Kind and name, such as `labeler frozen`."""
    distribution: str | None = None
    """Name of the pip package; None for a component that no package declares, as in tests."""
    version: str = ""

    def __str__(self) -> str:
        """Component and package, such as `labeler frozen of latte-clip 1.0`."""
        if self.distribution is None:
            return self.component
        return f"{self.component} of {self.distribution} {self.version}"

    @property
    def hint(self) -> str:
        """Advice on where to report a fault of the component."""
        if self.distribution is None:
            return "report it to the author of the plugin"
        if self.distribution.endswith(".py"):  # a file that a person named on the command line
            return f"correct {self.distribution}"
        address = report_address(self.distribution)
        authors = f"report it to the authors of {self.distribution}"
        return f"{authors}: {address}" if address else authors


def note_provider(component: object, provider: Provider) -> None:
    """Note which package provides a component, or the model that a component loaded."""
    with suppress(AttributeError):  # the object has slots, or is None
        object.__setattr__(component, _NOTED, provider)


def provider_of(component: object) -> Provider:
    """Return what `note_provider` noted; without a note, a provider with the class's name."""
    provider = getattr(component, _NOTED, None)
    return provider if isinstance(provider, Provider) else Provider(type(component).__name__)


def shown_provider(component: object) -> str | None:
    """Return component and package as text; None if no package is noted."""
    provider = provider_of(component)
    return None if provider.distribution is None else str(provider)


@contextmanager
def blaming(component: object, value: str) -> Iterator[None]:
    """Raise a `ValueError` of the block as a `LatteError` that names the component's package.

    The block checks a `value` that the component returned, such as `its labels`.
    """
    try:
        yield
    except ValueError as error:
        provider = provider_of(component)
        raise LatteError(
            f"{value} cannot be used: {error}", where=str(provider), hint=provider.hint
        ) from error


def report_address(distribution: str) -> str | None:
    """Return the address in a package's metadata for reports of bugs; None if there is none."""
    try:
        fields = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    pairs = [entry.partition(",") for entry in fields.get_all("Project-URL") or ()]
    addresses = {_letters(label): address.strip() for label, _, address in pairs}
    addresses.setdefault("homepage", (fields.get_all("Home-page") or [""])[0])
    candidates = (addresses.get(label, "") for label in (*_URLS, *_OTHER_URLS))
    return next((address for address in candidates if _is_address(address)), None)


def _letters(label: str) -> str:
    """Return a label such as `Bug Tracker` as packaging tools compare it: `bugtracker`."""
    return "".join(character for character in label.lower() if character.isalnum())


def _is_address(text: str) -> bool:
    is_url = text.startswith(("https://", "http://"))
    return is_url and text.isprintable() and len(text.split()) == 1
