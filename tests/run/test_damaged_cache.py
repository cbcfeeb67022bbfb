"""Damaged files of the cache are computed again, and the results stay the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from latte.cli.main import run_command_line
from tests.faults.damage import cut, emptied
from tests.helpers.damage import garbage, gone
from tests.helpers.finished_runs import ExampleRun

pytestmark = pytest.mark.usefixtures("fixed_guard")

KINDS = (
    "features/*/*.safetensors",
    "decoded/*.txt",
    "pixels/*.pixels",
    "descriptions/part-*.jsonl",
)


def of_others(path: Path) -> None:
    """Write a well-formed file with other content."""
    if path.suffix == ".safetensors":
        save_file({"features": torch.ones(1, 16)}, path)
    elif path.suffix == ".jsonl":
        path.write_text('{"schema": 1, "key": "x", "text": "y", "images": 5}\n{"key": []}\n')
    elif path.suffix == ".txt":
        path.write_text("0" * 32 + "\n")
    else:
        path.write_bytes(b"[]" + b"latte\x00\x01\n" + bytes(12))


def assert_same_with_damage(
    damage: Callable[[Path], None], kinds: Sequence[str], run: ExampleRun, tmp_path: Path
) -> None:
    """Compare a run with a damaged cache to the run that filled it."""
    cache = shutil.copytree(run.cache, tmp_path / "cache")
    for kind in kinds:
        files = sorted(cache.glob(kind))
        assert files, f"no {kind} in the cache"
        for path in files:
            damage(path)
    output = tmp_path / "again"
    arguments = ["run", str(run.recipe), "--quiet", "--set", f"output={output}"]
    assert run_command_line(arguments) == 0
    (folder,) = output.iterdir()
    for name in ("zero_shot.safetensors", "descriptions.jsonl", "predictions.csv", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (run.folder / name).read_bytes(), name
    shutil.rmtree(output)
    shutil.rmtree(cache)


def test_garbage_in_every_cached_file_is_computed_again(
    finished_run: ExampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    assert_same_with_damage(garbage, KINDS, finished_run, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, emptied, garbage, of_others, gone])
@pytest.mark.parametrize("kind", KINDS)
def test_every_damaged_cached_file_is_computed_again(
    kind: str,
    damage: Callable[[Path], None],
    finished_run: ExampleRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    assert_same_with_damage(damage, [kind], finished_run, tmp_path)
