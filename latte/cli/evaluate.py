"""`latte evaluate`: measure a run's model again, from the images up."""

from __future__ import annotations

from typing import Annotated

import typer

from latte.cli.output import echo, print_json
from latte.cli.shared import QuietOption, RunArgument


def evaluate(
    run: RunArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a run's saved model against zero-shot on its labelled images."""
    from latte.cli.progress import make_progress
    from latte.evaluate.metrics import to_json
    from latte.registry.registry import load_registry
    from latte.report.sentences import oracle_note
    from latte.report.summary import evaluation_lines
    from latte.run.reopen import evaluate_run, open_workspace

    registry, progress = load_registry(), make_progress(quiet)
    evaluations = evaluate_run(run, registry, progress)
    if as_json:
        print_json([to_json(one) for one in evaluations])
    else:
        echo("\n".join(evaluation_lines(evaluations)))
    recipe = dict(open_workspace(run, registry, progress).recipe.resolved)
    note = oracle_note({**recipe, "controls": {}})
    if note:
        echo(note, err=as_json)
