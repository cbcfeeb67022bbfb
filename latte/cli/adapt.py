"""`latte adapt`: adapt CLIP to a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.adapting import adapted_run
from latte.cli.classifying import Target, format_of
from latte.cli.confirming import confirm_sending
from latte.cli.shared import (
    ClassesOption,
    EncoderOption,
    MethodOption,
    ModelOption,
    QuietOption,
    RunsOption,
    VerboseOption,
)
from latte.interfaces import LatteError, Progress
from latte.new.arguments import file_or_names
from latte.new.asked_model import QUESTIONS, asked_model
from latte.registry.registry import load_registry

if TYPE_CHECKING:
    from latte.new.adapting import Proposal

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
    runs: RunsOption = Path("adapted"),
    answers: Annotated[
        bool,
        typer.Option(
            "--answers/--no-answers",
            help="Use the answers about these images in the review.jsonl of --runs, whichever run "
            "asked.",
        ),
    ] = True,
    open_: Annotated[bool, typer.Option("--open", help="Open the report in a browser.")] = False,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Then open a page that asks what images show, and teaches."),
    ] = False,
    ask_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Ask this multimodal model on a server about some images, and use its answers. "
            "Needs latte-openai and latte-questions; the key is in OPENAI_API_KEY.",
        ),
    ] = None,
    ask_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the model's server, such as http://localhost:8000/v1, which gets the "
            "images.",
        ),
    ] = None,
    questions: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"Largest number of questions to the model, each about one image "
            f"(default: {QUESTIONS}).",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send images to the model without asking you first.")
    ] = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Adapt CLIP to a folder of images and label them, in one command.

    Writes the recipe, runs it and shows the result. --verbose also shows why the method and the
    model were chosen, other methods, and all statements of the report.

    After an interruption the same command reuses finished stages and the newest checkpoint.
    """
    from latte.new.adapting import propose

    if ask:
        from latte.cli.review import require_page, review

        if not answers:
            hint = "name another folder, which has no answers: --runs DIR"
            what = "does not go with --ask, because a review shows all answers"
            raise LatteError(what, where="--no-answers", hint=hint)
        require_page()  # before the images are encoded
    target = Target(output, format_of(output), sort_into)
    target.check([str(images)], force=False)
    if output is not None and not output.suffix:
        hint = f"for the folder of recipe and results: --runs {output}"
        raise LatteError("is no .csv, .xlsx or .jsonl file", where=f"--output {output}", hint=hint)
    registry, names = load_registry(), file_or_names(classes)
    asked = asked_model(ask_model, ask_url, questions, registry)
    if asked is not None:
        confirm_sending(asked, yes=yes)

    def proposing(progress: Progress) -> Proposal:
        return propose(
            images,
            names,
            test,
            runs,
            method,
            model,
            encoders=encoder or (),
            labels=labels,
            answers=answers,
            asked=asked,
            registry=registry,
            progress=progress,
        )

    run = adapted_run(proposing, images, target, quiet=quiet, verbose=verbose)
    if open_:
        typer.launch(str(run / "report" / "index.html"))
    if ask:
        review(run)
