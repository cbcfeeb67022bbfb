"""Commands of commands, such as `latte descriptions ls`: an unknown one is answered."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latte.cli.errors import (
    BROKEN_PIPE,
    INTERRUPTED,
    TERMINATED,
    UNEXPECTED,
    ended_by_sigterm,
    fault_of_the_machine,
    print_error,
    print_interrupted,
    print_terminated,
    print_unexpected,
    silence_broken_pipe,
    warnings_shown,
)
from latte.cli.output import echo
from latte.cli.torchrun import refuse_several_processes
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.registry.discovery import discover_plugins, import_target, one_line
from latte.registry.plugin import Plugin
from latte.registry.spec import CommandSpec
from latte.version import __version__


class SubcommandGroup(TyperGroup):
    """Answers an unknown command with the nearest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begins with. Raises `LatteError` for an unknown one."""
        if args[0] not in self.commands:
            suggestion = did_you_mean(args[0], self.commands)
            hint = f"{suggestion} All commands: {ctx.command_path} --help".strip()
            raise LatteError(f'there is no command "{ctx.command_path} {args[0]}"', hint=hint)
        return super().resolve_command(ctx, args)


# Commands that plugins add: found when somebody asks for one, or for the help.


def plugin_commands(own: Collection[str]) -> Mapping[str, CommandSpec]:
    """By name, without those that latte itself has; a broken plugin adds none.

    Where plugins cannot even be listed, the help still works: the command itself says why.
    """
    try:
        declared = _declared()
    except LatteError:
        return {}
    return {name: found[0][1] for name, found in declared.items() if name not in own}


def the_command(name: str) -> CommandSpec:
    """The command of a plugin. Raises `LatteError` if several plugins claim its name."""
    found = _declared()[name]
    if len(found) > 1:
        packages = " and ".join(plugin.package for plugin, _ in found)
        hint = f"switch one off: latte plugins disable {found[-1][0].distribution}"
        raise LatteError(f'"latte {name}" is provided by {packages}', hint=hint)
    return found[0][1]


def provider(name: str) -> str:
    """The package that provides the command, for messages."""
    return _declared()[name][0][0].package


@cache
def _declared() -> Mapping[str, list[tuple[Plugin, CommandSpec]]]:
    found: dict[str, list[tuple[Plugin, CommandSpec]]] = {}
    for plugin in discover_plugins():
        for command in plugin.commands:
            found.setdefault(command.name, []).append((plugin, command))
    return found


# The command `latte`: its commands, and how it ends.


COMMANDS = {
    name: f"latte.cli.{name}:{name}"
    for name in (
        "adapt",
        "new",
        "run",
        "check",
        "describe",
        "descriptions",
        "evaluate",
        "predict",
        "export",
        "report",
        "sweep",
        "compare",
        "reproduce",
        "diagnose",
        "recipes",
        "schema",
        "datasets",
        "components",
        "plugins",
        "doctor",
    )
}
"""Each command's function, or Typer of further commands, imported only when it is called or listed:
a command that fails to import takes no other command with it."""


class CommandGroup(TyperGroup):
    """Finds commands in `COMMANDS`, then among those of plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the help."""
        return [*COMMANDS, *plugin_commands(COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command called `cmd_name`, or None."""
        if cmd_name in COMMANDS:
            return _command(cmd_name, COMMANDS[cmd_name])
        if cmd_name not in plugin_commands(COMMANDS):
            return None
        return _of_a_plugin(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands with the whole first sentence of their help, not cut to a line."""
        helps = {
            name: self.get_command(ctx, name).get_short_help_str(limit=160) for name in COMMANDS
        }
        with formatter.section("Commands"):
            formatter.write_dl(list(helps.items()))
        added = {name: one.summary for name, one in plugin_commands(COMMANDS).items()}
        if added:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(list(added.items()))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begins with. Raises `LatteError` for an unknown one."""
        if args[0] not in COMMANDS and args[0] not in self.list_commands(ctx):
            suggestion = did_you_mean(args[0], self.list_commands(ctx))
            hint = f"{suggestion} All commands: latte --help".strip()
            raise LatteError(f'there is no command "{args[0]}"', hint=hint)
        refuse_several_processes(args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _of_a_plugin(name: str) -> Any:
    """What a plugin's module raises while it is imported is that plugin's fault, and said so."""
    spec = the_command(name)
    try:
        return _command(name, spec.target)
    except Exception as error:
        raise LatteError(
            f'"latte {name}" of {provider(name)} cannot be used: {one_line(error)}',
            hint="the fault is in that package: upgrade it, or tell its authors",
        ) from error


@functools.cache
def _command(name: str, where: str) -> Any:
    target = import_target(where)
    if isinstance(target, typer.Typer):
        return typer.main.get_command(target)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(target)
    return typer.main.get_command(single)


def _print_version(wanted: bool) -> None:
    if wanted:
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
    """Adapt CLIP to your own unlabelled images, with texts as the only teacher."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run_command_line(sys.argv[1:]))


def run_command_line(arguments: Sequence[str]) -> int:
    """Run `latte ARGUMENTS`; returns the exit code and raises nothing that people should see."""
    with ended_by_sigterm() as signals, warnings_shown():
        code = _run_command_line(arguments)
    if code != INTERRUPTED:
        return code
    if signals:
        print_terminated()
        return TERMINATED
    print_interrupted()
    return code


def _run_command_line(arguments: Sequence[str]) -> int:
    try:
        command = typer.main.get_command(app)
        result = command.main(list(arguments), prog_name="latte", standalone_mode=False)
        sys.stdout.flush()
    except LatteError as error:
        print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        print_error(_usage_error(error))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        silence_broken_pipe()
        return BROKEN_PIPE
    except Exception as error:
        fault = fault_of_the_machine(error)
        if fault is None:
            print_unexpected(error)
            return UNEXPECTED
        print_error(fault)
        return fault.exit_code
    return result if isinstance(result, int) else 0


def _usage_error(error: typer.TyperException) -> LatteError:
    """A mistake in options or arguments, with the nearest right option and the help to read."""
    path = getattr(getattr(error, "ctx", None), "command_path", "latte")
    possible: Sequence[str] = getattr(error, "possibilities", None) or ()
    what = error.message if possible else error.format_message()
    suggestion = f"Did you mean {' or '.join(possible)}? " if possible else ""
    return LatteError(what, hint=f"{suggestion}All options: {path} --help")
