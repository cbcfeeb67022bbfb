"""Names, loading and errors of registered components."""

import subprocess
import sys
from pathlib import Path

import pytest

from latte.interfaces import Context, LatteError, Loss, NoOptions
from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from latte.registry.spec import KINDS

pytestmark = pytest.mark.thorough


def context(tmp_path: Path) -> Context:
    def no_clip() -> None:
        raise AssertionError("nobody needs a CLIP here")

    return Context(tmp_path, tmp_path, "cpu", 0, no_clip)  # type: ignore[arg-type]


def failure(registry: Registry, name: str, where: str | None = None) -> str:
    with pytest.raises(LatteError) as caught:
        registry.get("loss", name, where)
    return str(caught.value)


class TestNames:
    def test_a_short_name_is_enough_where_it_is_unique(self, registry: Registry) -> None:
        hinge = registry.get("loss", "hinge")
        assert (hinge.full_name, hinge.package) == ("latte-good/hinge", "latte-good 1.2")

    @pytest.mark.parametrize("name", ["latte-good/hinge", "latte_good/hinge", "Latte.Good/hinge"])
    def test_a_full_name_always_works(self, registry: Registry, name: str) -> None:
        assert registry.get("loss", name).full_name == "latte-good/hinge"

    def test_a_short_name_of_two_packages_is_an_error_that_names_both(
        self, registry: Registry
    ) -> None:
        message = failure(registry, "twin")
        assert 'loss "twin" is provided by latte-faulty 1.0 and latte-good 1.2' in message
        assert 'Write "latte-faulty/twin" or "latte-good/twin"' in message
        assert registry.get("loss", "latte-good/twin").distribution == "latte-good"

    def test_a_mistyped_name_suggests_the_nearest_with_its_package(
        self, registry: Registry
    ) -> None:
        message = failure(registry, "hnige", where="recipe.yaml:3 loss.use")
        assert message.startswith('recipe.yaml:3 loss.use: no loss named "hnige" is installed')
        assert 'Did you mean "hinge" (latte-good 1.2)?' in message
        assert message.endswith("All names: latte components loss")

    @pytest.mark.parametrize("name", ["latte-good/none", "none", "/none", "a b; c/none"])
    def test_names_of_other_packages_are_not_to_be_installed(
        self, name: str, registry: Registry
    ) -> None:
        assert "pip install" not in failure(registry, name)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("latte-absent/hinge", 'latte-absent is not installed: pip install "latte-absent"'),
            ("Latte_Absent/hinge", 'latte-absent is not installed: pip install "latte-absent"'),
            ("frozen", 'no loss named "frozen"'),
            ("double", "It comes from latte-doubled 1.0, which is broken: it declares 2"),
            ("latte-exits/anything", "It comes from latte-exits 1.0, which is broken: SystemExit"),
            ("zzz", "It may come from latte-unimportable 1.0, which is broken: ModuleNot"),
        ],
    )
    def test_error_of_a_name_names_the_package_that_may_have_it(
        self, registry: Registry, name: str, words: str
    ) -> None:
        assert words in failure(registry, name)

    def test_a_name_of_a_broken_plugin_names_no_other_plugin(self, registry: Registry) -> None:
        message = failure(registry, "double")
        assert "(latte plugins)" in message
        assert "latte-exits" not in message

    def test_an_unknown_name_names_blocked_plugins(self, zoo_on_path: Path) -> None:
        registry = Registry(discover_plugins({"LATTE_PLUGINS": ""}))
        message = failure(registry, "latte-good/hinge")
        assert "latte-good 1.2, which is blocked: left out by LATTE_PLUGINS" in message


def test_components_are_listed_by_kind_with_built_in_ones_first(registry: Registry) -> None:
    kinds = [registered.spec.kind for registered in registry.all()]
    assert kinds == sorted(kinds, key=KINDS.index)
    losses = registry.all("loss")
    assert losses[0].full_name == "latte-clip/contrastive"
    assert {registered.spec.kind for registered in losses} == {"loss"}


class TestLoading:
    def test_options_are_the_plugin_s_own_model(self, registry: Registry) -> None:
        model = registry.options_model(registry.get("loss", "hinge"))
        assert model(rows=3).model_dump() == {"margin": 0.2, "rows": 3}

    def test_a_subclass_states_its_own_options(self, registry: Registry) -> None:
        assert registry.options_model(registry.get("loss", "fussy")) is NoOptions

    def test_a_component_is_built_from_options_and_context(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        hinge = registry.get("loss", "hinge")
        options = registry.options_model(hinge)(rows=3)
        built = registry.build(hinge, options, context(tmp_path))
        assert isinstance(built, Loss)
        assert built.options is options

    @pytest.mark.parametrize(
        ("name", "cause"),
        [
            ("not-a-loss", "latte_faulty.losses:NotALoss is not a Loss"),
            ("unfinished", "latte_faulty.losses:Unfinished does not define __call__"),
            ("no-module", "No module named 'latte_faulty.nothing'"),
            ("no-class", "has no attribute 'Gone'"),
        ],
    )
    def test_a_class_that_cannot_be_used_names_package_version_and_cause(
        self, registry: Registry, name: str, cause: str
    ) -> None:
        with pytest.raises(LatteError) as caught:
            registry.load(registry.get("loss", name))
        assert f'loss "{name}" of latte-faulty 1.0 cannot be used: ' in caught.value.what
        assert cause in caught.value.what
        assert "latte-faulty" in (caught.value.hint or "")

    def test_an_import_that_fails_names_the_strict_mode_which_raises_its_error(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        missing = registry.get("loss", "no-module")
        with pytest.raises(LatteError, match="cannot be used") as caught:
            registry.load(missing)
        assert "LATTE_STRICT_PLUGINS=1" in (caught.value.hint or "")
        monkeypatch.setenv("LATTE_STRICT_PLUGINS", "1")
        with pytest.raises(ModuleNotFoundError) as raised:
            registry.load(missing)
        assert raised.value.__notes__ == ["In plugin latte-faulty 1.0."]

    def test_options_of_a_class_that_cannot_be_used_name_the_plugin(
        self, registry: Registry
    ) -> None:
        with pytest.raises(LatteError, match=r"latte-faulty 1\.0 .*'latte_faulty.nothing'"):
            registry.options_model(registry.get("loss", "no-module"))

    def test_an_error_of_a_constructor_names_the_plugin(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        with pytest.raises(ValueError, match="no such margin") as caught:
            registry.build(registry.get("loss", "fussy"), NoOptions(), context(tmp_path))
        assert caught.value.__notes__ == ["In plugin latte-good 1.2."]

    def test_a_model_is_a_folder(self, registry: Registry, zoo: Path) -> None:
        assert registry.model_folder("folder") == zoo / "latte_good"

    def test_a_model_whose_folder_is_missing_names_the_plugin(self, registry: Registry) -> None:
        with pytest.raises(LatteError, match=r"latte-good 1\.2 .*nowhere does not exist"):
            registry.model_folder("gone")


def test_registry_does_not_import_torch_and_options_only_with_their_component(
    zoo: Path,
) -> None:
    program = (
        "import sys; from latte.registry.registry import load_registry; r = load_registry();"
        "r.options_model(r.get('loss', 'hinge')); r.all(); assert 'torch' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={"PYTHONPATH": str(zoo), "LATTE_PLUGINS": "latte-good"},
    )
