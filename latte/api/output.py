"""Building blocks for commands and reporters: text on the terminal, progress, numbers, pages.

Text on the terminal is at most 80 columns wide, and control characters in it are escaped. A command
reports wrong input by raising `LatteError`, which is printed without a traceback; the exit code is
then 2.
"""

from latte.io.paths import refuse_other_kind
from latte.io.redaction import one_line
from latte.report.charts import IntervalRow, interval_chart, points_tick
from latte.report.html import html_page
from latte.report.numbers import bare_percent, plural, points, points_with_range
from latte.report.output import echo, naming, write_file
from latte.report.progress import make_progress
from latte.report.terminal import paragraph, table

__all__ = [
    "IntervalRow",
    "bare_percent",
    "echo",
    "html_page",
    "interval_chart",
    "make_progress",
    "naming",
    "one_line",
    "paragraph",
    "plural",
    "points",
    "points_tick",
    "points_with_range",
    "refuse_other_kind",
    "table",
    "write_file",
]
