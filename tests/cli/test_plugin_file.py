"""`--plugin FILE` loads components of one file; a wrong file ends the command at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from latte_author.kit.write import example_module
from latte_author.testing import TinyRuns
from latte_author.testing.tiny_runs import DATASET, SQUARES

from latte.cli.main import run_command_line
from latte.registry.registry import load_registry
from latte.results.folder import RunFolder
from latte.results.run import Run

pytestmark = pytest.mark.thorough

LOSS = '''
from latte.api import Loss, NoOptions

class WideMarginLoss(Loss[NoOptions]):
    """One minus the cosine."""

    def __call__(self, image_features, supervision, logit_scale):
        return FACTOR * (1 - (image_features * supervision.need_targets()).sum(dim=1)).mean()

class _HelperLoss(WideMarginLoss):
    pass
'''.replace("FACTOR", "1.0")
RECIPE = """\
descriptions: [class]
labels: [frozen]
prototypes: momentum
loss: wide-margin
train: {batch_size: 4, max_epochs: 1}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_loss.py"
    path.write_text(LOSS)
    return path


def test_a_class_is_a_component_with_its_own_name(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["components", "loss", "wide-margin", "--plugin", "my_loss.py"]) == 0
    shown = capsys.readouterr()
    assert "One minus the cosine." in shown.out
    assert "(my_loss.py/wide-margin)" in shown.out
    assert "defined  my_loss:WideMarginLoss" in shown.out
    assert shown.err == "my_loss.py has loss wide-margin\n"


def test_the_file_is_loaded_for_one_command(file: Path) -> None:
    assert run_command_line(["components", "wide-margin", "--plugin", str(file)]) == 0
    assert run_command_line(["components", "wide-margin"]) == 2
    assert load_registry().plugin_file is None
    assert "my_loss" not in sys.modules
    assert not (file.parent / "__pycache__").exists()


