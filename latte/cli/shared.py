"""Arguments, options and shell completion that commands share, and support for torchrun."""

from __future__ import annotations

import glob
import logging
import os
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from latte.api.plugins import PluginOption as PluginOption
from latte.distributed import EndedElsewhere, start_of
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean, suggestion
from latte.interfaces.measurements import UsedModel
from latte.io.hub import hub_name
from latte.new.methods import NAMES
from latte.recipe.shipped import (
    SUFFIXES,
    is_part,
    refuse_absent_file,
    shipped_names,
    shipped_path,
)
from latte.registry.discovery import discover_plugins
from latte.registry.spec import KINDS, Kind
from latte.report.output import echo, naming
from latte.report.terminal import in_lines

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}
_FOR_SEVERAL = ("run", "describe")
"""Commands that several processes of torchrun may execute together."""


class SuggestingGroup(TyperGroup):
    """Group of commands, such as `latte recipes`, that suggests a name for a misspelt one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that `args[0]` names. Raises `LatteError` for an unknown name."""
        if self.get_command(ctx, args[0]) is None:
            near, group = did_you_mean(args[0], self.list_commands(ctx)), ctx.command_path
            what = args[0] if group == "latte" else f"{group} {args[0]}"
            hint = f"{near} All commands: {group} --help".strip()
            raise LatteError(f'there is no command "{what}"', hint=hint)
        return super().resolve_command(ctx, args)


