"""`latte adapt`: adapt CLIP to a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.classifying import Target, classify, format_of
from latte.cli.shared import (
    ClassesOption,
    EncoderOption,
    MethodOption,
    ModelOption,
    QuietOption,
    number_of_names,
)
from latte.interfaces import LatteError
from latte.new.arguments import file_or_names
from latte.registry.registry import load_registry
from latte.report.output import echo
from latte.report.progress import make_progress
from latte.report.terminal import in_lines

PhotosArgument = Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of your images.")]


def adapt(
    images: PhotosArgument,
    classes: ClassesOption = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Classes of some images, which teach: a table (CSV, Excel) with the columns path "
            "and class, a folder per class, review.jsonl of a run, or an export of Label Studio or "
            "FiftyOne. It may name images beside PHOTOS.",
        ),
    ] = None,
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
    encoder: EncoderOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write the class of each image to this file: .csv, .xlsx or .jsonl.",
        ),
    ] = None,
    sort_into: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also copy each image into DIR/CLASS NAME."),
    ] = None,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="DIR", help="Folder of recipe and results.")
    ] = Path("adapted"),
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Then open a page that asks what images show, and teaches."),
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Adapt CLIP to a folder of images and label them, in one command.

    Writes the recipe, runs it and shows the result.

    After an interruption the same command reuses finished stages and the newest checkpoint.
    """
    from latte.cli.recipes import print_reasons
    from latte.cli.run import print_results
    from latte.new.adapting import propose, run_proposal

    if ask:
        from latte.cli.review import require_page, review

        require_page()  # before the images are encoded
    target = Target(output, format_of(output), sort_into)
    target.check([str(images)], force=False)
    if output is not None and not output.suffix:
        hint = f"for the folder of recipe and results: --runs {output}"
        raise LatteError("is no .csv, .xlsx or .jsonl file", where=f"--output {output}", hint=hint)
    registry, progress = load_registry(), make_progress(quiet)
    proposed = propose(
        images,
        file_or_names(classes),
        test,
        runs,
        method,
        model,
        encoders=encoder or (),
        labels=labels,
        registry=registry,
        progress=progress,
    )
    findings = proposed.findings
    class_names = number_of_names(findings.class_names)
    echo(in_lines(f"images: {findings.images:,}; class names: {class_names}"))
    print_reasons(findings, proposed.choices)
    results = run_proposal(proposed, registry, progress)
    print_results(results, results.folder)
    if output or sort_into:
        from latte.predict.predictor import Predictor, open_predictor

        predictor = open_predictor(Predictor, results.folder, progress=progress)
        classify(predictor, [str(images)], target, progress, quiet=quiet)
    echo(f"recipe: {proposed.recipe}")
    echo(in_lines(proposed.choices.other_methods))
    if open_:
        typer.launch(str(results.folder / "report" / "index.html"))
    if ask:
        review(results.folder)
