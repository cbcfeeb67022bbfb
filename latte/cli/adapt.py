"""`latte adapt` and `latte choose`: adapt CLIP to a folder of images, or compare models on it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import (
    ClassesOption,
    MethodOption,
    ModelOption,
    QuietOption,
    number_of_names,
)
from latte.interfaces import LatteError
from latte.new.arguments import file_or_names
from latte.registry.registry import load_registry
from latte.report.progress import make_progress
from latte.report.sentences import verdict_label
from latte.report.terminal import in_lines, table

PhotosArgument = Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of your images.")]
_NOTE = (
    "score: how often similar images get the same zero-shot class, beyond chance; it ranks models, "
    "often wrongly, and is no accuracy. adapting: the guard's verdict. "
    "ms/image: to encode a decoded image, here and now."
)


def adapt(
    images: PhotosArgument,
    classes: ClassesOption = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Labelled images, a folder per class, or a CSV file with the columns path and "
            "class, to measure the gain; never trained on. The CSV may name some of PHOTOS.",
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

    After an interruption the same command reuses finished stages and the newest checkpoint.
    """
    from latte.cli.recipes import print_reasons
    from latte.cli.run import print_results
    from latte.new.adapting import propose, run_proposal

    registry = load_registry()
    proposed = propose(
        images, file_or_names(classes), test, output, method, model, registry=registry
    )
    found = proposed.found
    named = number_of_names(found.class_names)
    echo(in_lines(f"images: {found.images:,}; class names: {named}"))
    print_reasons(found, proposed.chosen)
    results = run_proposal(proposed, registry, make_progress(quiet))
    print_results(results, results.folder)
    echo(f"recipe: {proposed.recipe}")
    echo(in_lines(proposed.chosen.others))
    if open_:
        typer.launch(str(results.folder / "report" / "index.html"))


def choose(
    images: PhotosArgument,
    models: Annotated[
        str,
        typer.Option(
            metavar="A,B,C", help="Models to compare, each as `latte adapt --model` names it."
        ),
    ],
    classes: ClassesOption = None,
    quiet: QuietOption = False,
) -> None:
    """Rank models on your images without labels, and estimate for each if adapting would help.

    The command writes only caches (models, decoded images, features); `latte adapt` reuses them.
    """
    from latte.new.adapting import compare_models

    names = [*dict.fromkeys(name.strip() for name in models.split(",") if name.strip())]
    if not names:
        raise LatteError("names no model", where="--models", hint="as in --models A,B,C")
    found = compare_models(
        images, file_or_names(classes), names, load_registry(), make_progress(quiet)
    )
    rows = []
    for name, one in found.items():
        adapting = verdict_label(one.verdict) if one.verdict else "no guard"
        milliseconds = f"{1000 * one.seconds:.1f}"
        rows.append((name, f"{one.score:.2f}", adapting, milliseconds, one.licence or "unknown"))
    for line in table(("model", "score", "adapting", "ms/image", "licence"), rows):
        echo(line)
    echo(in_lines(_NOTE))
    best = next(iter(found))
    given = ["--classes", classes] if classes is not None else []
    command = shlex.join(["latte", "adapt", str(images), *given, "--model", best])
    echo(f"best score: {best}; next: {command}")
