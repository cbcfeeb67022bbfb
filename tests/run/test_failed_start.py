"""A run that is refused before anything is finished leaves no run folder behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from tests.helpers.whole_runs import run

REFUSED = {
    "dataset": "dataset.root=nowhere",
    "images": "dataset.root=empty",
    "model": "backbone.model=local-dir:nowhere",
    "model name": "backbone.model=ViT-B-33",
    "weights": "backbone={model: ViT-B-32, pretrained: laion_nothing}",
    "tag": "backbone.pretrained=openai",
    "plugin": "backbone.model=plugin:nobody",
    "device": "device=cuda:77",
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_refused_recipe_leaves_no_run_folder(recipe: Path, tmp_path: Path, change: str) -> None:
    (tmp_path / "empty").mkdir()
    arguments = ["run", str(recipe), "--quiet", "--set", change, "--set", "output=new/runs"]
    assert run_command_line(arguments) == 2
    assert not (tmp_path / "new").exists()


def test_existing_output_folder_is_not_removed(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(LatteError):
        run(recipe, "dataset.root=nowhere", output=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_interrupted_start_leaves_no_run_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("latte.run.plan.write_images", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, output=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_folder_with_a_finished_stage_is_not_removed(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LatteError("no")

    with monkeypatch.context() as patched:
        patched.setattr("latte.run.plan.compute_zero_shot", fail)
        with pytest.raises(LatteError, match="no"):
            run(recipe, output=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "results.json").exists()
    (tmp_path / "images").rename(tmp_path / "moved")
    with pytest.raises(LatteError, match="no such folder"):
        run(recipe, output=tmp_path / "runs")
    assert (folder / "results.json").exists()
