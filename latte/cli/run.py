"""`latte run`: a recipe from images to report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli.output import echo
from latte.cli.shared import LimitOption, QuietOption, RecipeArgument, SetOption
from latte.cli.together import together

if TYPE_CHECKING:
    from latte.interfaces import Progress, RunResults
    from latte.recipe.model import Recipe
    from latte.registry.registry import Registry


def run(
    recipe: RecipeArgument,
    set_: SetOption = None,
    until: Annotated[
        str, typer.Option(help="Stop after this stage: data, zero-shot, describe, train, evaluate.")
    ] = "report",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and reused; do nothing.")
    ] = False,
    limit: LimitOption = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Measure where the time goes; show it at the end.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Adapt a CLIP to the images of a recipe; finished stages are reused.

    Started by torchrun, the processes work on one run together.
    """
    with together() as speaks:
        _run(recipe, set_ or (), until, dry_run, limit, profile, quiet, speaks)


def _run(
    recipe: Path,
    overrides: Sequence[str],
    until: str,
    dry_run: bool,
    limit: int | None,
    profile: bool,
    quiet: bool,
    speaks: bool,
) -> None:
    from latte.cli.progress import make_progress
    from latte.recipe.load import load_recipe
    from latte.registry.registry import load_registry
    from latte.run.identity import check_stage

    last = check_stage(until)
    registry = load_registry()
    loaded = load_recipe(recipe, registry, overrides)
    progress = make_progress(quiet or not speaks)
    if dry_run:
        if speaks:
            _print_plan(loaded, registry, progress, limit)
        return

    from latte.run.runner import run_recipe
    from latte.run.workspace import run_folder

    folder = run_folder(loaded, limit).path
    if speaks:
        echo(f"run folder: {_shown(folder)}")
    results = run_recipe(loaded, registry, progress, until=last, limit=limit, profile=profile)
    if not speaks:
        return
    if results is None:
        echo(f"stopped after stage {last}; the same command without --until continues")
    else:
        _print_results(results, folder)
    if profile:
        _print_profile(folder)


def _print_results(results: RunResults, folder: Path) -> None:
    from latte.report.terminal import cost_line, summary_table

    echo(summary_table(results, _shown(folder)))
    echo(cost_line(results))
    for title, path in (
        ("report", folder / "report" / "index.html"),
        ("model", folder / "model"),
        ("labels of your images", folder / "pseudo_labels.csv"),
    ):
        if path.exists():
            echo(f"{title}: {_shown(path)}")


def _print_profile(folder: Path) -> None:
    from latte.cli.profile import profile_lines

    path = folder / "profile.json"
    echo("\n".join(["", *profile_lines(path), f"profile: {_shown(path)}"]))


def _print_plan(recipe: Recipe, registry: Registry, progress: Progress, limit: int | None) -> None:
    from latte.run.runner import plan_run

    folder, stages = plan_run(recipe, registry, progress, limit)
    echo(f"run folder: {_shown(folder)}")
    for stage in stages:
        what = f"reused (took {stage.seconds:.1f} s)" if stage.reused else "to do"
        echo(f"  {stage.name:<10} {what}")


def _shown(path: Path) -> str:
    """`path` as people would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
