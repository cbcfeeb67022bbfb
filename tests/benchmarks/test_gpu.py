"""The benchmark of a GPU runs its parts apart, goes on after a failure, and skips what is done."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, gpu_parts
from benchmarks.__main__ import main
from benchmarks.gpu_parts import PARTS, PartPlace

pytestmark = pytest.mark.thorough

SMALL = ["describe float32", "step bf16", "waits"]


def test_without_a_gpu_the_error_names_the_way_to_try_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as caught:
        main(["gpu", "--out", str(tmp_path / "none")])
    assert caught.value.code == 2
    assert "torch finds no GPU" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_finished_parts_are_skipped_and_failed_parts_are_run_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    parts = {"no such part": PARTS["waits"], "step bf16": PARTS["step bf16"]}
    monkeypatch.setattr(gpu, "PARTS", parts)
    arguments = ["gpu", "--device", "cpu", "--out", str(tmp_path)]
    main(arguments)
    first_output = capsys.readouterr().out
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["machine"]["torch"] == torch.__version__
    assert record["parts"]["step bf16"]["figures"]["images per second"] > 0
    assert record["parts"]["no such part"].keys() == {"error"}
    assert "invalid choice: 'no such part'" in (tmp_path / "no-such-part.log").read_text()
    assert "FAILED" in first_output
    run_again: list[str] = []
    monkeypatch.setattr(gpu, "_run", lambda name, place, log: run_again.append(name))
    main(arguments)
    assert run_again == ["no such part"]
    repeated = json.loads((tmp_path / "gpu.json").read_text())
    assert repeated["parts"] == record["parts"]


def test_part_that_takes_too_long_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(gpu, "SECONDS", 0.1)
    result = gpu._result("step bf16", PartPlace("cpu", tmp_path))
    assert result == {"error": "took more than 0.1 s"}


@pytest.mark.parametrize(
    "name",
    [
        *SMALL,
        *(pytest.param(name, marks=pytest.mark.slow) for name in sorted({*PARTS} - {*SMALL})),
    ],
)
def test_every_part_runs_on_a_cpu(name: str, tmp_path: Path) -> None:
    assert PARTS[name](PartPlace("cpu", tmp_path))


def test_waits_of_a_gpu_are_counted_by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)

    def work() -> None:
        for message in ("called a synchronizing CUDA operation", "something else") * 2:
            warnings.warn(message, stacklevel=1)

    assert gpu_parts.waits_of(work, "cuda") == {"no line of latte": 2}
    assert modes == ["warn", "default"]


def test_runs_with_other_prototypes_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = iter([{"weights": torch.zeros(2, 3)}, {"weights": torch.full((2, 3), 1e-7)}])
    monkeypatch.setattr(gpu_parts, "load_file", lambda path: next(runs))
    monkeypatch.setattr(gpu_parts, "_run", lambda *arguments: gpu_parts.RunFolder(tmp_path))
    with pytest.raises(gpu_parts.LatteError, match=r"differ by up to 1.0e-07"):
        PARTS["same bits twice"](PartPlace("cpu", tmp_path))
