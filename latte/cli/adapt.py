"""`latte adapt`: adapt CLIP to a folder of images, in one command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import WIDTH, echo
from latte.cli.shared import QuietOption
from latte.new import METHODS

if TYPE_CHECKING:
    from latte.new.adapting import Proposal


def adapt(
    images: Annotated[Path, typer.Argument(metavar="PHOTOS", help="Folder of your images.")],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Text file with one class name per line, or the names: cat,dog. "
            "Default: the names of the sub-folders.",
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Labelled images by class, to measure the gain; never trained on."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(help=f"One of: {', '.join(METHODS)}; auto is the safe default."),
    ] = "auto",
    model: Annotated[
        str | None,
        typer.Option(
            metavar="CLIP",
            help="NAME:PRETRAINED of open_clip, plugin:NAME, local-dir:FOLDER or hf-hub:REPO.",
        ),
    ] = None,
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
    from latte.cli.run import print_results
    from latte.new.adapting import check_method, propose, run_proposal
    from latte.registry.registry import load_registry

    check_method(method)
    _check_folder(images, "PHOTOS")
    if test is not None:
        _check_folder(test, "--test")
    registry = load_registry()
    proposed = propose(images, _classes(classes), test, output, method, model, registry=registry)
    for line in _findings(proposed):
        echo(line)
    results = run_proposal(proposed, registry, make_progress(quiet))
    print_results(results, results.folder)
    echo(f"recipe: {proposed.recipe}")
    echo(_in_lines(_further(method)))
    if open_:
        typer.launch(str(results.folder / "report" / "index.html"))


def _classes(classes: str | None) -> Path | list[str] | None:
    """Return `--classes` as a file or a list of names; None means the sub-folders' names."""
    if classes is None:
        return None
    path = Path(classes)
    if path.exists() or "," not in classes:
        return path
    return [name.strip() for name in classes.split(",") if name.strip()]


def _check_folder(path: Path, where: str) -> None:
    """Raise `LatteError` if `path` is not a folder, before torch is imported."""
    from latte.io.paths import existing_folder

    existing_folder(path.absolute(), where)


def _findings(proposed: Proposal) -> Iterator[str]:
    """Yield the counts, the reasons for the chosen method and the warnings, as wrapped lines."""
    found = proposed.found
    yield f"images: {found.images:,}; class names: {len(found.class_names):,}"
    warnings = [f"warning: {warning}" for warning in found.warnings()]
    for line in [*proposed.chosen.reasons, *warnings]:
        yield _in_lines(line)


def _in_lines(text: str) -> str:
    return fill(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _further(method: str) -> str:
    """Return a sentence that suggests another `--method` for this machine."""
    from latte.new.choices import lmm_on_this_machine

    if method == "latteclip":
        return "also possible: --method auto, which trains nothing and keeps what is not better"
    return f"also possible: --method latteclip ({lmm_on_this_machine()})"
