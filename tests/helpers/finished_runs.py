"""A finished run with every file that a run can write; tests damage copies of it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.results.answers import Answer, AnswerKind, append_answers, now
from latte.results.folder import RunFolder
from latte.results.run import Run
from tests.helpers.recorded import write_colour_images

RECIPE = """\
name: squares
dataset: {{use: folder, root: images, classes: [red, green, blue], evaluation: test}}
backbone: {{model: "local-dir:{clip}"}}
guard: {{use: fixed, strength: 1}}
describer: phrases
descriptions: [class, image]
gates: [refusal]
trainable: visual_layer_norms
labels: [current]
prototypes: {{use: momentum, momentum: 0.9}}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 1
  checkpoint_every: 1
  optimizer: {{learning_rate: 1.0e-3}}
"""


@dataclass(frozen=True)
class ExampleRun:
    """Paths of the run, which tests must not change."""

    folder: Path
    recipe: Path
    cache: Path


def finish_one(place: Path, clip: Path) -> ExampleRun:
    """Run `RECIPE` in `place`."""
    write_colour_images(place / "images", ("red", "green", "blue"), 2, (40, 36))
    for number, name in enumerate(("red", "green", "blue")):
        (place / "images" / name).rename(place / "images" / f"part-{number}")
    write_colour_images(place / "test", ("red", "green", "blue"), 2, (38, 38))
    recipe = place / "squares.yaml"
    recipe.write_text(RECIPE.format(clip=clip))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATTE_CACHE", str(place / "cache"))
        arguments = ["run", str(recipe), "--quiet", "--profile", "--set", f"output={place}/runs"]
        assert run_command_line(arguments) == 0
    (folder,) = (place / "runs").iterdir()
    _answer(Run(RunFolder(folder)))
    return ExampleRun(folder, recipe, place / "cache")


def _answer(run: Run) -> None:
    """Write `review.jsonl` in the run folder: answers of an earlier version.

    A class and an unsure answer measure the gain; another one is about a group.
    """
    answers: list[tuple[AnswerKind, str | None, str]] = [
        ("class", "red", "evidence"),
        ("unsure", None, "evidence"),
        ("class", "blue", "images"),
    ]
    images = zip(run.rows.training_keys, run.rows.training_ids, answers, strict=False)
    append_answers(
        run.folder.earlier_review,
        [
            Answer(key, *answer, run=run.folder.path.name, time=now(), image=image)
            for key, image, answer in images
        ],
    )


def copied(run: ExampleRun, to: Path) -> Path:
    """Copy the run folder below `to`, for a test that damages it."""
    copy = shutil.copytree(run.folder, to / "runs" / run.folder.name, symlinks=True)
    assert os.path.lexists(copy / "results.json")
    return copy
