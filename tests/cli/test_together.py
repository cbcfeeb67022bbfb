"""Commands under torchrun."""

from __future__ import annotations

import pytest

from latte.cli.main import run_command_line


@pytest.mark.parametrize(("rank", "said"), [("0", 1), ("1", 0)])
def test_a_command_for_one_process_is_refused_once_under_torchrun(
    rank: str, said: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_command_line(["sweep", "birds.yaml"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("`latte sweep` is for one process, and torchrun started 2") == said


@pytest.mark.parametrize(("rank", "said"), [("0", 1), ("1", 0)])
def test_a_shard_is_refused_once_under_torchrun(
    rank: str, said: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run_command_line(["describe", "birds.yaml", "--shard", "1/2"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("--shard is for one process, and torchrun started 2") == said
    assert errors.count("leave --shard out: under torchrun each process takes its share") == said


def test_torchrun_with_one_process_runs_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert run_command_line(["run", "missing.yaml"]) == 2
    assert "missing.yaml" in capsys.readouterr().err
