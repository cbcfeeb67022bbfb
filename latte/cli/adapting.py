"""Run the recipe that `latte adapt` proposes, and print the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from latte.cli.classified import Classified
from latte.cli.classifying import NOWHERE, Target, classify
from latte.cli.shared import number_of_names, print_line
from latte.interfaces import Progress
from latte.io.paths import relative
from latte.registry.registry import load_registry
from latte.report.output import echo
from latte.report.progress import shown_progress
from latte.report.screen import can_draw
from latte.report.terminal import in_lines

if TYPE_CHECKING:
    from latte.new.adapting import Proposal


def adapted_run(
    proposing: Callable[[Progress], Proposal],
    images: Path,
    target: Target = NOWHERE,
    *,
    quiet: bool = False,
    verbose: bool = False,
) -> Path:
    """Run the recipe that `proposing` writes, and print the result; return the run folder.

    The classes of the `images` are also written to `target`.
    """
    from latte.cli.run import print_results
    from latte.new.adapting import run_proposal

    with shown_progress(quiet, verbose=verbose) as progress:
        proposed = proposing(progress)
        _say_choices(proposed, print_line if quiet or verbose else progress.say)
        results = run_proposal(proposed, load_registry(), progress)
        done = _classify(results.folder, images, target, progress, quiet=quiet)
    if done is not None:
        done.print(quiet=quiet or can_draw(err=True))  # the run has the screen
    if verbose:
        echo(f"recipe: {relative(proposed.recipe)}")
        echo(in_lines(proposed.choices.other_methods))
    elif proposed.findings.answers and can_draw(err=True) and not quiet:
        echo(str(proposed.findings.answers), err=True)  # the live display has been erased
    print_results(results, results.folder, verbose=verbose)
    return results.folder


def _classify(
    run: Path, images: Path, target: Target, progress: Progress, *, quiet: bool
) -> Classified | None:
    """Write the classes of the images to the target; return None if none was named."""
    if target.output is None and target.sort_into is None:
        return None
    from latte.predict.predictor import Predictor, open_predictor

    predictor = open_predictor(Predictor, run, progress=progress)
    return classify(predictor, [str(images)], target, progress, quiet=quiet)


def _say_choices(proposed: Proposal, say: Callable[[str], None]) -> None:
    """Say what the images are, and why each setting was chosen; then the warnings."""
    from latte.new.adapting import reasons

    findings = proposed.findings
    class_names = number_of_names(findings.class_names)
    say(f"images: {findings.images:,}; class names: {class_names}")
    for line in reasons(findings, proposed.choices):
        say(line)
