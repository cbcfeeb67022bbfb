"""`latte field`: compare methods without labels on folders drawn from labelled sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from latte.api.output import echo, make_progress, refuse_other_kind, table, write_file
from latte.api.plugins import PluginOption
from latte.api.runs import load_clip


def field(
    sets: Annotated[
        list[Path],
        typer.Argument(
            metavar="SET...",
            help="Folders with a sub-folder of images per class, or files of frozen features.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of field.html, .md, .csv, .tex and .svg."),
    ] = Path("field"),
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="The CLIP, as in a recipe's backbone.")
    ] = "plugin:tiny",
    methods: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Names of methods; default: all that are installed."),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RECIPE", help="One more method: a recipe without training steps."
        ),
    ] = None,
    plugin: PluginOption = None,
    draws: Annotated[
        int, typer.Option(min=1, help="Folders of each kind that are drawn from each set.")
    ] = 2,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite a page that another program wrote.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Compare methods without labels on folders as people have them, on one page.

    Folders are drawn from your labelled images: balanced, few of the names, fifty images, a long
    tail, and foreign images if there are several sets. True labels only measure; in one column,
    five images per class teach the methods that take answers.
    """
    from latte_benchmarks.feature_files import read_sets
    from latte_benchmarks.field_methods import chosen_methods
    from latte_benchmarks.field_page import (
        HEADINGS,
        HTML_START,
        Field,
        as_csv,
        as_figure,
        as_latex,
        as_markdown,
        as_page,
        cells_of,
    )
    from latte_benchmarks.field_rows import TextCache, measured_rows
    from latte_benchmarks.field_summary import lines_of

    refuse_other_kind(out / "field.html", HTML_START, force=force)
    progress = make_progress(quiet)
    names = [name.strip() for name in (methods or "").split(",") if name.strip()]
    compared_methods = chosen_methods(names, recipe or (), progress)
    clip = TextCache(load_clip(model))
    labelled_sets = read_sets(sets, clip.backbone, progress)
    rows = tuple(measured_rows(labelled_sets, compared_methods, draws, clip, progress))
    lines = tuple(lines_of(rows, [method.about for method in compared_methods]))
    result = Field(rows, lines, model, draws)
    texts = {
        "csv": as_csv(rows),
        "html": as_page(result),
        "md": as_markdown(result),
        "svg": as_figure(result),
        "tex": as_latex(result),
    }
    for ending, text in texts.items():
        write_file(out / f"field.{ending}", text)
    echo("\n".join(table(HEADINGS[:4], [cells_of(line)[:4] for line in lines])))
    echo(f"wrote {out}/field.html, .md, .csv, .tex and .svg", err=True)
