"""Names of packages in errors about their components, and addresses for reports of bugs."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.interfaces import LatteError
from latte.interfaces.provider import (
    Provider,
    blaming,
    note_provider,
    provider_of,
    report_address,
)
from tests.helpers.plugin_packages import write_package


class Thing:
    """A component."""


def metadata(site: Path, *lines: str) -> None:
    """Write a distribution `latte-mine` whose metadata has these lines."""
    write_package(site, "latte-mine", {}, {})
    path = site / "latte_mine-0.1.0.dist-info" / "METADATA"
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        ((), None),
        (("Home-page: https://mine.org",), "https://mine.org"),
        (
            (
                "Project-URL: Homepage, https://mine.org",
                "Project-URL: Bug Tracker, https://b.org/1",
            ),
            "https://b.org/1",
        ),
        (("Project-URL: Source, https://code.org/mine",), "https://code.org/mine"),
        (("Home-page: UNKNOWN",), None),
        (("Project-URL: Issues, javascript:alert(1)",), None),
        (("Project-URL: Issues, https://a.org \x1b[2J",), None),
    ],
)
def test_report_address_is_read_from_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...], address: str | None
) -> None:
    metadata(tmp_path, *lines)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert report_address("latte-mine") == address


def test_report_address_of_a_package_that_is_not_installed_is_none() -> None:
    assert report_address("latte-nowhere") is None


def test_fault_names_component_package_and_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata(tmp_path, "Project-URL: Issues, https://mine.org/issues")
    monkeypatch.syspath_prepend(str(tmp_path))
    thing = Thing()
    note_provider(thing, Provider("labeler mine", "latte-mine", "0.1.0"))
    with pytest.raises(LatteError) as caught, blaming(thing, "its labels"):
        raise ValueError("they are odd")
    assert str(caught.value) == (
        "labeler mine of latte-mine 0.1.0: its labels cannot be used: they are odd\n"
        "  report it to the authors of latte-mine: https://mine.org/issues"
    )


def test_component_without_a_package_has_the_name_of_its_class() -> None:
    assert str(provider_of(Thing())) == "Thing"
    note_provider(None, Provider("model", "latte-mine", "0.1.0"))
