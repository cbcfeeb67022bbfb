"""Entry point of `latte`: find the commands of latte and plugins, run one, and report errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from latte.cli import errors
from latte.cli.plugin_commands import OpenGroup, loaded_command
from latte.cli.shared import HELP_OPTIONS, refuse_several_processes
from latte.interfaces import LatteError
from latte.io.machine import machine_error
from latte.registry.plugin_file import forgetting_plugin_file
from latte.report.output import echo
from latte.version import __version__

GROUPS: dict[str, tuple[str, ...]] = {
    "Your images": ("adapt:adapt", "review:review", "predict:predict", "finished:export"),
    "Recipes and runs": (
        "recipes:new",
        "recipes:check",
        "recipes:recipes",
        "run:run",
        "describe:describe",
        "finished:report",
        "finished:evaluate",
    ),
    "Plugins and machine": ("components:components", "plugins:plugins", "doctor:doctor"),
}
"""Commands under the headings of the help, each as `module:name` in the package `latte.cli`.

A module is imported when its command is called or listed, so slow imports are inside functions."""

COMMANDS: dict[str, str] = {
    command.partition(":")[2]: f"latte.cli.{command}"
    for commands in GROUPS.values()
    for command in commands
}

STARTS_AGAIN = frozenset(("predict", "export", "report", "evaluate"))
"""Commands that start from the beginning after an interruption, because no partial work is kept."""


class CommandGroup(OpenGroup):
    """Group of all commands: latte's own ones in `COMMANDS`, and the commands of plugins."""

    def prefix(self) -> str:
        """Return an empty text: the commands of no group have names of one word."""
        return ""

    def core_commands(self) -> tuple[str, ...]:
        """Return the names of latte's own commands."""
        return tuple(COMMANDS)

    def core_command(self, ctx: Any, name: str) -> Any:
        """Import and return latte's own command called `name`."""
        return loaded_command(name, COMMANDS[name])

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options; the help of --show-completion is shortened to one line."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.name == "show_completion":
                param.help = "Show completion for the current shell, to copy it."
        return params

    def format_core_commands(self, ctx: Any, formatter: Any) -> None:
        """List latte's own commands in groups."""
        for title, commands in GROUPS.items():
            names = tuple(command.partition(":")[2] for command in commands)
            self.write_commands(ctx, formatter, title, names)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args[0]` names. Raises `LatteError` for an unknown name."""
        command = super().resolve_command(ctx, args)
        refuse_several_processes(args[0])
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the command; at Ctrl-C, raise `typer.Abort` from the `KeyboardInterrupt`.

        Typer alone would drop the notes of the `KeyboardInterrupt`, which say where the command
        would continue.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            raise typer.Abort from stopped


app: typer.Typer = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings=HELP_OPTIONS,
)


def _print_version(is_set: bool) -> None:
    if is_set:
        echo(f"latte {__version__}")
        raise typer.Exit


@app.callback()
def latte(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show latte's version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Adapt CLIP to your own unlabelled images."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


def main() -> None:
    """Run `latte` with the arguments of this process, and exit with its exit code."""
    errors.open_standard_streams()
    code = run_command_line(sys.argv[1:])
    errors.discard_unwritten_output()
    sys.exit(code)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run `latte ARGUMENTS`; return the exit code. Errors are printed, not raised."""
    with (
        forgetting_plugin_file(),
        errors.ended_by_signals() as received,
        errors.warnings_shown(),
    ):
        stopped: BaseException | None = None
        try:
            code = _run_command_line(arguments)
        except (KeyboardInterrupt, typer.Abort) as error:
            code, stopped = errors.INTERRUPTED, error
        if code != errors.INTERRUPTED:
            return code
        continues = not STARTS_AGAIN.intersection(arguments[:1])
        return errors.print_stopped(received, stopped, continues=continues)


def _run_command_line(arguments: Sequence[str]) -> int:
    try:
        errors.refuse_removed_folder()
        if "" in arguments:  # as a path it would be the current folder
            what = f"argument {list(arguments).index('') + 1} is empty"
            hint = "is a variable of the shell not set? The current folder is `.`"
            raise LatteError(what, where="latte", hint=hint)
        command = typer.main.get_command(app)
        result = command.main(list(arguments), prog_name="latte", standalone_mode=False)
        sys.stdout.flush()
    except LatteError as error:
        errors.print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        errors.print_error(_usage_error(error))
        return error.exit_code
    except typer.Abort:
        raise
    except BrokenPipeError:
        return errors.BROKEN_PIPE
    except Exception as error:
        machine_fault = machine_error(error)
        if machine_fault is None:
            errors.print_unexpected(error)
            return errors.UNEXPECTED
        errors.print_error(machine_fault)
        return machine_fault.exit_code
    return result if isinstance(result, int) else 0


_LONGEST_USAGE_ERROR = 300
"""Number of characters of a usage error that are printed; it quotes all superfluous arguments."""


def _usage_error(error: typer.TyperException) -> LatteError:
    """Return the error for a wrong option or argument; its hint names the most similar options."""
    path = getattr(getattr(error, "ctx", None), "command_path", "latte")
    possible: Sequence[str] = getattr(error, "possibilities", None) or ()
    what = error.message if possible else error.format_message()
    what = what.replace(": Value error, ", ": ")  # by pydantic, for a choice that does not exist
    if len(what) > _LONGEST_USAGE_ERROR:  # such as all files that the shell found for *.jpg
        what = f"{what[:_LONGEST_USAGE_ERROR]} ..."
    suggestion = f"Did you mean {' or '.join(possible)}? " if possible else ""
    return LatteError(what, hint=f"{suggestion}All options: {path} --help")
