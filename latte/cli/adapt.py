"""`latte adapt`: adapt CLIP to a folder of images, in one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import MethodOption, ModelOption, QuietOption
from latte.report.terminal import in_lines

PhotosArgument = Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of your images.")]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Text file with one class name per line, or the names: cat,dog. "
        "Default: the names of the sub-folders.",
    ),
]


def adapt(
    images: PhotosArgument,
    classes: ClassesOption = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Labelled images by class, to measure the gain; never trained on."
        ),
    ] = None,
    method: MethodOption = "auto",
    model: ModelOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of recipe and results.")
    ] = Path("adapted"),
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Adapt CLIP to a folder of images: write the recipe, run it, show the result.

    After an interruption the same command continues where it stopped.
    """
    from latte.cli.progress import make_progress
    from latte.cli.recipes import print_reasons
    from latte.cli.run import print_results
    from latte.new.adapting import propose, run_proposal
    from latte.registry.registry import load_registry

    registry = load_registry()
    proposed = propose(
        images, file_or_names(classes), test, output, method, model, registry=registry
    )
    found = proposed.found
    echo(f"images: {found.images:,}; class names: {len(found.class_names):,}")
    print_reasons(found, proposed.chosen)
    results = run_proposal(proposed, registry, make_progress(quiet))
    print_results(results, results.folder)
    echo(f"recipe: {proposed.recipe}")
    echo(in_lines(proposed.chosen.others))
    if open_:
        typer.launch(str(results.folder / "report" / "index.html"))


def file_or_names(classes: str | None) -> Path | list[str] | None:
    """Return `--classes` as a file or a list of names; None means the sub-folders' names."""
    if classes is None:
        return None
    path = Path(classes)
    if path.exists() or "," not in classes:
        return path
    return [name.strip() for name in classes.split(",") if name.strip()]
