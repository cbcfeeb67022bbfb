"""All names of a plugin follow from its package, or an error says why not."""

from __future__ import annotations

import pytest
from latte_author.kit.names import plugin_names, refuse_taken

from latte.api import LatteError
from latte.api.plugins import Registry


@pytest.mark.parametrize(
    ("text", "distribution", "module", "component", "camel"),
    [
        ("latte-warm-colours", "latte-warm-colours", "latte_warm_colours", "warm-colours", "Warm"),
        ("Latte_Fog", "latte-fog", "latte_fog", "fog", "Fog"),
        ("fog2", "fog2", "fog2", "fog2", "Fog2"),
    ],
)
def test_all_names_follow_from_one(
    text: str, distribution: str, module: str, component: str, camel: str
) -> None:
    names = plugin_names(text)
    assert (names.distribution, names.module, names.component) == (distribution, module, component)
    assert names.camel.startswith(camel)
    assert names.camel.isidentifier()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "json",
        "tests",
        "a" * 51,
        "latte",
        "class",
        "../up",
        "a--b",
        "-a",
        "né",
        "a/b",
        "latte-3d",
        "2x",
    ],
)
def test_unusable_package_names_are_refused(text: str) -> None:
    with pytest.raises(LatteError) as caught:
        plugin_names(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["torch", "latte-tiny", "latte-clip", "yaml"])
def test_names_of_installed_packages_are_refused(text: str) -> None:
    """`yaml` is the module of a package with another name."""
    with pytest.raises(LatteError, match="is installed") as caught:
        refuse_taken(plugin_names(text), "gate", Registry([]))
    assert "try latte-my-" in str(caught.value.hint)
