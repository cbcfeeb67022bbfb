"""Arguments and options that several commands share, and helpers for use under torchrun."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latte.cli import completion
from latte.cli.output import echo
from latte.distributed import EndedElsewhere, start_of
from latte.interfaces import LatteError, RecipeErrors
from latte.interfaces.errors import did_you_mean, suggestion
from latte.new import METHODS
from latte.registry.spec import KINDS, Kind

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
_FOR_SEVERAL = ("run", "describe")
"""Commands that several processes of torchrun may execute together."""


class SubcommandGroup(TyperGroup):
    """Group of commands, such as `latte descriptions`, that suggests the nearest name."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` begins with. Raises `LatteError` for an unknown one."""
        if args[0] not in self.commands:
            raise unknown_command(args[0], self.commands, ctx.command_path)
        return super().resolve_command(ctx, args)


def unknown_command(name: str, names: Iterable[str], group: str) -> LatteError:
    """Return the error for a command that `group`, such as `latte plugins`, does not have."""
    what = name if group == "latte" else f"{group} {name}"
    hint = f"{did_you_mean(name, names)} All commands: {group} --help".strip()
    return LatteError(f'there is no command "{what}"', hint=hint)


def command_group(name: str, summary: str = "") -> typer.Typer:
    """Return an empty group of commands; `latte NAME` without a command prints the help."""
    group = typer.Typer(
        name=name,
        cls=SubcommandGroup,
        invoke_without_command=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings=HELP_OPTIONS,
    )

    @group.callback(help=summary)
    def overview(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            echo(context.get_help())

    return group


@contextmanager
def naming(argument: str) -> Iterator[None]:
    """Put the name of an argument, such as `RUN`, before the location in a `LatteError`."""
    try:
        yield
    except RecipeErrors:
        raise
    except LatteError as error:
        where = f"{argument} {error.where}" if error.where else argument
        raise LatteError(error.what, where=where, hint=error.hint) from error


def chosen_recipe(path: Path) -> Path:
    """Return the shipped recipe named `path` if it exists and `path` is no file, else `path`."""
    from latte.recipe.shipped import shipped_path

    shipped = None if path.is_file() else shipped_path(path.as_posix())
    if shipped is None:
        return path
    echo(f"recipe: {shipped}, which comes with latte", err=True)
    return shipped


def chosen_recipes(paths: list[Path]) -> list[Path]:
    """Apply `chosen_recipe` to each path."""
    return [chosen_recipe(path) for path in paths]


def require_recipe(path: Path) -> None:
    """Raise `LatteError` if there is no recipe `path`."""
    from latte.recipe.load import refuse_absent_file

    with naming("RECIPE"):
        refuse_absent_file(path)


def require_run(path: Path) -> None:
    """Raise `LatteError` if `path` is not a run folder."""
    from latte.results.finished import open_run

    with naming("RUN"):
        open_run(path)


def require_runs(paths: list[Path]) -> None:
    """Raise `LatteError` if there is no run folder in `paths`."""
    from latte.results.summary import run_folders

    with naming("RUN"):
        run_folders(paths)


RecipeArgument = Annotated[
    Path,
    typer.Argument(
        help="The recipe: a YAML file, or the name of one that comes with latte.",
        callback=chosen_recipe,
        autocompletion=completion.recipes,
    ),
]
RunArgument = Annotated[
    Path,
    typer.Argument(help="A run folder, as `latte run` named it.", autocompletion=completion.runs),
]
RunsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run folders, or folders of them, such as runs/.",
        autocompletion=completion.runs,
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        help=f"One of: {', '.join(METHODS)}; auto is the safe default.",
        autocompletion=completion.one_of(METHODS),
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLIP",
        help="NAME:PRETRAINED of open_clip, plugin:NAME, local-dir:FOLDER or hf-hub:REPO. "
        "plugin:tiny is a tiny CLIP that needs no download.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change a value, as in train.batch_size=64; may be repeated.",
    ),
]
SeedsOption = Annotated[
    str | None,
    typer.Option(metavar="0,1,2", help="Seeds; default: the one in each recipe."),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="List the runs and which of them exist; run nothing.")
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=2, help="Use at most this many training and test images: a quick look."),
]
CandidateOption = Annotated[
    bool,
    typer.Option(
        "--candidate", help="Use the adapted model even if the run's guard did not fully accept it."
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Overwrite a file of any kind; default: only a result.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def known_kind(kind: str) -> Kind:
    """Return `kind` if it is a kind of component, else raise `LatteError` with a suggestion."""
    if kind in KINDS:
        return kind
    hint = suggestion(kind, KINDS, "All kinds")
    raise LatteError(f'there is no kind of component called "{kind}"', hint=hint)


def refuse_several_processes(command: str) -> None:
    """Raise an error if torchrun started several processes of a command that is made for one.

    The main process raises `LatteError`; the others end silently with the same exit code.
    """
    start = start_of(os.environ)
    if start is None or command in _FOR_SEVERAL:
        return
    error = LatteError(
        f"`latte {command}` is for one process, and torchrun started {start.world_size}",
        hint="start it without torchrun; commands for several processes: "
        f"{', '.join(_FOR_SEVERAL)}",
    )
    if start.rank:
        raise typer.Exit(error.exit_code)
    raise error


@contextmanager
def together() -> Iterator[bool]:
    """Connect the processes that torchrun started; yield True in the main process, else False.

    Processes that get False print neither results nor warnings. Without torchrun, yield True.
    """
    start = start_of(os.environ)
    if start is None:
        yield True
        return
    if start.rank:
        logging.getLogger("latte").handlers = [logging.NullHandler()]
        warnings.simplefilter("ignore")
    from latte.distributed.joining import joined

    try:
        with joined(start):
            yield start.rank == 0
    except EndedElsewhere as error:
        raise typer.Exit(error.exit_code) from None
