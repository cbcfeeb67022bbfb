"""Gains of training-free methods over zero-shot on folders as people have them.

Folders are drawn from any labelled sets, with frozen features of any CLIP: folders in which few of
the class names occur, with long-tailed classes, few images, or images of no class. `--out` gets
`summary.md` and `rows.csv` (one row per draw and method; a stopped run resumes from it).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.folder_cells import (
    CELLS,
    Cell,
    Folder,
    LabelledSet,
    can_draw,
    cells_called,
    draw,
)
from benchmarks.folder_methods import (
    Answers,
    Method,
    known_methods,
    load_method,
    method_called,
    zero_shot,
)
from benchmarks.folder_rows import Row, RowFile
from benchmarks.folder_sets import Sets, read_plans, settings
from benchmarks.folder_summary import summary
from benchmarks.measuring import say
from latte.cli.progress import make_progress
from latte.interfaces import LatteError, Progress
from latte.io.files import write_text
from latte.registry.registry import Registry, load_registry


def main(arguments: Sequence[str]) -> None:
    """Draw, measure and summarise. Raises `LatteError` for a mistake in arguments or files."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    _measure(options, load_registry(), make_progress())


def rows_of(
    folder: Folder, methods: Mapping[str, Method], place: tuple[str, str, str, int]
) -> list[Row]:
    """Return the rows of one draw; `place` is its model, set, cell and number."""
    before = zero_shot(folder)
    rows = []
    for name, method in methods.items():
        answers = method(folder)
        verdict = answers.verdict
        rows.append(
            Row(
                *place,
                name,
                images=len(folder.own),
                counted=int((folder.own.labels >= 0).sum()),
                own=_gain_on_own(folder, before.own, answers.own),
                unseen=_gain_on_mix(folder, folder.mix, before, answers),
                balanced=_gain_on_mix(folder, torch.ones_like(folder.mix), before, answers),
                full=_gain_of_part(folder, before.own, answers.full),
                half=_gain_of_part(folder, before.own, answers.half),
                strength=verdict.strength if verdict else None,
                probability=verdict.probability if verdict else None,
                signals=verdict.signals if verdict else {},
            )
        )
    return rows


def _measure(options: argparse.Namespace, registry: Registry, progress: Progress) -> None:
    sets = read_plans(options.set, options.subset, options.images_per_class)
    methods = _methods(options, registry, progress)
    cells = cells_called(options.cells)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    file = RowFile(out, settings(sets))
    for model in options.model:
        _measure_model(model, sets, cells, methods, options.draws, file, registry, progress)
    wanted = [
        row
        for row in file.rows
        if row.model in options.model
        and row.method in methods
        and row.draw < options.draws
        and row.cell in {cell.name for cell in cells}
    ]
    text = summary(wanted, [*methods], {one.name: one.whole for one in sets.subsets})
    write_text(out / "summary.md", text)
    say(text)


def _measure_model(
    model: str,
    sets: Sets,
    cells: Sequence[Cell],
    methods: Mapping[str, Method],
    draws: int,
    file: RowFile,
    registry: Registry,
    progress: Progress,
) -> None:
    done = {row.key for row in file.rows}
    places = [
        (name, cell, number) for name in sets.names for cell in cells for number in range(draws)
    ]
    due = {
        place: [
            one for one in methods if (model, place[0], place[1].name, place[2], one) not in done
        ]
        for place in places
    }
    if not any(due.values()):
        return
    loaded = {one.name: one for one in sets.load(model, registry, progress)}
    _say_what_is_left_out([*loaded.values()], cells, progress)
    left = [place for place, names in due.items() if names and _drawable(place, loaded)]
    with progress.task(f"draws, {model}", len(left), "draws") as task:
        for name, cell, number in left:
            folder = draw(loaded[name], cell, number, [*loaded.values()])
            wanted = {one: methods[one] for one in due[name, cell, number]}
            file.add(rows_of(folder, wanted, (model, name, cell.name, number)))
            task.advance(1, set=name, cell=cell.name)


def _drawable(place: tuple[str, Cell, int], loaded: Mapping[str, LabelledSet]) -> bool:
    return can_draw(loaded[place[0]], place[1], [*loaded.values()])


def _say_what_is_left_out(
    loaded: Sequence[LabelledSet], cells: Sequence[Cell], progress: Progress
) -> None:
    for whole in loaded:
        absent = [cell.name for cell in cells if not can_draw(whole, cell, loaded)]
        if absent:
            left_out = ", ".join(absent)
            progress.say(f"{whole.name}: no set lends images of no class; left out: {left_out}")


def _gain_on_own(folder: Folder, before: Tensor, after: Tensor) -> float:
    """Return the gain in points on the own images that show one of the names."""
    counted = folder.own.labels >= 0
    truth = folder.own.labels[counted]
    right, was = ((one[counted] == truth).sum(dtype=torch.float64) for one in (after, before))
    return float(100 * (right - was) / counted.sum())


def _gain_of_part(folder: Folder, before: Tensor, after: Tensor | None) -> float | None:
    return None if after is None else _gain_on_own(folder, before, after)


def _gain_on_mix(folder: Folder, weights: Tensor, before: Answers, after: Answers) -> float:
    """Return the gain in points on unseen images, averaged over classes with `weights` (C,).

    Classes without unseen images are left out.
    """
    truth, classes = folder.test.labels, len(weights)
    counts = truth.bincount(minlength=classes).double()
    change = (after.test == truth).double() - (before.test == truth).double()
    recall = torch.zeros(classes, dtype=torch.float64).index_add(0, truth, change)
    weights = weights.double() * (counts > 0)
    return float(100 * (weights * recall / counts.clamp_min(1)).sum() / weights.sum())


def _methods(
    options: argparse.Namespace, registry: Registry, progress: Progress
) -> dict[str, Method]:
    """Return the chosen or all installed methods, recipes last. Raises `LatteError`."""
    found: dict[str, Method] = {}
    for name in options.methods or known_methods(registry):
        try:
            found[name] = method_called(name, registry)
        except LatteError as error:
            if options.methods:
                raise
            progress.say(f"method {name} is left out: {error.what}")
    for text in options.method:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise LatteError(f'"{text}" is not NAME=RECIPE', where="--method")
        found[name] = load_method(Path(path), registry)
    return found


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks folders", description=__doc__)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=SPLIT:ROOT[:TEMPLATE]")
    add("--subset", action="append", default=[], metavar="NAME=SET:COUNT:SEED")
    add("--model", action="append", metavar="MODEL", help="a CLIP (default: plugin:tiny)")
    add("--draws", type=int, default=10, help="folders of each cell (%(default)s)")
    add("--cells", type=_listed, help=f"of: {', '.join(c.name for c in CELLS)}".replace("%", "%%"))
    add("--methods", type=_listed, help="names, separated by commas; without it all are run")
    add("--method", action="append", default=[], metavar="NAME=RECIPE", help="of a recipe")
    add("--images-per-class", type=int, help="encode at most so many in `train` and in `test`")
    add("--threads", type=int, default=1, help="of torch (%(default)s)")
    add("--out", type=Path, required=True, help="folder of rows.csv and summary.md")
    options = parser.parse_args(arguments)
    options.model = options.model or ["plugin:tiny"]
    for name in ("draws", "threads", "images_per_class"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more, not {value}")
    return options
