"""Wheels contain all files of a package and nothing else; plugins can be uninstalled."""

from __future__ import annotations

import configparser
from itertools import product
from pathlib import Path

import pytest

from latte import __version__
from tests.helpers.wheels import (
    CORE,
    ROOT,
    SOURCES,
    build,
    environment,
    install,
    metadata,
    names,
    run,
    text,
)

pytestmark = pytest.mark.slow
VIEWS = "latte-views"
LIBRARY = "latte_views/_views.abi3.so"
PLUGINS = [name for name in SOURCES if name not in (CORE, VIEWS)]
"""Packages with components, which `latte plugins` lists."""
RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green], evaluation: test}
backbone: {model: "local-dir:clip"}
describer: phrases
descriptions: [class, image]
labels: [frozen, current]
prototypes: momentum
loss: contrastive
train: {batch_size: 4, max_epochs: 1}
"""


def module_of(name: str) -> str:
    return "latte" if name == CORE else name.replace("-", "_")


@pytest.mark.parametrize("name", SOURCES)
def test_a_wheel_has_every_file_of_its_package_and_nothing_else(
    name: str, wheels: dict[str, Path]
) -> None:
    module, files = module_of(name), names(wheels[name])
    about = [member for member in files if ".dist-info/" in member]
    source = SOURCES[name] / module
    expected = {
        f"{module}/{path.relative_to(source).as_posix()}"
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    if name == VIEWS:
        expected.add(LIBRARY)
    if name == CORE:
        recipes = ROOT / "recipes"
        expected |= {
            f"latte/_recipes/{path.relative_to(recipes).as_posix()}"
            for path in recipes.rglob("*.yaml")
        }
    assert {*files} - {*about} == expected
    assert f"{module}/py.typed" in expected
    assert any(member.endswith("licenses/LICENSE") for member in about)
    assert not any("__pycache__" in member or member.startswith("tests/") for member in files)


@pytest.mark.parametrize("compiler", ["/bin/false", "no-such-compiler"])
def test_a_wheel_without_a_compiler_has_no_library(compiler: str, tmp_path: Path) -> None:
    files = names(build(SOURCES[VIEWS], tmp_path, CC=compiler))
    assert "latte_views/__init__.py" in files
    assert not any(name.endswith(".so") for name in files)


@pytest.mark.parametrize("name", SOURCES)
def test_wheel_metadata_are_complete(name: str, wheels: dict[str, Path]) -> None:
    about = metadata(wheels[name])
    assert about["Name"] == name
    assert about["Version"] == __version__
    assert about["Requires-Python"] == ">=3.11"
    assert about["Summary"]
    assert "Apache-2.0" in about["License-Expression"]
    assert about["Description-Content-Type"] == "text/markdown"
    assert str(about.get_payload()).strip().startswith("#")


@pytest.mark.parametrize("name", SOURCES)
def test_entry_point_has_the_name_of_the_module(name: str, wheels: dict[str, Path]) -> None:
    points = configparser.ConfigParser()
    points.read_string(text(wheels[name], "entry_points.txt"))
    module = module_of(name)
    group = "latte.views" if name == VIEWS else "latte.plugins"
    assert dict(points[group]).keys() == {module}
    if name == CORE:
        assert points["console_scripts"]["latte"] == "latte.__main__:main"
        assert "pytest11" not in points, "it would load in the tests of everybody who uses latte"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, Path]) -> Path:
    """Return the interpreter of an environment with the core only."""
    interpreter = environment(tmp_path_factory.mktemp("environment"))
    install(interpreter, [wheels[CORE]])
    return interpreter


def squares(folder: Path) -> Path:
    """Write `RECIPE` with its images, and the model of latte-tiny as a folder."""
    from PIL import Image

    for split, colour in product(("images", "test"), ("red", "green")):
        (folder / split / colour).mkdir(parents=True)
        for number in range(4):
            size = (40 + number, 40 + len(split))
            Image.new("RGB", size, colour).save(folder / split / colour / f"{number}.png")
    (folder / "clip").symlink_to(SOURCES["latte-tiny"] / "latte_tiny" / "clip")
    path = folder / "squares.yaml"
    path.write_text(RECIPE)
    return path


def test_the_core_wheel_alone_lists_checks_and_runs(
    python: Path, tmp_path: Path, wheels: dict[str, Path]
) -> None:
    latte = python.with_name("latte")
    settings = {"LATTE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    recipe = squares(tmp_path)
    assert "Adapt CLIP" in run(latte, "--help", cwd=tmp_path)
    assert "latte-tiny" not in run(latte, "plugins", cwd=tmp_path)
    assert "demo" in run(latte, "recipes", "ls", cwd=tmp_path)
    run(latte, "check", recipe, cwd=tmp_path, **settings)
    assert "report\t" in run(latte, "run", recipe, cwd=tmp_path, **settings)


def test_the_core_alone_adds_nothing_to_a_pytest_session(python: Path, tmp_path: Path) -> None:
    """Fixtures for authors of plugins come with latte-author."""
    shown = run(python, "-m", "pytest", "--fixtures", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "tmp_path" in shown
    assert "latte" not in shown.replace(str(tmp_path), "")


def test_each_plugin_can_be_uninstalled_without_effect_on_others(
    python: Path, tmp_path: Path, wheels: dict[str, Path]
) -> None:
    latte = python.with_name("latte")
    install(python, [wheels[name] for name in PLUGINS])
    listed = run(latte, "plugins", cwd=tmp_path)
    assert all(name in listed for name in PLUGINS)
    recipe = squares(tmp_path)
    for name in PLUGINS:
        run(python, "-m", "pip", "uninstall", "-q", "-y", name, cwd=tmp_path)
        try:
            left = run(latte, "plugins", cwd=tmp_path)
            assert name not in left
            assert all(plugin in left for plugin in PLUGINS if plugin != name)
            run(latte, "check", recipe, cwd=tmp_path)
        finally:
            install(python, [wheels[name]])


@pytest.mark.parametrize("without", ["CC=/bin/false", "LATTE_VIEWS_PURE=1"])
def test_latte_views_is_used_if_its_library_is_installed(
    python: Path, tmp_path: Path, wheels: dict[str, Path], without: str
) -> None:
    code = "from latte.data.compiled_views import compiled_views; print(compiled_views() is None)"
    without_library = build(SOURCES[VIEWS], tmp_path, **dict([without.split("=")]))
    assert run(python, "-c", code, cwd=tmp_path) == "True\n"
    try:
        install(python, [without_library])
        script = f"import warnings; warnings.simplefilter('error'); {code}"
        with pytest.raises(AssertionError, match="installed without a C compiler"):
            run(python, "-c", script, cwd=tmp_path)
        run(python, "-m", "pip", "uninstall", "-q", "-y", VIEWS, cwd=tmp_path)
        install(python, [wheels[VIEWS]])
        assert run(python, "-c", script, cwd=tmp_path) == "False\n"
    finally:
        run(python, "-m", "pip", "uninstall", "-q", "-y", VIEWS, cwd=tmp_path)
