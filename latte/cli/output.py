"""Results on stdout: tables that fit 80 columns, and JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 80


def results() -> Console:
    """Where results are printed: at most 80 columns, no markup, colour only on a terminal."""
    console = Console(markup=False, highlight=False, emoji=False)
    console.width = min(console.width, WIDTH)
    return console


def plain_table(*headers: str) -> Table:
    """A table without lines; the last column takes the space that is left."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def print_json(value: Any) -> None:
    """Print plain data as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
