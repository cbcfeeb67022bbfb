"""Faulty values and exceptions of a plugin's components are reported as faults of its package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.broken_plugin import write_broken_plugin
from tests.helpers.command_line import Latte
from tests.helpers.guards import installed

pytestmark = pytest.mark.thorough

SETTINGS = {
    "labeler": "labels=[{{use: broken, fault: {fault}}}]",
    "prototypes": "prototypes={{use: broken, fault: {fault}}}",
    "loss": "loss={{use: broken, fault: {fault}}}",
    "describer": "describer={{use: broken, fault: {fault}}}",
    "gate": "gates=[{{use: broken, fault: {fault}}}]",
    "augmentation": "augmentation={{use: broken, fault: {fault}}}",
    "encoder": "encoders=[{{use: broken, fault: {fault}}}]",
}
FAULTS = {
    "labeler": (
        "matrix float int32 meta too-large late negative list short weights-nan weights-long "
        "weights-large weights-int weights-meta weights-none scale-nan scale-text soft-width "
        "bare tensors none-list"
    ),
    "prototypes": (
        "no-supervision targets-width targets-rows targets-nan targets-double targets-int "
        "targets-meta rows-width other-stream classifier-none classifier-nan classifier-width "
        "classifier-double classifier-owners classifier-class classifier-meta classifier-bias"
    ),
    "loss": "vector nan constant int float none long meta",
    "describer": "too-few none nones bytes one-text generator dict surrogates-alone",
    "gate": "too-few none bools",
    "augmentation": "float size none image meta",
    "encoder": "rows vector nan length zero width double int none meta numpy no-model",
}
CASES = [(kind, fault) for kind, faults in FAULTS.items() for fault in faults.split()]
POSTERIORS = ("vector", "rows", "class", "nan", "pair")


@pytest.fixture(scope="module", autouse=True)
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(write_broken_plugin(tmp_path_factory.mktemp("broken"))):
        yield


def fails(latte: Latte, recipe: Path, *settings: str, code: int = 2) -> str:
    """Run the recipe with settings that make it fail; return what it printed to stderr."""
    overrides = [part for setting in settings for part in ("--set", setting)]
    return latte("run", recipe, *overrides, code=code).err


@pytest.mark.parametrize(("kind", "fault"), CASES)
def test_faulty_value_is_a_fault_of_the_plugin(
    recipe: Path, latte: Latte, kind: str, fault: str
) -> None:
    err = fails(latte, recipe, SETTINGS[kind].format(fault=fault))
    assert f"error: {kind} broken of latte-broken 0.1.0: " in err
    assert "bug in latte" not in err and "Traceback" not in err


@pytest.mark.parametrize("fault", POSTERIORS)
def test_faulty_posterior_is_a_fault_of_the_plugin(recipe: Path, latte: Latte, fault: str) -> None:
    labeler = SETTINGS["labeler"].format(fault=f"posterior-{fault}")
    err = fails(latte, recipe, labeler, "train.max_steps=0", "prototypes=from-labeler")
    assert "error: labeler broken of latte-broken 0.1.0: its posterior cannot be used: " in err
    assert "report it to the authors of latte-broken" in err


def test_corrected_labels_are_checked_before_the_correction(recipe: Path, latte: Latte) -> None:
    folder, table = recipe.parent / "images", recipe.parent / "labels.csv"
    first_image, *_, last_image = sorted(path.relative_to(folder) for path in folder.rglob("*.jpg"))
    table.write_text(f"image,class\n{first_image.as_posix()},red\n{last_image.as_posix()},blue\n")
    labeler = SETTINGS["labeler"].format(fault="matrix")
    err = fails(latte, recipe, labeler, f"corrections={table}")
    assert "error: labeler broken of latte-broken 0.1.0: its labels cannot be used: " in err


def test_lone_surrogates_are_left_out_of_texts(recipe: Path, latte: Latte) -> None:
    latte("run", recipe, "--set", SETTINGS["describer"].format(fault="surrogates"))


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS if kind != "describer"])
def test_exception_in_a_component_is_a_bug_of_the_plugin(
    recipe: Path, latte: Latte, kind: str
) -> None:
    err = fails(latte, recipe, SETTINGS[kind].format(fault="raises"), code=1)
    assert "Traceback" in err and "KeyError: 'slip'" in err
    assert "error: this is a bug in the plugin latte-broken 0.1.0; please report it" in err


def test_exception_in_a_describer_names_the_plugin_and_its_line(recipe: Path, latte: Latte) -> None:
    err = fails(latte, recipe, SETTINGS["describer"].format(fault="raises"))
    assert "error: describer broken of latte-broken 0.1.0: " in err
    assert "KeyError: 'slip' (latte_broken.py:" in err
