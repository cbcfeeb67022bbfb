"""`latte distil`: train a student on the labels of a run. Importing this imports no torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.api import LatteError, Progress
from latte.api.output import echo, make_progress, naming
from latte.api.plugins import PluginOption
from latte.api.runs import Run, open_run, run_images

if TYPE_CHECKING:
    from latte.api.runs import ImagePredictor
    from latte_student.folder import Student
    from latte_student.lesson import Lesson
    from latte_student.measuring import Examples, Measured


def distil(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run that labelled images.")
    ],
    student: Annotated[
        str, typer.Option(metavar="timm:NAME", help="The network, by its name in timm.")
    ] = "timm:mobilenetv4_conv_small",
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights to start from: .safetensors, or torch's file of weights alone. Default: "
            "random weights; nothing is downloaded.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: students/RUN-NAME."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=32, max=1024, help="Pixels per side. Default: those of the network."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Largest number of epochs.")] = 30,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without gain on left-out images before the end.")
    ] = 5,
    batch_size: Annotated[int, typer.Option(min=2, help="Images per step.")] = 32,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=1e-6, max=1.0, help="Default: 0.001, or 0.0002 with --weights.", show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31)] = 0,
    plugin: PluginOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Train a small image classifier on the labels of a run, and write it as ONNX and in int8.

    The network learns the run's probabilities of its own images, and a person's answers. Images
    that show no class, and doubtful ones, count less. It stops when a tenth of the series, left
    out of training, no longer gains. After an interruption, the same command goes on with the same
    bits.

    `latte predict DIR IMAGES` then classifies images with the student.
    """
    from latte_student.folder import distilled
    from latte_student.lesson import read_lesson
    from latte_student.settings import DistilSettings

    with naming("RUN"):
        opened = open_run(run)
    opened.require_model()
    progress = make_progress(quiet)
    settings = DistilSettings(
        student, weights, size, epochs, patience, batch_size, learning_rate, seed
    )
    _check(settings.student, weights)
    lesson = read_lesson(opened)
    if opened.record.judge.used == "zero-shot" and not quiet:
        progress.say("the run kept zero-shot CLIP, so its labels teach the student")
    folder = output or Path("students") / f"{run.name}-{student.removeprefix('timm:')}"
    finished = distilled(opened, lesson, settings, folder, progress)
    _print(finished, *_measured(opened, lesson, finished, progress))


def _check(student: str, weights: Path | None) -> None:
    """Raise `LatteError` for an unknown network, or a missing file, before anything is read."""
    from latte_student.network import known_name

    known_name(student)
    if weights is not None and not weights.is_file():
        raise LatteError("there is no such file", where=f"--weights {weights}")


def _measured(
    run: Run, lesson: Lesson, student: Student, progress: Progress
) -> tuple[Examples, list[Measured]]:
    """Measure teacher, student and int8 on labelled images, or else on left-out images."""
    from latte.api.runs import open_model
    from latte_student.measuring import labelled_examples, left_out_examples, measure
    from latte_student.onnx_files import INT8, MODEL

    labelled = run_images(run).labelled
    images, labels = [sample.image for sample in labelled], [sample.label for sample in labelled]
    if labelled:
        examples = labelled_examples(images, labels, progress)
    else:
        examples = left_out_examples(lesson, run.rows.series)
    if not examples.images:
        return examples, []
    path = run.folder.path
    models = path / "models" / "adapted"
    files = [file for file in models.rglob("*") if file.suffix == ".safetensors"]
    rows = [measure("teacher", lambda: open_model(path, "cpu"), files, examples, progress)]
    for name, file in (("student", MODEL), ("int8", INT8)):
        place = student.folder / file
        opens = partial(_opened, place)
        rows.append(measure(name, opens, [place], examples, progress))
    return examples, rows


def _opened(file: Path) -> ImagePredictor:
    from latte.api.runs import ClassifierPredictor
    from latte_student.opened import OnnxStudent

    return ClassifierPredictor(OnnxStudent(file))


def _print(student: Student, examples: Examples, rows: list[Measured]) -> None:
    from latte_student.measuring import table_lines

    epochs = f"best after {student.best_epoch} of {student.epochs} epochs"
    echo(f"trained in {student.seconds / 60:.1f} min; {epochs}")
    if rows:
        echo(examples.title)
        echo("\n".join(table_lines(rows)))
    echo(
        f"int8 keeps {student.kept:.0%} of the student's agreement with the run, so latte predict "
        f"uses {student.model}"
    )
    echo(f"next\tlatte predict {student.folder} IMAGES")
