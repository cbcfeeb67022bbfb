"""The command `latte`: errors, exit codes, help."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated

import pytest
import typer

from latte import __version__
from latte.cli import plugin_commands
from latte.cli.main import COMMANDS, GROUPS, run_command_line
from latte.interfaces import LatteError, RecipeErrors

MAIN = "from latte.cli.main import main; main()"


def mistaken() -> None:
    """Raise an error of the user."""
    raise LatteError("no such thing", where="recipe.yaml:3 loss.use", hint="Try another [thing].")


def mistaken_twice() -> None:
    raise RecipeErrors(
        [LatteError("first", where="a.yaml:1"), LatteError("second", hint="repair it")]
    )


def interrupted() -> None:
    raise KeyboardInterrupt


def interrupted_with_notes() -> None:
    inner = KeyboardInterrupt()
    inner.add_note("training continues after step 3 of 7")
    inner.add_note("only control plain was interrupted")
    raise KeyboardInterrupt from inner


def buggy() -> None:
    raise ZeroDivisionError("a slip")


def badly_plugged() -> None:
    error = ZeroDivisionError("a slip")
    error.add_note("In plugin latte-foo 1.0.")
    raise error


def warned() -> None:
    logging.getLogger("latte.somewhere").warning("look at this")


def finished_with_three(threshold: Annotated[int, typer.Option()] = 3) -> None:
    raise typer.Exit(threshold)


@pytest.fixture
def latte(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `latte` here with the functions above as commands; returns code, stdout, stderr."""
    for function in (
        mistaken,
        mistaken_twice,
        interrupted,
        interrupted_with_notes,
        buggy,
        badly_plugged,
        warned,
        finished_with_three,
    ):
        monkeypatch.setitem(COMMANDS, function.__name__, f"{__name__}:{function.__name__}")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = run_command_line(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Latte = Callable[..., tuple[int, str, str]]


def test_version(latte: Latte) -> None:
    assert latte("--version") == (0, f"latte {__version__}\n", "")


def test_a_latte_error_prints_place_and_hint_without_traceback(latte: Latte) -> None:
    code, out, err = latte("mistaken")
    assert (code, out) == (2, "")
    assert err == "error: recipe.yaml:3 loss.use: no such thing\n  Try another [thing].\n"


def test_every_mistake_of_a_recipe_is_printed(latte: Latte) -> None:
    code, _, err = latte("mistaken_twice")
    assert code == 2
    assert err == "error: a.yaml:1: first\nerror: second\n  repair it\n2 errors\n"


def test_control_c_prints_one_line_and_exits_with_130(latte: Latte) -> None:
    code, out, err = latte("interrupted")
    assert (code, out) == (130, "")
    assert err.startswith("Interrupted.")
    assert err.count("\n") == 1


def test_notes_of_an_interruption_are_printed_in_its_line(latte: Latte) -> None:
    code, out, err = latte("interrupted_with_notes")
    assert (code, out) == (130, "")
    assert err == (
        "Interrupted. Start the same command again: training continues after step 3 of 7; only "
        "control plain was interrupted.\n"
    )


def test_a_warning_is_shown_once_whatever_logging_is_set_up(
    latte: Latte, caplog: pytest.LogCaptureFixture
) -> None:
    """A library that logs to the root makes Python show all messages there, too."""
    logger = logging.getLogger("latte")
    logging_setup = logger.handlers, logger.propagate
    assert latte("warned") == (0, "", "warning: look at this\n")
    assert caplog.messages == []
    assert (logger.handlers, logger.propagate) == logging_setup


def test_an_unexpected_error_is_reported_as_a_bug_with_traceback(latte: Latte) -> None:
    code, _, err = latte("buggy")
    assert code == 1
    assert "ZeroDivisionError: a slip" in err
    assert "in buggy" in err
    assert "bug in latte" in err.splitlines()[-1]


def test_an_unexpected_error_of_a_plugin_is_reported_as_its_bug(latte: Latte) -> None:
    _, _, err = latte("badly_plugged")
    assert "In plugin latte-foo 1.0." in err
    assert "bug in the plugin latte-foo 1.0;" in err.splitlines()[-1]


def test_a_command_may_choose_its_exit_code(latte: Latte) -> None:
    assert latte("finished_with_three") == (3, "", "")


def test_an_unknown_command_suggests_the_nearest(latte: Latte) -> None:
    code, _, err = latte("component")
    assert code == 2
    assert 'no command "component"' in err
    assert 'Did you mean "components"?' in err


def test_an_unknown_option_suggests_the_nearest(latte: Latte) -> None:
    code, _, err = latte("finished_with_three", "--treshold", "4")
    assert code == 2
    assert "No such option: --treshold" in err
    assert "Did you mean --threshold?" in err
    assert "latte finished_with_three --help" in err


def test_a_value_of_the_wrong_type_names_its_option(latte: Latte) -> None:
    code, _, err = latte("finished_with_three", "--threshold", "many")
    assert code == 2
    assert "Invalid value for '--threshold'" in err
    assert "integer" in err


def test_an_empty_argument_is_not_the_current_folder(latte: Latte) -> None:
    code, _, err = latte("adapt", "", "--classes", "cat,dog")
    assert code == 2
    assert err.startswith(
        "error: latte: argument 2 is empty\n  is a variable of the shell not set?"
    )


def test_a_wrong_choice_lists_all_choices(latte: Latte) -> None:
    code, _, err = latte("predict", "run", "photos", "--format", "json")
    assert code == 2
    assert "Invalid value for '--format': 'json' is not one of 'csv', 'jsonl'" in err


def test_many_superfluous_arguments_are_cut(latte: Latte) -> None:
    code, _, err = latte("adapt", *(f"photos/{number}.jpg" for number in range(300)))
    assert code == 2
    assert "Got unexpected extra argument" in err
    assert len(err) < 400


def test_a_broken_pipe_prints_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", MAIN, "plugins"]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert ended.returncode != 0
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plugins"], ["components"], ["--version"], ["recipes", "--help"]],
)
def test_help_and_lists_import_no_heavy_library(
    arguments: list[str], record_property: Callable[[str, object], None]
) -> None:
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", MAIN, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    record_property("seconds", time.perf_counter() - started)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "latte.cli.main" in imported
    heavy = {"torch", "open_clip", "torchvision", "numpy", "PIL.Image", "safetensors"}
    assert imported.isdisjoint(heavy)


def test_help_lists_every_command_with_a_line_about_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["--help"]) == 0
    shown = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.split()}
    assert all(lines[command] for command in COMMANDS)
    assert all(f"{title}:\n" in shown for title in GROUPS)
    assert run_command_line([]) == 0
    assert capsys.readouterr().out == shown


def test_help_of_the_core_has_at_most_32_lines_of_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(plugin_commands, "plugin_commands", dict)
    assert run_command_line(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 32
    assert max(map(len, lines)) <= 80
    commands = {line.split()[0] for line in lines if line.startswith("  ") and line[2].isalpha()}
    assert {*COMMANDS} <= commands
