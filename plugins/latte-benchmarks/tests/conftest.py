from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from benchmark_server import Server, serving
from latte_author.testing import TinyRuns
from latte_benchmarks.commands import datasets
from latte_benchmarks.field import field
from latte_benchmarks.research import compare, reproduce, sweep
from typer.testing import CliRunner

from latte.api import LatteError


@dataclass(frozen=True)
class Said:
    """Output of a command; the message of an error is in `err`."""

    out: str
    err: str


Call = Callable[..., Said]
"""Runs `latte ARGUMENTS` in this process."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, whatever proxies the environment names."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving({}) as running:
        yield running


@pytest.fixture
def latte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `latte ARGUMENTS` in `tmp_path`; fails the test unless it ends with `code`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    app = typer.Typer(add_completion=False)
    for command in (compare, sweep, reproduce, field):
        app.command()(command)
    app.add_typer(datasets)

    def run(*arguments: str | Path, code: int = 0) -> Said:
        ended = CliRunner().invoke(app, [*map(str, arguments)])
        if isinstance(ended.exception, LatteError):
            assert code == ended.exception.exit_code
            return Said(ended.stdout, f"{ended.stderr}error: {ended.exception}")
        assert ended.exit_code == code, ended.output
        return Said(ended.stdout, ended.stderr)

    return run


SQUARES = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
backbone: {model: "local-dir:clip"}
describer: phrases
descriptions: [class, image, {use: group, size: 2}]
labels: [current, frozen]
prototypes: {use: momentum, momentum: 0.9}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 2
  checkpoint_every: 2
  optimizer: {learning_rate: 1.0e-3}
"""


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    """Images and a CLIP for recipes of this module's tests."""
    return TinyRuns(tmp_path_factory.mktemp("squares") / "runs")


@pytest.fixture
def squares(tiny_runs: TinyRuns) -> Path:
    """A recipe beside its images and its CLIP; runs of earlier tests are removed."""
    shutil.rmtree(tiny_runs.folder / "runs", ignore_errors=True)
    for recipe in tiny_runs.folder.glob("*.yaml"):
        recipe.unlink()
    path = tiny_runs.folder / "squares.yaml"
    path.write_text(SQUARES, encoding="utf-8")
    return path


@pytest.fixture
def tiny(tiny_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `latte ARGUMENTS` in the folder of `squares`, as on the command line."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str | Path, code: int = 0) -> Said:
        printed = tiny_runs.latte(*map(str, arguments))
        assert printed.code == code, printed.out + printed.err
        return Said(printed.out, printed.err)

    return run
