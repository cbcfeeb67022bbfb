"""Discovery of good and broken plugins."""

import pytest
from packaging.utils import canonicalize_name

from latte.interfaces import LatteError
from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from latte.registry.spec import Plugin
from tests.helpers.plugin_zoo import ZOO


def find(registry: Registry, distribution: str) -> Plugin:
    return next(plugin for plugin in registry.plugins if plugin.distribution == distribution)


def test_built_in_components_come_first(registry: Registry) -> None:
    built_in = registry.plugins[0]
    assert (built_in.key, built_in.distribution, built_in.status) == ("latte", "latte-clip", "ok")
    assert ("loss", "contrastive") in [(spec.kind, spec.name) for spec in built_in.specs]


def test_a_good_plugin_is_listed_with_its_normalised_name_and_version(registry: Registry) -> None:
    good = find(registry, "latte-good")
    assert (good.key, good.version, good.status, good.error) == ("latte_good", "1.2", "ok", None)
    assert [spec.name for spec in good.specs] == ["hinge", "fussy", "twin", "folder", "gone"]


@pytest.mark.parametrize(
    ("distribution", "status", "words"),
    [
        ("latte-unimportable", "broken", "No module named 'a_package_that_nobody_has'"),
        ("latte-outdated", "broken", "written for another version, upgrade the plugin"),
        ("latte-exits", "broken", "SystemExit: 3"),
        ("latte-misspelt", "broken", 'no hook latte_componets(). Did you mean "latte_components"?'),
        ("latte-unmarked", "broken", "mark latte_components() with @hookimpl"),
        ("latte-silent", "broken", "latte_components() returned None"),
        (
            "latte-strings",
            "broken",
            "must return ComponentSpecs, CommandSpecs or ClassifierSpecs, but one gave a str",
        ),
        ("latte-future", "incompatible", "version 99 of the plugin interface"),
        ("latte-doubled", "broken", 'declares 2 components of kind loss named "double"'),
        ("latte-bad-kind", "broken", 'unknown kind "lose". Did you mean "loss"?'),
        ("latte-bad-name", "broken", '"Big Thing" is no component name'),
        ("latte-intrudes", "broken", 'plugins cannot add to "latte recipes". Groups: plugins.'),
        ("latte-bad-target", "broken", 'not "package.module:Name"'),
        ("latte-bad-key", "broken", 'must be called "latte_bad_key"'),
        ("latte-two-keys", "broken", "more than one entry point in latte.plugins"),
        ("latte-twin-a", "broken", 'latte-twin-b also provides the import package "latte_twin"'),
        ("latte-twin-b", "broken", 'latte-twin-a also provides the import package "latte_twin"'),
        ("latte-impostor", "broken", 'latte-clip also provides the import package "latte"'),
    ],
)
def test_a_broken_plugin_has_a_one_line_error(
    registry: Registry, distribution: str, status: str, words: str
) -> None:
    plugin = find(registry, distribution)
    assert plugin.status == status
    assert plugin.error is not None
    assert words in plugin.error
    assert "\n" not in plugin.error


def test_broken_plugins_do_not_affect_others(registry: Registry) -> None:
    providers = {registered.distribution for registered in registry.all()}
    in_zoo = {canonicalize_name(package.distribution) for package in ZOO}
    assert providers & in_zoo == {"latte-good", "latte-faulty"}


def test_output_of_plugin_imports_goes_to_stderr(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.load(registry.get("loss", "hinge"))
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("zoo_on_path")
class TestEnvironment:
    def test_an_empty_list_loads_only_built_in_components(self) -> None:
        plugins = discover_plugins({"LATTE_PLUGINS": ""})
        assert {plugin.distribution for plugin in plugins if plugin.status == "ok"} == {
            "latte-clip"
        }
        assert {plugin.status for plugin in plugins[1:]} == {"blocked"}

    def test_listed_packages_are_loaded_however_they_are_spelt(self) -> None:
        plugins = discover_plugins({"LATTE_PLUGINS": "Latte_Good, latte-exits"})
        loaded = {plugin.distribution: plugin.status for plugin in plugins}
        assert (loaded["latte-good"], loaded["latte-exits"]) == ("ok", "broken")
        assert loaded["latte-faulty"] == "blocked"

    def test_a_package_that_is_not_installed_is_an_error_with_the_nearest_name(self) -> None:
        with pytest.raises(LatteError, match='"latte-god"') as caught:
            discover_plugins({"LATTE_PLUGINS": "latte-god"})
        assert 'Did you mean "latte-good"?' in (caught.value.hint or "")

    @pytest.mark.parametrize(
        ("distribution", "error"),
        [("latte-unimportable", ModuleNotFoundError), ("latte-exits", RuntimeError)],
    )
    def test_strict_mode_raises_the_error_of_the_plugin(
        self, distribution: str, error: type[Exception]
    ) -> None:
        strict = {"LATTE_STRICT_PLUGINS": "1", "LATTE_PLUGINS": distribution}
        with pytest.raises(error) as caught:
            discover_plugins(strict)
        assert caught.value.__notes__ == [f"In plugin {distribution} 1.0."]

    def test_strict_mode_names_the_plugin_of_a_wrong_declaration(self) -> None:
        strict = {"LATTE_STRICT_PLUGINS": "1", "LATTE_PLUGINS": "latte-misspelt"}
        with pytest.raises(LatteError, match="no hook latte_componets") as caught:
            discover_plugins(strict)
        assert caught.value.where == "plugin latte-misspelt 1.0"


def test_an_error_in_builtin_components_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("latte.components.latte_components.__code__", fail.__code__)
    with pytest.raises(ZeroDivisionError):
        discover_plugins({})
