"""`latte sweep`: its plan, failing runs, and Ctrl-C."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from latte_benchmarks.sweep import plan_sweep

from conftest import Call
from latte.api import LatteError, RecipeErrors
from latte.api.runs import PreparedRun

pytestmark = pytest.mark.thorough

SWEEP = ("--seeds", "0,1", "--set", "prototypes.momentum=0.5,0.9")


def tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("squares")]


def momentum(run: PreparedRun) -> float:
    value = run.values["learners"][0]["prototypes"]["momentum"]
    assert isinstance(value, float)
    return value


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """Record seed and momentum of each started run in place of running it."""
    started: list[tuple[int, float]] = []

    def start(run: PreparedRun, *_: Any) -> None:
        started.append((run.seed, momentum(run)))

    monkeypatch.setattr(PreparedRun, "start", start)
    return started


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, BaseException], None]:
    """Let runs with a chosen seed raise an exception."""
    real = PreparedRun.start

    def choose(seed: int, error: BaseException) -> None:
        def start(run: PreparedRun, *arguments: Any) -> Any:
            if run.seed == seed:
                raise error
            return real(run, *arguments)

        monkeypatch.setattr(PreparedRun, "start", start)

    return choose


def test_a_sweep_runs_every_combination_and_compares_them(squares: Path, tiny: Call) -> None:
    printed = tiny("sweep", "squares.yaml", *SWEEP)
    runs = squares.parent / "runs"
    assert len(list(runs.iterdir())) == 4
    assert "4 runs\n" in printed.err
    assert "[4/4] squares prototypes.momentum=0.9 seed=1" in printed.err
    assert printed.out.startswith("folder, 6 images\n")
    lines = printed.out.splitlines()
    assert [line.split()[1] for line in tables(printed.out)] == ["2", "2"]
    assert [line.strip() for line in lines if line.startswith("  momentum=")] == [
        "momentum=0.5",
        "momentum=0.9",
    ]
    assert printed.out == tiny("compare", "runs").out

    times = {path: path.stat().st_mtime_ns for path in runs.rglob("prototypes.*")}
    resumed = tiny("sweep", "squares.yaml", *SWEEP, "--quiet")
    assert resumed.out == printed.out
    assert "4 runs, 4 of them finished before and reused" in resumed.err
    assert times == {path: path.stat().st_mtime_ns for path in runs.rglob("prototypes.*")}

    planned = tiny("sweep", "squares.yaml", *SWEEP, "--seeds", "1,2", "--dry-run").out.splitlines()
    assert [line.split()[0] for line in planned] == ["finished", "to", "finished", "to"]


def test_sweep_releases_the_models_of_each_run(squares: Path, tiny: Call) -> None:
    def models() -> int:
        return sum(type(value).__name__ == "OpenClipBackbone" for value in gc.get_objects())

    living_models = models()
    gc.disable()  # it would release models at some later time
    try:
        tiny("sweep", "squares.yaml", "--seeds", "0,1", "--quiet")
        assert models() <= living_models
    finally:
        gc.enable()


def test_runs_go_by_recipe_then_values_then_seed(
    squares: Path, latte: Call, ran: list[tuple[int, float]]
) -> None:
    weaker_momentum = squares.with_name("other.yaml")
    weaker_momentum.write_text(squares.read_text().replace("momentum: 0.9", "momentum: 0.1"))
    latte(
        "sweep", squares, weaker_momentum, "--seeds", "1,0", "--set", "train.max_epochs=1,2", "-q"
    )
    assert ran == [(1, 0.9), (0, 0.9)] * 2 + [(1, 0.1), (0, 0.1)] * 2


def test_without_seeds_each_recipe_keeps_its_own(
    squares: Path, latte: Call, ran: list[tuple[int, float]]
) -> None:
    squares.write_text(squares.read_text() + "seed: 7\n")
    latte("sweep", squares, "--set", "prototypes.momentum=0.5,0.9", "--quiet")
    assert ran == [(7, 0.5), (7, 0.9)]


def test_the_same_run_is_planned_once(squares: Path) -> None:
    settings = ["prototypes.momentum=0.9,0.90", "device=cpu,auto"]
    planned = plan_sweep([squares, squares], settings, [0, 0])
    assert [run.overrides for run in planned] == [
        ("prototypes.momentum=0.9", "device=cpu", "seed=0")
    ]


def test_the_limit_reaches_every_run_and_their_seeds_are_averaged(
    squares: Path, tiny: Call
) -> None:
    printed = tiny("sweep", "squares.yaml", "--seeds", "0,1", "--limit", "5", "--quiet")
    assert "kept apart, never averaged" not in " ".join(printed.out.split())
    assert [line.split()[1] for line in tables(printed.out)] == ["2"]


def test_a_dry_run_lists_and_does_nothing(squares: Path, latte: Call) -> None:
    printed = latte("sweep", squares, *SWEEP, "--dry-run")
    lines = printed.out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("to do     runs/squares-")
    assert lines[0].endswith("  prototypes.momentum=0.5 seed=0")
    assert not Path("runs").exists()


def test_every_mistake_is_reported_before_anything_runs(
    squares: Path, latte: Call, ran: list[tuple[int, float]]
) -> None:
    bad = squares.with_name("bad.yaml")
    bad.write_text(squares.read_text().replace("loss: contrastive", "loss: contrastiv"))
    settings = ("--set", "prototypes.momentum=0.5,1.5,2.5", "--set", "trian=1")
    printed = latte("sweep", squares, bad, "absent.yaml", *settings, code=2)
    for words in (
        "squares.yaml: --set prototypes.momentum: ",
        "1.5",
        "2.5",
        "squares.yaml: --set trian: ",
        "bad.yaml: --set trian: ",
        'Did you mean "contrastive"',
        "absent.yaml: there is no such file",
    ):
        assert words in printed.err
    assert printed.err.count('contrastiv"') == 1
    assert ran == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "0,x"), '"x" is not a seed'),
        (("--set", "seed=1,2", "--seeds", "3"), "the seed is given here and by --seeds"),
        (("--set", "train.max_epochs=1,"), "a value in this list is empty"),
        (("--set", "a=1", "--set", "a=2"), "is given twice"),
    ],
)
def test_mistakes_of_the_command_line(
    arguments: tuple[str, ...], words: str, squares: Path, latte: Call
) -> None:
    assert words in latte("sweep", squares, *arguments, code=2).err


def test_a_failed_run_is_named_and_the_others_go_on(
    squares: Path, tiny: Call, failing: Callable[[int, BaseException], None]
) -> None:
    failing(0, LatteError("the disk is full", hint="make room"))
    printed = tiny("sweep", squares, "--seeds", "0,1", "--set", "name=squares", "-q", code=1)
    assert [line.split()[1] for line in tables(printed.out)] == ["1"]
    assert "1 of 2 runs failed" in printed.err
    assert "  the disk is full\n    make room\n" in printed.err
    assert f"  alone: latte run {squares} --set name=squares --set seed=0" in printed.err


@pytest.mark.parametrize(
    ("error", "words"),
    [(ZeroDivisionError("a slip"), "ZeroDivisionError: a slip"), (MemoryError(), "MemoryError")],
)
def test_an_unexpected_error_stops_no_sweep_either(
    error: Exception,
    words: str,
    squares: Path,
    latte: Call,
    failing: Callable[[int, BaseException], None],
) -> None:
    failing(0, error)
    printed = latte("sweep", squares, "--seeds", "0", "--quiet", code=1)
    assert "1 of 1 runs failed" in printed.err
    assert words in printed.err
    assert printed.out == ""


def test_the_command_of_a_run_can_be_pasted(squares: Path) -> None:
    (run,) = plan_sweep([squares], ['dataset.template="a {class}, it\'s small"'], [3], 4)
    assert shlex.split(run.command) == [
        "latte",
        "run",
        str(squares),
        "--set",
        'dataset.template="a {class}, it\'s small"',
        "--set",
        "seed=3",
        "--limit",
        "4",
    ]


def test_control_c_stops_the_sweep_and_says_how_to_go_on(
    squares: Path, tiny: Call, failing: Callable[[int, BaseException], None]
) -> None:
    failing(1, KeyboardInterrupt())
    options = ("--seeds", "0,1,2", "--set", "train.max_epochs=1")
    printed = tiny("sweep", "squares.yaml", *options, code=130)
    assert "stopped after 1 of 3 runs; the same command continues" in printed.err
    assert len(list((squares.parent / "runs").iterdir())) == 1


def test_a_damaged_run_folder_is_not_finished(squares: Path, tiny: Call) -> None:
    (planned,) = plan_sweep([squares], ["output=runs"], [0])
    folder = squares.parent / "runs" / planned.folder.name
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{")
    printed = tiny("sweep", "squares.yaml", "--seeds", "0,1", "--quiet", code=1)
    assert "2 runs\n" in printed.err
    assert "results.json: this file is damaged" in printed.err
    assert [line.split()[1] for line in tables(printed.out)] == ["1"]


def test_errors_of_one_recipe_keep_their_place(squares: Path) -> None:
    with pytest.raises(RecipeErrors) as caught:
        plan_sweep([squares], ["trian=1,2"], [0, 1])
    assert [error.where for error in caught.value.errors] == ["--set trian"]


@pytest.fixture
def two_methods(squares: Path) -> tuple[Path, Path]:
    """A recipe with prototypes that have a momentum, and a recipe without."""
    zero_shot = squares.with_name("zero-shot.yaml")
    text = squares.read_text().replace("{use: momentum, momentum: 0.9}", "templates")
    zero_shot.write_text(text)
    return squares, zero_shot


def test_key_of_one_method_is_left_out_of_the_others(
    two_methods: tuple[Path, Path], latte: Call
) -> None:
    key = "prototypes.momentum"
    printed = latte("sweep", *two_methods, "--set", f"{key}=0.5,0.7", "--dry-run")
    assert [line.rpartition("  ")[2] for line in printed.out.splitlines()[:2]] == [
        f"{key}=0.5",
        f"{key}=0.7",
    ]
    assert len(printed.out.splitlines()) == 3
    assert f"--set {key} is left out of zero-shot: no such key\n" in printed.err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("momentun=0.5", 'unknown key "momentun"'),
        ("momentum=x", "expected a number"),
    ],
)
def test_mistake_in_the_one_recipe_with_the_key_is_reported(
    two_methods: tuple[Path, Path], latte: Call, setting: str, message: str
) -> None:
    printed = latte("sweep", *two_methods, "--set", f"prototypes.{setting}", code=2)
    assert message in printed.err


@pytest.mark.parametrize("key", ["dataset.classes.9", "dataset.classes.cat", "learners.9.weight"])
def test_item_that_a_list_lacks_is_a_mistake(
    two_methods: tuple[Path, Path], latte: Call, key: str
) -> None:
    printed = latte("sweep", *two_methods, "--set", f"{key}=1", code=2)
    assert f"--set {key}" in printed.err
