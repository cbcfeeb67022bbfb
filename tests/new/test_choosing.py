"""`latte choose` ranks models on unlabelled images."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.run.comparing import MeasuredModel
from latte.run.workspace import Workspace

pytestmark = pytest.mark.thorough

Images = Callable[..., Path]


@pytest.fixture
def photos(colour_images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = colour_images(per_class=6)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    return root


def test_models_are_ranked_and_the_next_run_encodes_nothing(
    photos: Path,
    tiny_clip_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("names, sorted.txt").write_text("\n".join(sorted(one.name for one in photos.iterdir())))
    before = {path.name for path in tmp_path.iterdir()}
    local = f"local-dir:{tiny_clip_folder}"
    command = ["choose", str(photos), "--classes", "names, sorted.txt"]
    assert run_command_line([*command, "--models", f"plugin:tiny, {local}", "--quiet"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == before | {"cache"}
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines()[:-1])) <= 80
    for words in ("plugin:tiny", "score", "ms/image", "licence", "0."):
        assert words in said
    best = said.splitlines()[-1]
    name = best.removeprefix("best score: ").partition(";")[0]
    assert name in ("plugin:tiny", local)
    assert f"next: latte adapt {photos} --classes 'names, sorted.txt' --model {name}" in best

    def fail(*arguments: object) -> None:
        raise AssertionError("images are encoded again")

    monkeypatch.setattr("latte.run.zero_shot.encode_cached_images", fail)
    adapt = ["adapt", str(photos), "--classes", "names, sorted.txt", "--quiet"]
    for model in ("plugin:tiny", local):
        assert run_command_line([*adapt, "--model", model, "--output", f"run-{model[:5]}"]) == 0


@pytest.mark.parametrize(
    ("models", "named"),
    [("plugin:tiny,plugin:tny", 'mean "tiny"'), ("plugin:tiny,ViT-B32:openai", "ViT-B-32")],
)
def test_wrong_model_is_refused_before_any_is_loaded(
    models: str,
    named: str,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("latte.run.comparing.measure_model", None)
    assert run_command_line(["choose", str(photos), "--models", models]) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert "--models: " in said.err
    assert said.out == ""


def test_one_model_at_a_time_is_in_memory(
    photos: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[object]] = []
    alive: list[int] = []

    def measure(workspace: Workspace) -> MeasuredModel:
        loaded.append(weakref.ref(workspace.context.frozen_clip()))
        alive.append(sum(one() is not None for one in loaded))
        return MeasuredModel(0.5, None, 0.1, None)

    monkeypatch.setattr("latte.run.comparing.measure_model", measure)
    models = f"plugin:tiny,local-dir:{tiny_clip_folder}"
    assert run_command_line(["choose", str(photos), "--models", models, "--quiet"]) == 0
    assert alive == [1, 1]


def test_no_model_is_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["choose", str(photos), "--models", ", "]) == 2
    assert "--models" in capsys.readouterr().err