def test_a_file_may_declare_its_components_like_a_package(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = """
from latte.api import ComponentSpec, hookimpl

@hookimpl
def latte_components():
    return [ComponentSpec("loss", "wide", "my_loss:WideMarginLoss", "declared", api_version=2)]
"""
    file.write_text(LOSS + hook)
    assert run_command_line(["components", "loss", "--plugin", "my_loss.py"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "my_loss.py has loss wide\n"


def without_loss() -> str:
    return LOSS.replace("Loss[NoOptions]", "object")


@pytest.mark.parametrize(
    ("name", "text", "place", "reason"),
    [
        ("gone.py", None, "--plugin gone.py", "there is no such file"),
        ("my-loss.py", LOSS, "--plugin my-loss.py", "has the name of a Python module"),
        ("loss.txt", LOSS, "--plugin loss.txt", "has the name of a Python module"),
        ("mine.py", "\n1 / 0", "mine.py:2", "ZeroDivisionError: division by zero"),
        ("mine.py", "def f(:", "mine.py:1", "SyntaxError: invalid syntax"),
        ("mine.py", "raise SystemExit(3)", "mine.py:1", "SystemExit: 3"),
        ("mine.py", "import torch", "mine.py", "it defines no component"),
        ("mine.py", without_loss(), "mine.py", "it defines no component"),
        ("json.py", LOSS, "json.py", 'there is an installed module called "json"'),
        ("sys.py", LOSS, "sys.py", 'there is an installed module called "sys"'),
        ("latte_tiny.py", LOSS, "latte_tiny.py", 'an installed module called "latte_tiny"'),
        (
            "mine.py",
            LOSS.replace("WideMargin", "Contrastive"),
            "mine.py",
            'latte-clip 0.1.0 has a loss called "contrastive"',
        ),
    ],
)
def test_a_wrong_file_is_an_error_with_place_and_fix(
    name: str,
    text: str | None,
    place: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    assert run_command_line(["run", "no-recipe.yaml", "--plugin", name]) == 2
    error, fix = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {place}: ")
    assert reason in error
    assert fix.strip()
    assert [path.name for path in tmp_path.iterdir()] == ([name] if text else [])
    assert load_registry().plugin_file is None


@pytest.mark.parametrize("command", ["run", "check", "describe", "components", "field"])
def test_each_command_that_uses_recipes_takes_a_file(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line([command, "anything", "--plugin", "gone.py"]) == 2
    assert "--plugin gone.py: there is no such file" in capsys.readouterr().err


def test_a_bug_in_the_file_names_the_file(latte_runs: TinyRuns) -> None:
    (latte_runs.folder / "my_loss.py").write_text(LOSS.replace("1.0", "unknown"))
    (latte_runs.folder / "recipe.yaml").write_text(recipe_of(latte_runs))
    outcome = latte_runs.latte("run", "recipe.yaml", "--plugin", "my_loss.py")
    assert outcome.code == 1
    assert "NameError: name 'unknown' is not defined" in outcome.err
    assert outcome.err.endswith("this is a bug in my_loss.py; the lines above show where.\n")


def recipe_of(runs: TinyRuns) -> str:
    return SQUARES + RECIPE + "output: runs\n"


def test_a_run_records_the_file_and_is_resumed_with_it(latte_runs: TinyRuns) -> None:
    file = latte_runs.folder / "my_loss.py"
    file.write_text(LOSS)
    (latte_runs.folder / "recipe.yaml").write_text(recipe_of(latte_runs))
    outcome = latte_runs.latte("run", "recipe.yaml", "--plugin", "my_loss.py")
    assert outcome.code == 0, outcome.err
    (folder,) = (latte_runs.folder / "runs").iterdir()
    run = Run(RunFolder(folder))
    assert run.record.source.plugin == str(file)
    digest = run.record.environment["plugins"]["my_loss.py"]
    assert len(digest) == 8
    assert run.repeat_command().endswith(f"--plugin {file}")

    saved = str(folder / "recipe.yaml")
    without = latte_runs.latte("run", saved)
    assert without.code == 2
    assert "--plugin my_loss.py" in without.err
    repeated = latte_runs.latte("run", saved, "--plugin", "my_loss.py")
    assert "train: reused" in repeated.err
    file.write_text(LOSS.replace("1.0", "2.0"))
    changed = latte_runs.latte("run", saved, "--plugin", "my_loss.py")
    assert changed.code == 0, changed.err
    assert "train: the code of my_loss.py has changed, so it is done again" in changed.err
    code = json.loads((folder / "results.json").read_bytes())["stages"]["train"]["code"]
    assert code["my_loss.py"] != digest


def test_a_recipe_cannot_name_a_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file.parent / "recipe.yaml").write_text(
        RECIPE.replace("wide-margin", "my_loss.py/wide-margin")
    )
    assert run_command_line(["check", "recipe.yaml"]) == 2
    assert 'no loss named "my_loss.py/wide-margin" is installed' in capsys.readouterr().err
    assert "my_loss" not in sys.modules


def test_a_command_on_a_run_names_the_file_of_its_backbone(latte_runs: TinyRuns) -> None:
    file = latte_runs.folder / "my_clip.py"
    file.write_text(example_module("backbone", "MineLoader"))
    recipe = DATASET + RECIPE.replace("wide-margin", "contrastive") + "output: runs\n"
    (latte_runs.folder / "recipe.yaml").write_text(recipe + "backbone: {use: mine}\n")
    outcome = latte_runs.latte("run", "recipe.yaml", "--plugin", "my_clip.py")
    assert outcome.code == 0, outcome.err
    (folder,) = (latte_runs.folder / "runs").iterdir()
    predicted = latte_runs.latte("predict", str(folder), "images")
    assert predicted.code == 2
    assert 'no backbone named "my_clip.py/mine" is installed' in predicted.err
    assert "It is in the file my_clip.py" in predicted.err
