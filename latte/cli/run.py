"""`profile.json` as a table that fits a terminal of 80 columns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latte.cli.output import echo
from latte.cli.progress import duration, three_digits
from latte.cli.shared import LimitOption, QuietOption, RecipeArgument, SetOption
from latte.cli.torchrun import together

if TYPE_CHECKING:
    from latte.interfaces import Progress, RunResults
    from latte.recipe.model import Recipe
    from latte.registry.registry import Registry

_NAME, _WIDTH = 26, 80


def profile_lines(path: Path) -> list[str]:
    """Where the time of the run went, by stages and by the parts of a training step."""
    profile = json.loads(path.read_text(encoding="utf-8"))
    return [
        *_stage_lines(profile["stages"]),
        *_beside_lines(profile["beside_steps"]),
        *(_step_lines(profile, profile["steps"]) if profile["steps"] else _no_steps(profile)),
    ]


def _stage_lines(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [_row("stage", "time", "images/s", "peak memory")]
    for stage in stages:
        memory, rate = stage["peak_memory_mb"], stage["images_a_second"]
        name = f"{stage['name']} (reused)" if stage["reused"] else stage["name"]
        lines.append(
            _row(
                name,
                duration(stage["seconds"]),
                three_digits(rate) if rate else "",
                f"{memory:,.0f} MiB" if memory is not None else "",
            )
        )
    return lines


def _beside_lines(beside: Mapping[str, float]) -> list[str]:
    parts = [f"{name} {duration(seconds)}" for name, seconds in beside.items()]
    text = f"training, beside its steps: {', '.join(parts)}"
    return ["", *textwrap.wrap(text, _WIDTH)] if parts else []


def _step_lines(profile: Mapping[str, Any], steps: Mapping[str, Any]) -> list[str]:
    count, images = steps["steps"], steps["images"]
    ordinary = steps["timed_alone"]
    kind = "timed alone" if ordinary else "while operations were counted, which takes longer"
    trained = [stage["reused"] for stage in profile["stages"] if stage["name"] == "train"]
    earlier = " of an earlier run" if any(trained) else ""
    of_cpu = " of CPU" if profile["device"] == "cpu" else ""
    peak = steps["product_gflop_a_second"]
    lines = [
        "",
        f"training steps{earlier}: {count} {kind}, {three_digits(images / count)} images each",
        _row("part of a step", "ms", "share", "GFLOP/s"),
        *(_part_row(part, steps) for part in steps["parts"]),
        _row(
            "whole step",
            f"{1000 * steps['seconds'] / count:,.1f}",
            "100 %",
            three_digits(steps["gflop_a_second"]),
        ),
        f"{three_digits(steps['images_a_second'])} images/s; "
        f"{three_digits(steps['gflop_an_image'])} GFLOP an image",
        f"{100 * steps['share_of_product']:.0f} % of what a large {profile['arithmetic']} product "
        f"reaches: {three_digits(peak)} GFLOP a second{of_cpu}",
    ]
    if ordinary:
        lines.append(
            f"{steps['looked_into']} more steps were counted or traced, and left out of this"
        )
    return lines


def _part_row(part: Mapping[str, Any], steps: Mapping[str, Any]) -> str:
    rate = part["gflop_a_second"]
    return _row(
        part["name"],
        f"{1000 * part['seconds'] / steps['steps']:,.1f}",
        f"{100 * part['seconds'] / steps['seconds']:.1f} %",
        three_digits(rate) if rate else "",
    )


def _no_steps(profile: Mapping[str, Any]) -> list[str]:
    reused = any(one["name"] == "train" and one["reused"] for one in profile["stages"])
    why = "training was reused" if reused else "there was no training"
    return ["", f"{why}, so that no step was measured"]


def _row(name: str, *cells: str) -> str:
    return (f"{name:<{_NAME}}" + "".join(f"{cell:>15}" for cell in cells)).rstrip()


# `latte run`: a recipe from images to report.


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
    from latte.results.identity import check_stage

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
        print_results(results, folder)
    if profile:
        _print_profile(folder)


def print_results(results: RunResults, folder: Path) -> None:
    """Print the numbers of a run and where its files are."""
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
