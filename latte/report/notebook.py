"""Show the statements about a run in a notebook."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from latte.io.paths import relative
from latte.report.html import html_page
from latte.report.statement import Command
from latte.report.statements import details
from latte.results.collected import stored_results
from latte.results.run import open_finished

_ASK = Command("To answer here", "model.ask(), model.answer({PATH: CLASS}), model.refit()")
_TEMPLATES = Path(__file__).parent / "page" / "templates"


def run_html(folder: Path) -> str:
    """Return the statements about the run in `folder` as a part of an HTML page.

    Control runs are not read. Raises `LatteError` if a file of the run is missing or damaged.
    """
    stated = [
        replace(statement, commands=(*statement.commands, _ASK))
        if statement.kind == "ask"
        else statement
        for statement in details(stored_results(open_finished(folder)), relative(folder))
    ]
    return html_page(_TEMPLATES, None, {"statements": stated}, "notebook.html")
