"""Arguments and options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.registry.spec import KINDS, Kind


def chosen_recipe(path: Path) -> Path:
    """`path`, or where there is no such file the recipe of that name which comes with latte."""
    from latte.recipe.shipped import shipped_path

    shipped = None if path.is_file() else shipped_path(path.as_posix())
    if shipped is None:
        return path
    echo(f"recipe: {shipped}, which comes with latte", err=True)
    return shipped


def chosen_recipes(paths: list[Path]) -> list[Path]:
    """The same for several."""
    return [chosen_recipe(path) for path in paths]


RecipeArgument = Annotated[
    Path,
    typer.Argument(
        help="The recipe: a YAML file, or the name of one that comes with latte.",
        callback=chosen_recipe,
    ),
]
RunArgument = Annotated[Path, typer.Argument(help="A run folder, as `latte run` named it.")]
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
    typer.Option(min=2, help="Use at most so many training and test images: a quick look."),
]
CandidateOption = Annotated[
    bool,
    typer.Option(
        "--candidate", help="Take what the run adapted and its guard did not take as a whole."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def known_kind(kind: str) -> Kind:
    """`kind`, if there is such a kind of component. Raises `LatteError` with the nearest."""
    if kind in KINDS:
        return kind
    suggestion = did_you_mean(kind, KINDS)
    raise LatteError(
        f'there is no kind of component called "{kind}"',
        hint=f"{suggestion} All kinds: {', '.join(KINDS)}".strip(),
    )