def command_group(
    name: str, summary: str = "", cls: type[SuggestingGroup] = SuggestingGroup
) -> typer.Typer:
    """Return an empty group of commands; `latte NAME` without a command prints the help."""
    group = typer.Typer(
        name=name,
        cls=cls,
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


def chosen_recipe(path: Path | None) -> Path | None:
    """Return `path`, or the path of a shipped recipe with this name if `path` is no file."""
    shipped = None if path is None or path.is_file() else shipped_path(path.as_posix())
    if shipped is None:
        return path
    echo(f"recipe: {shipped}, which comes with latte", err=True)
    return shipped


def require_recipe(path: Path) -> None:
    """Raise `LatteError` if there is no recipe `path`."""
    with naming("RECIPE"):
        refuse_absent_file(path)


def require_run(path: Path) -> None:
    """Raise `LatteError` if `path` is not a run folder."""
    from latte.results.run import open_run

    with naming("RUN"):
        open_run(path)


def require_model(path: Path) -> None:
    """Raise `LatteError` unless `path` is a run folder, a folder with a classifier, or of the hub.

    Of a name of the hub, only its form is checked.
    """
    from latte.models.classifier_folder import is_classifier_folder

    with naming("RUN"):
        is_on_hub = hub_name(path) is not None
    if not is_on_hub and not is_classifier_folder(path):
        require_run(path)


_MOST_ENTRIES = 1000
"""Largest number of files and folders that shell completion reads in one folder."""


def complete_from(choices: Collection[str]) -> Callable[[str], list[str]]:
    """Return a function that completes a word to one of `choices`."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def complete_component(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a component; its kind is the preceding argument."""
    return complete_from(_component_names(context.params.get("kind")))(incomplete)


def complete_kind(incomplete: str) -> list[str]:
    """Complete a kind of component, or the name of a component."""
    return complete_from([*KINDS, *_component_names()])(incomplete)


def _component_names(kind: str | None = None) -> list[str]:
    """Return the names of the components of a kind, or of all kinds if `kind` is None."""
    try:
        specs = [spec for plugin in discover_plugins() for spec in plugin.specs]
    except LatteError:
        return []
    return sorted({spec.name for spec in specs if kind in (None, spec.kind)})


def complete_recipe(incomplete: str) -> list[str]:
    """Complete a YAML file in this folder or its sub-folders, or the name of a shipped recipe."""
    files = _below(incomplete, lambda path: path.suffix in SUFFIXES and path.is_file())
    return [*files, *complete_shipped_recipe(incomplete)]


def complete_shipped_recipe(incomplete: str) -> list[str]:
    """Complete the name of a recipe that comes with latte."""
    return complete_from([name for name in shipped_names() if not is_part(name)])(incomplete)


def complete_run(incomplete: str) -> list[str]:
    """Complete the path of a run folder, such as `runs/demo-bd63cee5`."""
    return _below(incomplete, lambda path: (path / "recipe.yaml").is_file())


def complete_model(incomplete: str) -> list[str]:
    """Complete the path of a run folder, or of a folder with a classifier."""
    names = ("recipe.yaml", "classifier.json")
    return _below(incomplete, lambda path: any((path / name).is_file() for name in names))


def _below(incomplete: str, is_match: Callable[[Path], bool]) -> list[str]:
    """Return the paths that begin with `incomplete`, and the entries of those that are folders.

    Only paths for which `is_match` returns True are returned.
    """

    def matching(pattern: str) -> list[str]:
        return [*islice(glob.iglob(pattern), _MOST_ENTRIES)]  # noqa: PTH207 - keeps `./`

    paths = matching(f"{glob.escape(incomplete)}*")
    inner = (matching(f"{glob.escape(path)}/*") for path in paths)
    return sorted(path for path in chain(paths, *inner) if is_match(Path(path)))


_RECIPE = typer.Argument(
    help="The recipe: a YAML file, or the name of one that comes with latte.",
    callback=chosen_recipe,
    autocompletion=complete_recipe,
)
RecipeArgument = Annotated[Path, _RECIPE]
OptionalRecipeArgument = Annotated[Path | None, _RECIPE]
RunArgument = Annotated[
    Path, typer.Argument(help="A run folder, as `latte run` named it.", autocompletion=complete_run)
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Text file with one class name per line, or the names: cat,dog. "
        "Default: the names of the sub-folders, or else of the folders of labelled images.",
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        help=f"One of: {', '.join(NAMES)}; auto chooses a method without training.",
        autocompletion=complete_from(NAMES),
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        metavar="CLIP",
        help="NAME:PRETRAINED of open_clip, plugin:NAME, local-dir:FOLDER or hf-hub:REPO. "
        "plugin:tiny is a tiny CLIP that needs no download, only to try latte.",
    ),
]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder",
        metavar="NAME",
        help="Image-only model beside the CLIP, as NAME or NAME:MODEL, such as dinov2-small or "
        "timm:FOLDER; may be repeated. All names: latte components encoder",
    ),
]
RunsOption = Annotated[
    Path, typer.Option("--runs", metavar="DIR", help="Folder of recipe and results.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change a value, as in train.batch_size=64; may be repeated.",
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=2, help="Use at most this many training and test images: a quick look."),
]
UseOption = Annotated[
    UsedModel | None,
    typer.Option(
        help="Use this model, even if the run's guard chose another one. Default: the model that "
        "the run uses.",
        show_default=False,
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Overwrite a file of any kind; default: only a result.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
VerboseOption = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Print everything at length, and keep what was done."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_line(line: str) -> None:
    """Print a line on standard error, wrapped at spaces; for commands without a display."""
    echo(in_lines(line), err=True)


def number_of_names(names: Sequence[str]) -> str:
    """Return the number of class names with the first three and the last, as in `3 (a, b, c)`."""
    shown = [*names[:3], *(["…"] if len(names) > 4 else []), *names[3:][-1:]]
    return f"{len(names):,} ({', '.join(shown)})"


def known_kind(kind: str) -> Kind:
    """Return `kind` if it is a kind of component, else raise `LatteError` with a suggestion."""
    if kind in KINDS:
        return kind
    hint = suggestion(kind, KINDS, "All kinds")
    raise LatteError(f'there is no kind of component called "{kind}"', hint=hint)


def refuse_several_processes(command: str) -> None:
    """Raise `LatteError` if torchrun started several processes of a command that needs only one."""
    if command not in _FOR_SEVERAL:
        shared_commands = ", ".join(_FOR_SEVERAL)
        hint = f"start it without torchrun; commands for several processes: {shared_commands}"
        refuse_under_torchrun(f"`latte {command}`", hint)


def refuse_under_torchrun(what: str, hint: str) -> None:
    """Raise `LatteError` with `hint` if torchrun started several processes.

    `what` is the command or option that needs only one process. Only the main process prints the
    error; the others exit silently with the same code.
    """
    start = start_of(os.environ)
    if start is None:
        return
    error = LatteError(
        f"{what} is for one process, and torchrun started {start.world_size}", hint=hint
    )
    if start.rank:
        raise typer.Exit(error.exit_code)
    raise error


@contextmanager
def together() -> Iterator[bool]:
    """Connect the processes that torchrun started, for the `with` block.

    Yields True in the main process, and False in all others.
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
