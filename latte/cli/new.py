"""`latte new`: a first recipe for a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean

_METHODS = ("auto", "zero-shot", "mixture", "training-free", "latteclip")


def new(
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="Your images.")],
    classes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text file with one class name a line; default: the sub-folders' names.",
        ),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled images by class, to measure the gain."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The recipe to write.")
    ] = Path("recipe.yaml"),
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(_METHODS)}.")] = "auto",
) -> None:
    """Look at your images and at this machine, and write a recipe with comments and reasons."""
    from textwrap import fill

    from latte.cli.output import WIDTH
    from latte.data.enough import quick_look
    from latte.new.choices import choose, this_machine
    from latte.new.images import look_at
    from latte.new.writing import recipe_text
    from latte.registry.registry import load_registry

    if method not in _METHODS:
        hint = f"{did_you_mean(method, _METHODS)} All methods: {', '.join(_METHODS)}".strip()
        raise LatteError(f'there is no method "{method}"', where="--method", hint=hint)
    _refuse_existing(output)
    found, machine = look_at(images, classes, evaluation), this_machine()
    registry = load_registry()
    chosen = choose(found, machine, registry, method)
    size = f", {found.size[0]} x {found.size[1]} pixels at the middle" if found.size else ""
    echo(f"images: {found.images:,}{size}")
    echo(f"classes: {len(found.class_names)}")
    if found.evaluation:
        echo(f"labelled images: {found.labelled:,}")
    echo(f"machine: {machine}")
    warnings = [f"look at this: {warning}" for warning in found.warnings()]
    for line in [*chosen.reasons, *warnings]:
        echo(fill(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False))
    _write_valid(output, recipe_text(found, chosen, output))
    look = quick_look(found.images, len(found.class_names))
    echo(f"wrote {output}; next: latte run {output}" + (f" --limit {look}" if look else ""))


def _refuse_existing(output: Path) -> None:
    if output.exists():
        raise LatteError(
            "is there already, and is not overwritten",
            where=str(output),
            hint="Name another file: --output FILE",
        )


def _write_valid(output: Path, text: str) -> None:
    """Write `text` once it is known to be a valid recipe."""
    from latte.io.files import write_atomically
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry

    try:
        with write_atomically(output) as temporary:
            temporary.write_text(text, encoding="utf-8")
            load_recipe(temporary, load_registry())
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(output)) from error
