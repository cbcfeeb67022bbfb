"""`latte adapt` and `latte new` take encoders beside the CLIP, and propose one that is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.new.choices import Choices, choose
from latte.new.encoders import encoder_keys
from latte.new.images import Findings, look_at
from latte.new.models import Machine
from latte.new.writing import recipe_text
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import load_registry
from tests.helpers.guards import installed
from tests.helpers.stub_encoders import write_stub_encoders

pytestmark = pytest.mark.thorough

MACHINE = Machine("cpu", "2 CPU cores, no GPU", 8.0)


@pytest.fixture(autouse=True)
def stub_encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    with installed(write_stub_encoders(tmp_path)):
        yield


@pytest.fixture
def findings(colour_images: Callable[..., Path]) -> Findings:
    return look_at(colour_images(per_class=20), None, None)


def chosen(findings: Findings, *encoders: str, method: str = "auto") -> Choices:
    registry = load_registry()
    keys = encoder_keys(encoders, registry)
    return choose(findings, MACHINE, registry, method, "plugin:tiny", keys)


def recipe_of(findings: Findings, choices: Choices, folder: Path) -> Recipe:
    file = folder / "new.yaml"
    file.write_text(recipe_text(findings, choices, file))
    return load_recipe(file, load_registry())


def test_an_encoder_that_is_here_is_proposed_and_not_used(
    findings: Findings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "a second encoder" not in " ".join(chosen(findings).reasons)
    monkeypatch.setenv("COLOURS_CACHED", "1")
    choices = chosen(findings)
    (line,) = (reason for reason in choices.reasons if "a second encoder" in reason)
    assert line == (
        "a second encoder may help: colours is on this machine (licence CC0-1.0; it encodes the "
        "images in about 2 min more); to use it: --encoder colours"
    )
    assert recipe_of(findings, choices, tmp_path).encoders == ()
    assert "a second encoder" not in " ".join(chosen(findings, method="zero-shot").reasons)


def test_named_encoders_are_in_the_recipe_with_their_package(
    findings: Findings, tmp_path: Path
) -> None:
    choices = chosen(findings, "colours", "stub-encoders/colours")
    recipe = recipe_of(findings, choices, tmp_path)
    assert recipe.encoder_names == ("colours", "colours-2")
    assert "stub-encoders>=0.1,<0.2" in recipe.requires
    (line, _) = (reason for reason in choices.reasons if reason.startswith("encoder: "))
    assert "colours beside the CLIP (licence CC0-1.0; it encodes the images in about 2 min" in line


def test_unusable_encoders_are_refused_with_the_way_on(findings: Findings) -> None:
    with pytest.raises(LatteError, match='no encoder named "colour" is installed') as caught:
        chosen(findings, "colour")
    assert "colours" in str(caught.value.hint)
    with pytest.raises(LatteError, match="the method zero-shot uses no encoder") as caught:
        chosen(findings, "colours", method="zero-shot")
    assert caught.value.hint == "--method self-taught"


def test_adapt_uses_the_encoder_that_the_user_names(
    findings: Findings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(findings.root.parent)
    options = ["--model", "plugin:tiny", "--encoder", "colours", "-q", "--verbose"]
    assert run_command_line(["adapt", str(findings.root), *options]) == 0
    shown = "".join(capsys.readouterr())
    assert "encoder: colours beside the CLIP (licence CC0-1.0" in shown
    assert "The classifier uses colours" in shown or "The classifier does not use colours" in shown


def test_missing_weights_of_an_encoder_are_an_error_of_the_option(
    findings: Findings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(findings.root.parent)
    keys = ({"use": "colours", "breaks": "missing"},)
    monkeypatch.setattr("latte.new.adapting.encoder_keys", lambda names, registry: keys)
    options = ["--model", "plugin:tiny", "--encoder", "colours"]
    assert run_command_line(["adapt", str(findings.root), *options]) == 2
    assert "--encoder: cannot download colours" in capsys.readouterr().err
