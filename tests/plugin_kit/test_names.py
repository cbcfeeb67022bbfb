"""All names of a plugin follow from its package, or an error says why not."""

from __future__ import annotations

import pytest

from latte.interfaces import LatteError
from latte.plugin_kit.write import plugin_names


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
    "text", ["", "json", "latte", "class", "../up", "a--b", "-a", "né", "a/b", "latte-3d", "2x"]
)
def test_unusable_package_names_are_refused(text: str) -> None:
    with pytest.raises(LatteError) as caught:
        plugin_names(text)
    assert caught.value.hint
