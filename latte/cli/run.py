"""`latte run`: run a recipe; `--profile` also prints how long stages and training steps take."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latte.cli import shared, waited
from latte.interfaces import LatteError, RunResults
from latte.io.paths import relative
from latte.registry.registry import load_registry
from latte.report.numbers import duration, mebibytes
from latte.report.output import echo, results
from latte.report.progress import shown_progress, three_digits
from latte.report.screen import can_draw
from latte.report.terminal import fitted, in_lines
from latte.results.stages import STAGES

if TYPE_CHECKING:
    from latte.recipe.model import Recipe
    from latte.results.folder import RunFolder
    from latte.run.runner import PlannedStage


def run(
    recipe: shared.RecipeArgument,
    set_: shared.SetOption = None,
    plugin: shared.PluginOption = None,
    until: Annotated[
        str,
        typer.Option(help=f"Stop after this stage: {', '.join(STAGES[:-1])}."),
    ] = "report",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the stages and which are reused; run nothing.")
    ] = False,
    limit: shared.LimitOption = None,
    answers: Annotated[
        bool,
        typer.Option(
            "--answers",
            help="Let the answers of the reviews of runs beside this one teach, too. This is "
            "another run, in a folder of its own.",
        ),
    ] = False,
    profile: Annotated[
        bool,
        typer.Option("--profile", help="Measure where the time goes, and print it at the end."),
    ] = False,
    quiet: shared.QuietOption = False,
    verbose: shared.VerboseOption = False,
) -> None:
    """Run a recipe, from images to report; finished stages are reused.

    If torchrun starts several processes, they share the work of one run.
    """
    from latte.results.record import check_stage
    from latte.run.ready import load_recipe_or_saved, refuse_unready
    from latte.run.workspace import run_folder

    with shared.together() as is_main:
        last_stage = check_stage(until)
        shared.require_recipe(recipe)
        registry = load_registry()
        loaded = load_recipe_or_saved(recipe, registry, set_ or ())
        if answers:
            setting = _with_answers(loaded, run_folder(loaded, limit))
            loaded = load_recipe_or_saved(recipe, registry, [*(set_ or ()), setting])
        refuse_unready(loaded, registry, until="data" if dry_run else last_stage, limit=limit)
        from latte.run.runner import plan_run, run_recipe

        folder = run_folder(loaded, limit).path
        with shown_progress(quiet or not is_main, verbose=verbose) as progress:
            if dry_run:
                echo(f"run folder: {relative(folder)}")
                _print_plan(plan_run(loaded, registry, progress, limit)[1] if is_main else ())
                return
            if is_main:
                say = progress.say if can_draw() and not quiet else echo
                say(f"run folder: {relative(folder)}")
            run_results = run_recipe(
                loaded, registry, progress, until=last_stage, limit=limit, profile=profile
            )
        if not is_main:
            return
        if run_results is not None:
            print_results(run_results, folder, verbose=verbose)
        else:
            advice = "the same command without --until continues"
            echo(in_lines(f"stopped after stage {last_stage}; {advice}"))
        if profile:
            print_profile(folder / "profile.json")


def _with_answers(recipe: Recipe, folder: RunFolder) -> str:
    """Return the setting that lets the answers beside the run `folder` teach.

    Raises `LatteError` if there are none.
    """
    from latte.results.taught_runs import answers_setting, label_files

    if not folder.review.exists():
        hint = "answer questions about a run: latte review RUN"
        raise LatteError("there are no answers here", where=str(folder.review), hint=hint)
    return answers_setting(label_files(recipe.resolved), folder, recipe.base_dir)


def _print_plan(stages: Sequence[PlannedStage]) -> None:
    """Print which stages of a run would be run or reused."""
    unless = ""
    for stage in stages:
        what = "to do"
        if stage.repeats:
            what = f"to do: repeats {stage.repeats}"
            unless = " unless texts are added"
        elif stage.seconds is not None:
            what = f"reused (took {stage.seconds:.1f} s){unless}"
        echo(f"  {stage.name:<10} {what}")


def print_results(run_results: RunResults, folder: Path, *, verbose: bool = False) -> None:
    """Print the outcome of a run on one screen; before it, if `verbose`, everything at length."""
    from latte.report.run_screen import run_screen
    from latte.report.screen import print_screen

    seconds = waited()
    if verbose:
        _print_at_length(run_results, folder, seconds)
    print_screen(run_screen(run_results, seconds))


def _print_at_length(run_results: RunResults, folder: Path, seconds: float) -> None:
    """Print all statements on a run, and the paths of its files."""
    from latte.report.summary import cost_line, print_summary
    from latte.results.folder import RunFolder
    from latte.results.run import Run
    from latte.results.run_answers import waiting_answers
    from latte.results.taught_runs import learned_runs, next_step

    print_summary(run_results, relative(folder))
    echo(in_lines(cost_line(run_results, seconds)))
    run_folder = RunFolder(folder)
    for title, path in (
        ("adapted model", run_folder.adapted_model.backbone),
        ("labels of your images", run_folder.pseudo_labels),
    ):
        if path.exists():
            echo(f"{title}: {relative(path)}")
    echo(f"classify new images: {shlex.join(['latte', 'predict', relative(folder), 'IMAGES'])}")
    if run_folder.previous.exists():
        command = shlex.join(["latte", "predict", relative(run_folder.previous), "IMAGES"])
        echo(f"the run before your images or class names changed: {command}")
    finished = Run(run_folder)
    if answers := waiting_answers(finished):
        for run in learned_runs(finished):
            echo(f"run with your answers: {relative(run)}")
        echo(next_step(answers, folder))
    echo("")


def print_profile(path: Path) -> None:
    """Print `profile.json`: the time of each stage, and of each part of a training step."""
    from latte.results.stored import explained, read_stored

    with explained(path):
        profile = read_stored(path, dict[str, Any])
        console = results()
        rows = [
            (
                f"{stage['name']} (reused)" if stage["reused"] else stage["name"],
                duration(stage["seconds"]),
                three_digits(stage["images_a_second"]) if stage["images_a_second"] else "",
                "" if stage["peak_memory_mb"] is None else mebibytes(stage["peak_memory_mb"]),
            )
            for stage in profile["stages"]
        ]
        console.print()
        headers = ("stage", "time", "images/s", "peak memory")
        console.print(fitted(headers, rows, right=(1, 2, 3)))
        times = [f"{name} {duration(seconds)}" for name, seconds in profile["beside_steps"].items()]
        if times:
            console.print(f"\ntraining, outside its steps: {', '.join(times)}")
        console.print()
        reused = any(stage["name"] == "train" and stage["reused"] for stage in profile["stages"])
        if profile["steps"]:
            _print_steps(profile, profile["steps"], " of an earlier run" if reused else "")
        else:
            why = "training was reused" if reused else "there was no training"
            console.print(f"{why}, so that no step was measured")
    echo(f"profile: {relative(path)}")


def _print_steps(profile: Mapping[str, Any], steps: Mapping[str, Any], earlier: str) -> None:
    console, count = results(), steps["steps"]
    alone = steps["timed_alone"]
    kind = "timed alone" if alone else "timed while FLOPs were counted, which takes longer"
    images = three_digits(steps["images"] / count)
    console.print(f"training steps{earlier}: {count} {kind}, {images} images each")
    whole_step = {**steps, "name": "whole step"}
    rows = [
        (
            part["name"],
            f"{1000 * part['seconds'] / count:,.1f}",
            f"{100 * part['seconds'] / steps['seconds']:.1f} %",
            three_digits(part["gflop_a_second"]) if part["gflop_a_second"] else "",
        )
        for part in [*steps["parts"], whole_step]
    ]
    console.print(fitted(("part of a step", "ms", "share", "GFLOP/s"), rows, right=(1, 2, 3)))
    console.print(
        f"{three_digits(steps['images_a_second'])} images/s; "
        f"{three_digits(steps['gflop_an_image'])} GFLOP per image"
    )
    of_cpu = " (CPU)" if profile["device"] == "cpu" else ""
    console.print(
        f"{100 * steps['share_of_product']:.0f} % of the throughput of a large "
        f"{profile['arithmetic']} matmul: "
        f"{three_digits(steps['product_gflop_a_second'])} GFLOP/s{of_cpu}"
    )
    if alone:
        console.print(f"not included: {steps['looked_into']} steps that were counted or traced")
