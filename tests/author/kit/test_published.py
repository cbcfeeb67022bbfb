"""A new plugin of each kind: its wheel, its tests, and a run that uses it.

They run in an environment with the wheels of latte; third-party packages come from the environment
of these tests.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from latte.registry.spec import KINDS, Kind
from tests.helpers.wheels import CORE, build, environment, install, run, wheel_of

pytestmark = pytest.mark.slow
SEEN = (
    "describer",
    "description",
    "gate",
    "labeler",
    "loss",
    "prototypes",
    "trainable",
    "augmentation",
    "reporter",
)
"""Kinds whose recipe adapts the tiny CLIP to its photos, so that predictions must change."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with latte, latte-tiny and latte-author."""
    interpreter = environment(tmp_path_factory.mktemp("environment"))
    wheels = tmp_path_factory.mktemp("wheels")
    install(interpreter, [wheel_of(name, wheels) for name in (CORE, "latte-tiny", "latte-author")])
    return interpreter


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_is_published_and_used(kind: Kind, python: Path, tmp_path: Path) -> None:
    latte = python.with_name("latte")
    settings = {"LATTE_CACHE": str(python.parents[1] / "cache"), "OMP_NUM_THREADS": "1"}
    name = f"latte-own-{kind}"
    run(latte, "plugins", "new", name, "--kind", kind, cwd=tmp_path)
    if kind == "model":
        run(python, "build_model.py", cwd=tmp_path / name)
    install(python, [build(tmp_path / name, tmp_path)])
    try:
        checked = run(latte, "plugins", "check", name, "--tests", f"{name}/tests", cwd=tmp_path)
        assert "FAILED" not in checked
        assert f"passes the tests in {name}/tests" in checked
        if kind == "gate":
            contract = run(latte, "plugins", "check", name, cwd=tmp_path)
            assert "keeps the GateContract" in contract
            assert "FAILED" not in contract
        if kind == "dataset":
            write_photos(tmp_path / name / "photos")
        recipe = tmp_path / name / "recipe.yaml"
        shown = ("--limit", "30", "--verbose")
        ran = run(latte, "run", recipe, *shown, cwd=tmp_path, **settings)
        assert re.search(r"^adapted ", ran, flags=re.MULTILINE)
        assert "report\t" in ran
        if kind in SEEN:
            assert not re.search(r"^adapted .* 0 \(0 to 0\)$", ran, flags=re.MULTILINE), ran
    finally:
        run(python, "-m", "pip", "uninstall", "-q", "-y", name, cwd=tmp_path)
    assert name not in run(latte, "plugins", cwd=tmp_path)


def write_photos(folder: Path) -> None:
    """Write the photos that the dataset reads."""
    folder.mkdir()
    for number in range(12):
        Image.new("RGB", (40, 40), (20 * number, 80, 90)).save(folder / f"{number}.png")
