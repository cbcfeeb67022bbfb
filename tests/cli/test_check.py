"""`latte check` prints recipes with origins, mistakes and warnings."""

import json
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from tests.helpers.recipes import FIVE_MISTAKES

RECIPE = """\
backbone: {model: ViT-B-32, pretrained: openai}
dataset:
  use: folder
  root: ${PHOTOS:-photos}
  classes: [cat, "no"]
  template: "a photo of a {class}, which rests on something or sits on it."
train: {max_steps: 0}
controls:
  trained:
    train: {max_steps: 5}
    labels: [frozen]
    loss: contrastive
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(RECIPE)
    Path("photos").mkdir()
    for number in range(6):
        Path(f"photos/{number}.jpg").touch()
    return "r.yaml"


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command_line(["check", *arguments]) == 0
    return capsys.readouterr().out


def test_check_prints_every_value_with_its_origin(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = output(capsys, recipe, "--set", "seed=3").splitlines()
    assert lines[:24] == [
        "# r.yaml is valid. With every default, and where each value comes from:",
        "name: r                                       # default",
        "seed: 3                                       # --set",
        "output: runs                                  # default",
        "device: auto                                  # default",
        "deterministic: false                          # default",
        "requires: []                                  # default",
        "budget: null                                  # default",
        "spending: null                                # default",
        "corrections: null                             # default",
        "series:",
        "  near_copies: true                           # default",
        "  seconds: 2.0                                # default",
        "oracle: false                                 # default",
        "backbone:",
        "  use: open_clip                              # default",
        "  model: ViT-B-32                             # line 1",
        "  pretrained: openai                          # line 1",
        "dataset:",
        "  use: folder                                 # line 3",
        "  # line 6",
        '  template: "a photo of a {class}, which rests on something or sits on it."',
        "  texts: null                                 # default",
        "  root: photos                                # line 4 ${PHOTOS}",
    ]
    assert lines[-7:] == [
        "    train:",
        "      max_steps: 5                            # line 10",
        "    labels:",
        "      - use: frozen                           # line 11",
        "    learners:",
        "      - loss:",
        "          use: contrastive                    # line 12",
    ]
    assert max(map(len, lines)) <= 80


def test_check_output_is_the_same_recipe(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    changed = (recipe, "--set", "train.warmup_steps=7")
    Path("again.yaml").write_text(output(capsys, *changed))
    reloaded = json.loads(output(capsys, "again.yaml", "--json"))["recipe"]
    assert reloaded["train"]["warmup_steps"] == 7
    assert reloaded == json.loads(output(capsys, *changed, "--json"))["recipe"]


def test_check_json_has_recipe_and_origins(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(output(capsys, recipe, "--json"))
    assert shown["recipe"]["dataset"]["classes"] == ["cat", "no"]
    assert shown["origins"]["dataset.classes"] == "r.yaml:5"


def test_check_prints_all_mistakes_and_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(FIVE_MISTAKES.replace("latte-clip/", ""))
    assert run_command_line(["check", "r.yaml", "--set", "sed=1"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    for place in (
        "r.yaml:2 dataset.use",
        "r.yaml:5 descriptions.image.promt",
        "r.yaml:10 train.batch_size",
        "r.yaml:11 train.learning_rate",
        "r.yaml:12 train.warmup_steps",
        "--set sed",
    ):
        assert f"{place}: " in printed.err


@pytest.mark.parametrize(
    ("change", "where", "nearest"),
    [
        ("backbone.model=ViT-B32", "--set backbone.model", "ViT-B-32"),
        ("backbone.pretrained=opnai", "--set backbone.pretrained", "openai"),
        ("controls={one: {backbone: {model: ViT-L14}}}", "--set backbone.model", "ViT-L-14"),
        ("controls={one: {backbone: {pretrained: opnai}}}", "--set backbone.pretrained", "openai"),
    ],
)
def test_check_suggests_the_nearest_model_and_weight_tag(
    recipe: str, capsys: pytest.CaptureFixture[str], change: str, where: str, nearest: str
) -> None:
    assert run_command_line(["check", recipe, "--set", change]) == 2
    errors = capsys.readouterr().err
    assert f"error: {where}: " in errors
    assert f"did you mean {nearest}" in errors


def test_check_warns_of_too_few_images_on_this_machine(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["check", recipe]) == 0
    assert "warning" not in capsys.readouterr().err
    Path("photos/5.jpg").unlink()
    assert run_command_line(["check", recipe]) == 0
    assert "warning: 5 images for 2 class names (2.5 per name)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("dataset.root=gone", "dataset.root: no such folder"),
        ("dataset.root=empty", "dataset.root: no images below"),
        ("dataset.classes=names.txt", "names.txt:3: class 'cat' occurs twice"),
        ("dataset.evaluation=labelled", "unknown class 'cot'"),
    ],
)
def test_check_finds_mistakes_in_the_dataset(
    recipe: str, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    Path("empty").mkdir()
    Path("names.txt").write_text("cat\ndog\ncat\n")
    Path("labelled/cot").mkdir(parents=True)
    Path("labelled/cot/1.jpg").touch()
    assert run_command_line(["check", recipe, "--set", setting]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and "valid" not in captured.out


def test_check_reports_mistakes_in_model_and_dataset_together(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = Path(recipe).read_text().replace("openai", "opnai").replace(":-photos", ":-gone")
    Path(recipe).write_text(text)
    assert run_command_line(["check", recipe]) == 2
    errors = capsys.readouterr().err
    assert "r.yaml:1 backbone.pretrained: opnai" in errors
    assert "r.yaml:4 ${PHOTOS} dataset.root: no such folder" in errors


def test_check_needs_the_dataset_of_a_shipped_recipe_only_if_the_user_names_it(
    recipe: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LATTE_DATA", raising=False)
    assert run_command_line(["check", "zero-shot/dtd"]) == 0
    assert run_command_line(["check", "zero-shot/dtd", "--set", "dataset.root=gone"]) == 2
    assert "dataset.root: no such folder" in capsys.readouterr().err
