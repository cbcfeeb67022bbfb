"""`latte recipes`: those that come with latte, to look at, to run by name, and to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.main import SubcommandGroup
from latte.cli.output import echo
from latte.interfaces import LatteError

if TYPE_CHECKING:
    from latte.recipe.shipped import Entry

recipes = typer.Typer(
    name="recipes",
    cls=SubcommandGroup,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NameArgument = Annotated[str, typer.Argument(help="A recipe's name, as in `flyp/sun397`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@recipes.callback()
def overview(context: typer.Context) -> None:
    """List, show and copy the recipes that come with latte; each runs by its name."""
    if context.invoked_subcommand is None:
        echo(context.get_help())


@recipes.command("ls")
def list_(
    all_: Annotated[
        bool, typer.Option("--all", help="Also list what recipes are made of, to be extended.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the recipes by folder, with what each is for."""
    from dataclasses import asdict

    from latte.cli.output import print_json
    from latte.recipe.shipped import entries

    found = entries(parts=all_)
    if json:
        print_json([asdict(entry) for entry in found])
    else:
        _print_groups(found)


@recipes.command()
def show(
    name: NameArgument,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Complete, with what it extends and every default.")
    ] = False,
) -> None:
    """Print a recipe as it is written, or complete."""
    from latte.recipe.shipped import find

    path = find(name)
    if not resolved:
        echo(path.read_text(encoding="utf-8"), nl=False)
        return

    from latte.recipe.dump import dump_yaml
    from latte.recipe.load import load_recipe
    from latte.recipe.shipped import is_part
    from latte.registry.registry import load_registry

    if is_part(name):
        raise LatteError(
            f'"{name}" is a part of recipes, and not whole itself',
            hint="Show what extends it, as in: latte recipes show sun397 --resolved",
        )
    echo(dump_yaml(load_recipe(path, load_registry()).resolved), nl=False)


@recipes.command()
def copy(
    name: NameArgument,
    target: Annotated[
        Path | None,
        typer.Argument(help="A file, or a folder to put it into.  [default: NAME.yaml, here]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the target.")] = False,
) -> None:
    """Copy a recipe to change it; what it extends stays with latte, where it is found by name."""
    from latte.io.files import write_text
    from latte.recipe.shipped import find

    source = find(name)
    file = _target(name, target)
    if file.exists() and not force:
        raise LatteError(
            "is there already", where=str(file), hint="Name another file, or overwrite: --force"
        )
    try:
        write_text(file, source.read_text(encoding="utf-8"))
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(file)) from error
    echo(f"wrote {file}; look at it complete: latte check {file}")


def _target(name: str, target: Path | None) -> Path:
    own = f"{name.replace('/', '-')}.yaml"
    if target is None:
        return Path(own)
    return target / own if target.is_dir() else target


def _print_groups(found: list[Entry]) -> None:
    from rich.text import Text

    from latte.cli.output import plain_table, results

    console = results()
    for group in dict.fromkeys(entry.group for entry in found):
        console.print(Text(group, style="bold"))
        table = plain_table("", "")
        table.show_header = False
        for entry in found:
            if entry.group == group:
                table.add_row(Text(f"  {entry.name}"), Text(entry.summary))
        console.print(table)
        console.print()
    echo("Run one by its name: latte run demo. Read it: latte recipes show demo.")
    echo("What they extend is listed too with --all.")
