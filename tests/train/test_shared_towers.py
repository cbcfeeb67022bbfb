"""Several processes, started by torchrun, train as one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from latte.train.loop import train
from tests.helpers.joint_trainings import TRAININGS, training
from tests.helpers.recorded import RecordedProgress, write_colour_images
from tests.helpers.training_runs import assert_same_bits, outcome

pytestmark = pytest.mark.slow
TOLERANCE = 1e-5


def torchrun(folder: Path, count: int) -> Path:
    """Run every training in `count` processes; the results are in `folder`/`count`."""
    module = "tests.helpers.joint_trainings"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [
            *command,
            "--nproc-per-node",
            str(count),
            "-m",
            module,
            str(folder),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_clip_folder: Path) -> Path:
    """Folder with images and a CLIP."""
    path = tmp_path_factory.mktemp("together")
    write_colour_images(path / "images", ("red", "green", "blue"), 5, (40, 36))
    (path / "clip").symlink_to(tiny_clip_folder)
    return path


@pytest.fixture(
    scope="module",
    params=[pytest.param(2, marks=pytest.mark.processes), 4],
    ids="{} processes".format,
)
def together(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Folder with the results of every training by several processes."""
    return torchrun(folder, request.param) / str(request.param)


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Results of every training by one process."""
    return {name: trained(folder, name, f"1/{name}") for name in TRAININGS}


def trained(folder: Path, name: str, run: str) -> dict[str, Tensor]:
    done = training(folder, name, run)
    train(done, RecordedProgress())
    return {key: value.clone() for key, value in outcome(done).items()}


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_close(
    tensors: dict[str, Tensor], expected: dict[str, Tensor], exact: bool = False
) -> None:
    """Compare tensors; Adam amplifies rounding errors of small gradients."""
    for name, value in expected.items():
        tolerance = TOLERANCE if exact or name.endswith("prototypes") else 20 * TOLERANCE
        difference = float((tensors[name] - value).abs().max())
        assert difference <= tolerance, name


def assert_same_rows(log: Path, expected: Path) -> None:
    log_rows, expected_rows = rows(log), rows(expected)
    assert len(log_rows) == len(expected_rows)
    for row, expected_row in zip(log_rows, expected_rows, strict=True):
        assert row.pop("event") == expected_row.pop("event")
        assert row == pytest.approx(expected_row, abs=TOLERANCE, rel=TOLERANCE)


@pytest.mark.parametrize("name", TRAININGS)
def test_several_processes_equal_one_process(
    folder: Path, together: Path, alone: dict[str, dict[str, Tensor]], name: str
) -> None:
    assert_same_rows(together / name, folder / "1" / name)
    tensors = load_file(together / name / "of-0.safetensors")
    assert_close(tensors, alone[name], exact=name in ("sgd", "clipped"))


@pytest.mark.parametrize("name", TRAININGS)
def test_all_processes_end_with_identical_bits(together: Path, name: str) -> None:
    first_tensors, *other_tensors = [
        load_file(path) for path in sorted((together / name).glob("of-*"))
    ]
    assert len(other_tensors) == int(together.name) - 1
    for process_tensors in other_tensors:
        assert_same_bits(process_tensors, first_tensors)


def test_same_number_of_processes_gives_identical_bits(together: Path) -> None:
    runs = [
        load_file(together / name / "of-0.safetensors") for name in ("latteclip", "latteclip-again")
    ]
    assert_same_bits(*runs)
    assert rows(together / "latteclip") == rows(together / "latteclip-again")


def test_resume_of_several_processes_gives_identical_bits(together: Path) -> None:
    runs = [load_file(together / name / "of-1.safetensors") for name in ("latteclip", "stopped")]
    assert_same_bits(*runs)
    assert rows(together / "latteclip") == rows(together / "stopped")


def test_one_process_resumes_a_run_of_several(
    folder: Path, together: Path, alone: dict[str, dict[str, Tensor]]
) -> None:
    run = together / "stopped-for-one"
    assert len(rows(run)) < len(rows(folder / "1/latteclip"))
    tensors = trained(folder, "latteclip", str(run.relative_to(folder)))
    assert_close(tensors, alone["latteclip"])
    assert_same_rows(run, folder / "1/latteclip")
