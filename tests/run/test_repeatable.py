"""`deterministic: true`: torch's switches, the run's identity, and unsupported operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from latte.components.latteclip import CurrentLabeler
from latte.interfaces import LatteError
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.identity import run_hash
from latte.run.process import deterministic
from tests.helpers.whole_runs import assert_same_results, run

pytestmark = pytest.mark.thorough

QUICK = ("train.max_epochs=1",)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")


def switches() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


def test_deterministic_switches_are_restored_after_the_block() -> None:
    earlier_switches = switches()
    with deterministic(True):
        assert switches() == (True, True, False)
    assert switches() == earlier_switches
    with deterministic(False):
        assert switches() == earlier_switches
    with pytest.raises(ValueError, match="mine"), deterministic(True):
        raise ValueError("mine")
    assert switches() == earlier_switches


def test_cublas_workspace_is_set_unless_the_user_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    with deterministic(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    with deterministic(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_missing_deterministic_implementation_is_an_error() -> None:
    missing = "put_ does not have a deterministic implementation, but you set"
    with pytest.raises(LatteError, match="take `deterministic: true` out"), deterministic(True):
        raise RuntimeError(missing)
    with pytest.raises(RuntimeError, match="another"), deterministic(True):
        raise RuntimeError("another")


def test_a_deterministic_run_is_another_run_and_the_others_keep_their_names(recipe: Path) -> None:
    def hashed(*changes: str) -> str:
        return run_hash(load_recipe(recipe, load_registry(), changes), None)

    assert hashed("deterministic=false") == hashed()
    assert hashed("deterministic=true") != hashed()
    resolved = {**load_recipe(recipe, load_registry()).resolved}
    assert resolved["deterministic"] is False


def test_the_whole_run_is_deterministic_and_takes_no_features_of_one_that_is_not(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _, _ = run(recipe, *QUICK, output=tmp_path / "plain")
    seen: list[bool] = []
    assign = CurrentLabeler.assign

    def watched(*arguments: Any) -> Any:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return assign(*arguments)

    monkeypatch.setattr(CurrentLabeler, "assign", watched)
    exact, _, progress = run(recipe, *QUICK, "deterministic=true", output=tmp_path / "exact")
    assert seen
    assert all(seen)
    assert not [line for line in progress.lines if "reused from the cache" in line]
    assert not torch.are_deterministic_algorithms_enabled()
    assert_same_results(exact, plain)
