"""`latte report`: write a finished run's reports again."""

from __future__ import annotations

from latte.cli.output import echo
from latte.cli.shared import QuietOption, RunArgument


def report(run: RunArgument, quiet: QuietOption = False) -> None:
    """Write the reports of a finished run again, and print its summary."""
    from latte.cli.progress import make_progress
    from latte.registry.registry import load_registry
    from latte.report.summary import summary_table
    from latte.run.reopen import report_run

    results, files = report_run(run, load_registry(), make_progress(quiet))
    echo(summary_table(results))
    for file in files:
        echo(str(file))
