"""Entry point of `latte`: find the commands of latte and plugins, run one, and report errors."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from latte.cli import errors
from latte.cli.shared import HELP_OPTIONS, SuggestingGroup, refuse_several_processes
from latte.interfaces import LatteError
from latte.interfaces.errors import error_line
from latte.io.machine import machine_error
from latte.registry import discovery
from latte.registry.spec import CommandSpec, Plugin
from latte.report.output import echo
from latte.version import __version__

GROUPS = {
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

COMMANDS = {
    command.partition(":")[2]: f"latte.cli.{command}"
    for commands in GROUPS.values()
    for command in commands
}

COMMANDS_OF_PLUGINS = dict.fromkeys(
    ("compare", "datasets", "reproduce", "sweep"), "latte-benchmarks"
)
"""Packages of commands that latte's own plugins add, for the error without the plugin."""

STARTS_AGAIN = frozenset(("predict", "export", "report", "evaluate"))
"""Commands that start from the beginning after an interruption, because no partial work is kept."""


class CommandGroup(SuggestingGroup):
    """Group of all commands: latte's own ones in `COMMANDS`, and the commands of plugins."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*COMMANDS, *plugin_commands()]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command called `cmd_name`, or None."""
        if cmd_name in COMMANDS:
            return _command(cmd_name, COMMANDS[cmd_name])
        return _plugin_command(cmd_name) if cmd_name in plugin_commands() else None

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options; the help of --show-completion is shortened to one line."""
        params: list[Any] = super().get_params(ctx)
        for param in params:
            if param.name == "show_completion":
                param.help = "Show completion for the current shell, to copy it."
        return params

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands in groups, with the first sentence of each command's help."""
        groups = {
            title: [
                (name, self.get_command(ctx, name).get_short_help_str(limit=160))
                for name in (command.partition(":")[2] for command in commands)
            ]
            for title, commands in GROUPS.items()
        }
        added = [(name, spec.summary) for name, spec in plugin_commands().items()]
        for title, rows in {**groups, "Commands of plugins": added}.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args[0]` names. Raises `LatteError` for an unknown name."""
        if args[0] in COMMANDS_OF_PLUGINS and args[0] not in plugin_commands():
            raise _missing_plugin(args[0], COMMANDS_OF_PLUGINS[args[0]])
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


@functools.cache
def _command(name: str, target: str) -> Any:
    loaded = discovery.import_target(target)
    if isinstance(loaded, typer.Typer):
        return typer.main.get_command(loaded)
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(loaded)
    return typer.main.get_command(single)


def plugin_commands() -> Mapping[str, CommandSpec]:
    """Return the commands that plugins add, by name. They cannot replace latte's own commands."""
    try:
        declared = _declared_commands()
    except LatteError:  # the help still works; a command that needs the plugins reports the error
        return {}
    return {name: providers[0][1] for name, providers in declared.items() if name not in COMMANDS}


def _missing_plugin(command: str, distribution: str) -> LatteError:
    """Return the error for a command whose plugin is not installed, or is not in use."""
    for plugin in discovery.discover_plugins():
        if plugin.distribution == distribution:
            what = f'"latte {command}" needs {plugin.package}, which is {plugin.status}'
            return LatteError(what, hint=plugin.error)
    what = f'"latte {command}" is a command of the plugin {distribution}, which is not installed'
    return LatteError(what, hint=f"pip install {distribution}")


@functools.cache
def _declared_commands() -> Mapping[str, list[tuple[Plugin, CommandSpec]]]:
    providers: dict[str, list[tuple[Plugin, CommandSpec]]] = {}
    for plugin in discovery.discover_plugins():
        for command in plugin.commands:
            providers.setdefault(command.name, []).append((plugin, command))
    return providers


def _plugin_command(name: str) -> Any:
    providers = _declared_commands()[name]
    (plugin, spec), *rivals = providers
    if rivals:
        packages = " and ".join(provider.package for provider, _ in providers)
        hint = f"switch one off: latte plugins disable {rivals[-1][0].distribution}"
        raise LatteError(f'"latte {name}" is provided by {packages}', hint=hint)
    try:
        return _command(name, spec.target)
    except Exception as error:
        if discovery.is_strict():
            discovery.raise_plugin_error(plugin.package, error)
        raise LatteError(
            f'"latte {name}" of {plugin.package} cannot be used: {error_line(error)}',
            hint="the error is in that package: upgrade it, or report it to its authors\n  "
            + discovery.STRICT_HINT,
        ) from error


app = typer.Typer(
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
    with errors.ended_by_signals() as received, errors.warnings_shown():
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
