"""Arguments and options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeArgument = Annotated[Path, typer.Argument(help="The recipe, a YAML file.")]
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
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
