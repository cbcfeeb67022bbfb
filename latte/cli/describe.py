"""`latte describe`: ask for texts about a recipe's images, and show the stored texts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from latte.cli import shared, waited
from latte.describe.inventory import Archive, holdings, statistics
from latte.interfaces import LatteError
from latte.io.paths import existing_file
from latte.recipe.shipped import shown
from latte.registry.registry import load_registry
from latte.report.numbers import count, plural, size
from latte.report.output import echo, results
from latte.report.progress import make_progress, shown_progress
from latte.report.screen import can_draw, print_screen
from latte.report.terminal import fitted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from latte.interfaces.settings import SpendingSettings
    from latte.run.planned_questions import PlannedQuestions


def describe(
    recipe: shared.OptionalRecipeArgument = None,
    set_: shared.SetOption = None,
    plugin: shared.PluginOption = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Answer only share I of N, for several workers at once, on one machine or on "
            "several that share the cache folder; under torchrun each process takes its share.",
        ),
    ] = None,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Also repeat refused requests for descriptions.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the recipe's questions; ask none.")
    ] = False,
    limit: shared.LimitOption = None,
    stored: Annotated[
        bool,
        typer.Option(
            "--stored", help="List the stored texts of all runs by describer and prompt; ask none."
        ),
    ] = False,
    about: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="Show the stored texts about an image file; ask none.",
        ),
    ] = None,
    quiet: shared.QuietOption = False,
    verbose: shared.VerboseOption = False,
) -> None:
    """Ask a recipe's describers for texts, or show stored texts.

    The texts are stored for all runs, and `latte run` uses them.
    """
    if stored or about:
        if recipe or set_ or shard or ask_again or dry_run or limit or (stored and about):
            hint = "show stored texts of all runs: latte describe --stored, or --about IMAGE"
            option = "--stored" if stored else "--about"
            raise LatteError("is used without other arguments", where=option, hint=hint)
        from latte.run.workspace import description_folder

        archive = Archive(description_folder())
        if about:
            _print_texts_about(about, archive)
        else:
            _print_stored(archive)
        return
    if recipe is None:
        hint = "latte describe RECIPE; to see stored texts: latte describe --stored"
        raise LatteError("names no recipe", where="RECIPE", hint=hint)
    from latte.describe.shards import Shard
    from latte.run.ready import load_recipe_or_saved, refuse_unready

    if shard is not None:
        hint = "leave --shard out: under torchrun each process takes its share"
        shared.refuse_under_torchrun("--shard", hint)
    shared.require_recipe(recipe)
    progress = make_progress(quiet)
    share = Shard.parse(shard) if shard is not None else Shard.of_torchrun(os.environ)
    if share is not None and shard is None:
        progress.say(f"started by torchrun: this process takes shard {share}")
    registry = load_registry()
    loaded = load_recipe_or_saved(recipe, registry, set_ or ())
    refuse_unready(loaded, registry, until="describe", limit=limit, writes=not dry_run)
    if dry_run:
        from latte.run.planned_questions import plan_questions

        _print_questions(plan_questions(loaded, registry, progress, limit), loaded.spending)
        return
    if share is not None:
        from latte.run.describing import describe_shard

        done = describe_shard(loaded, registry, progress, share, limit=limit, ask_again=ask_again)
        echo(str(done))
        return
    from latte.run.runner import run_recipe
    from latte.run.workspace import run_folder

    with shown_progress(quiet, verbose=verbose) as display:
        run_recipe(loaded, registry, display, until="describe", limit=limit, ask_again=ask_again)
    folder = run_folder(loaded, limit)
    if not can_draw():
        echo(str(folder.descriptions))
        return
    from latte.report.other_screens import describe_screen
    from latte.results.run import open_run

    facts = open_run(folder.path).record.describe
    print_screen(describe_screen(folder, facts, shown(recipe), waited()))


def _print_questions(
    planned: Sequence[PlannedQuestions], prices: SpendingSettings | None = None
) -> None:
    from latte.describe.spending import money
    from latte.run.planned_questions import cost_of

    if not planned:
        echo("this recipe asks no describer")
        return
    rows = [
        (plan.describer, plan.purpose, *map(count, (plan.questions, plan.stored, plan.to_ask)))
        for plan in planned
    ]
    headings = ("describer", "about", "questions", "stored", "to ask")
    results().print(fitted(headings, rows, right=(2, 3, 4)))
    echo(f"to ask in all: {plural(sum(plan.to_ask for plan in planned), 'question')}")
    for describer, tokens in {plan.describer: plan.tokens for plan in planned}.items():
        if tokens is not None:
            echo(
                f"{describer}: {count(round(tokens.input))} input and "
                f"{count(round(tokens.output))} output tokens per question, the mean of "
                f"{plural(tokens.answers, 'stored answer')}"
            )
    if prices is not None and (cost := cost_of(planned, prices)) is not None:
        echo(f"expected cost of the questions to ask: {money(cost)}")


def _print_stored(archive: Archive) -> None:
    """Print describers and prompts with the number of texts of each, then facts about all texts."""
    holdings_of_archive = holdings(archive)
    for describer in dict.fromkeys(holding.describer for holding in holdings_of_archive):
        rows = [
            (
                f"{holding.texts:,}",
                f"{holding.refused:,}",
                f"{holding.failed:,}",
                datetime.fromtimestamp(holding.newest).strftime("%Y-%m-%d"),
                holding.prompt,
            )
            for holding in holdings_of_archive
            if holding.describer == describer
        ]
        title = Text(describer or "unknown describer", "bold")
        headers = ("texts", "refused", "failed", "newest", "prompt")
        _print_paragraph(title, fitted(headers, rows, right=(0, 1, 2)))
    _print_paragraph(fitted(("", ""), _facts(archive)))


def _facts(archive: Archive) -> list[tuple[str, str]]:
    totals = statistics(archive)
    words = "-"
    if totals.mean_words is not None:
        mean, middle, most = totals.mean_words, totals.median_words, totals.max_words
        words = f"mean {mean:.1f}, median {middle:g}, at most {most:,}"
    facts = {
        "folder": str(archive.folder),
        "texts": f"{totals.texts:,}",
        "refused": f"{totals.refused:,}",
        "failed": f"{totals.failed:,}",
        "words per text": words,
        "duplicates": "-" if totals.duplicate_share is None else f"{totals.duplicate_share:.1%}",
        "on disk": f"{size(totals.bytes)} in {totals.files:,} files",
        "torn last lines": f"{totals.torn_lines:,}",
        "unreadable lines": f"{totals.unreadable_lines:,}",
    }
    return [*facts.items()]


def _print_texts_about(image: Path, archive: Archive) -> None:
    """Print every text about an image, or about a group that contains the image."""
    from latte.data.images import read_image
    from latte.interfaces import ImageReference
    from latte.io.files import digest

    existing_file(image.absolute(), "--about")
    key = digest(read_image(ImageReference(str(image), image)))
    records = [text.record for text in archive.texts() if key in text.record.images]
    if not records:
        what = f"no describer was asked about this image (content hash {key})"
        hint = "describe the images of a recipe: latte describe RECIPE"
        raise LatteError(what, where=str(image), hint=hint)
    for record in records:
        place, images = record.images.index(key) + 1, len(record.images)
        group = f"[image {place} of a group of {images}] " if images > 1 else ""
        what = "refused" if record.refused else "failed"
        why = f"({what}: {record.failure or 'no reason given'})"
        text = why if record.text is None else record.text
        sample = f", sample {record.sample}" if record.sample else ""
        by = f"by {record.describer or 'unknown describer'}{sample}"
        _print_paragraph(Text(group + record.prompt, "bold"), Text(text), Text(by, "dim"))


def _print_paragraph(*lines: RenderableType) -> None:
    console = results()
    for line in lines:
        console.print(line)
    console.print()
