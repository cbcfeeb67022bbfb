"""`latte diagnose`: label-free measures of whether adapting helps on a run's images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import QuietOption


def diagnose(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, or folders of them, such as runs/."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with every class.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Show the guard's verdict and label-free measures, and how they go with the real gain.

    One run: the verdict with its signals, then the measures, each with how to read it, and, where
    test images are labelled, whether measures of a class go with the gain in its recall. Several:
    side by side, and, from five runs with a known gain, how each measure goes with it. Nothing is
    trained, and no image is read.
    """
    from latte.cli.compare import print_skipped
    from latte.cli.progress import make_progress
    from latte.registry.registry import load_registry
    from latte.report.diagnosis.diagnosis import diagnose_runs

    found = diagnose_runs(runs, load_registry(), make_progress(quiet))
    print_skipped(found.skipped)
    if json:
        from latte.cli.output import print_json
        from latte.report.diagnosis.export import as_json

        print_json(as_json(found))
    else:
        from latte.report.diagnosis.terminal import text

        echo(text(found))
