"""Runs that Python code prepares from recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
from latte_author.testing.tiny_runs import results

from latte.api import LatteError, RecipeErrors
from latte.api.runs import open_run, prepare_run
from tests.helpers.recorded import RecordedProgress
from tests.helpers.whole_runs import run


def test_prepared_run_is_the_run_of_the_command_line(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared = prepare_run(recipe, ["seed=3", "output=prepared"], limit=5)
    assert not prepared.is_finished
    assert [image.id for image in prepared.training_images()]
    run_results = prepared.start(RecordedProgress())
    assert run_results.folder == prepared.folder
    assert prepared.is_finished
    assert (prepared.seed, open_run(prepared.folder).record.source.limit) == (3, 5)
    folder, _, _ = run(recipe, "seed=3", limit=5)
    assert results(folder) == results(prepared.folder)


def test_mistakes_and_missing_images_are_errors_before_the_run(recipe: Path) -> None:
    with pytest.raises(RecipeErrors, match="--set trian: "):
        prepare_run(recipe, ["trian=1"])
    with pytest.raises(LatteError, match=r"(?s)nowhere\.yaml.*there is no such file"):
        prepare_run("nowhere.yaml")
    missing = prepare_run(recipe, ["dataset.root=nowhere"])
    with pytest.raises(LatteError, match="no such folder"):
        missing.training_images()
