"""Adapt CLIP to a folder of images in one call.

`latte adapt` and the function `latte.adapt` choose a method, write a recipe and run the recipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from latte.interfaces import LatteError, Progress, RunResults
from latte.interfaces.errors import suggestion
from latte.interfaces.settings import BackboneSettings
from latte.io.files import digest
from latte.io.machine import machine_errors
from latte.io.paths import given_path, read_text
from latte.new.arguments import (
    ADAPT,
    PYTHON,
    Arguments,
    given_classes,
    given_text,
    naming_argument,
)
from latte.new.asked_model import AskedModel
from latte.new.choices import Choices, choose
from latte.new.earlier_answers import files_of_answers
from latte.new.encoders import encoder_keys
from latte.new.given_images import given_images
from latte.new.images import Findings, look_at
from latte.new.labels import given_labels
from latte.new.methods import NAMES
from latte.new.models import refuse_backbone, refuse_unreachable, this_machine
from latte.new.writing import backbone_keys, recipe_text, write_recipe
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry, load_registry

if TYPE_CHECKING:
    from latte.new.model import Model

RUNS = Path("adapted")
_MARK = "# latte adapt replaces this file until you edit it: "


@dataclass(frozen=True)
class Proposal:
    """Recipe file that has not been run yet, with the findings and choices that led to it."""

    recipe: Path
    output: Path
    findings: Findings
    choices: Choices
    arguments: Arguments


def adapt(
    images: str | PathLike[str] | Iterable[str | PathLike[str]],
    classes: str | PathLike[str] | Iterable[str] | None = None,
    *,
    labels: object = None,
    test: str | PathLike[str] | None = None,
    method: str = "auto",
    model: str | None = None,
    encoder: str | Sequence[str] | None = None,
    runs: str | PathLike[str] = RUNS,
    answers: bool = True,
    progress: Progress | bool = True,
) -> Model:
    """Adapt CLIP to unlabelled images and return the classifier, as `latte.load` does.

    The recipe is written to RUNS/NAME.yaml, where NAME is the name of the images' folder. The run
    folder is below RUNS. A repeated call continues or reuses this run. The classifier has the
    attributes `folder` (the run folder) and `verdict`: the guard's decision to use the adapted
    model or zero-shot CLIP. Whether the adapted model is better, only labels can tell: `test`, or
    the answers of `latte review FOLDER`. Paths may begin with `~`.

    Args:
        images: a folder of images, searched with its sub-folders; or paths of images: a list, an
            array, or a column of a table of pandas or polars. They are listed in a file in RUNS.
        classes: a text file with one class name per line, or the names: a list or another ordered
            iterable (not a set), or a text such as `cat,dog`. None means the names of the
            sub-folders or, if there are fewer than two, of the sub-folders of `test`.
        labels: classes of some images, which teach: a mapping such as `{"photos/1.jpg": "cat"}`,
            pairs, a table of pandas or polars with two columns, or the path of a file or folder
            that `latte adapt --labels` reads. Images that are not in `images` join them.
        test: labelled images to measure the gain: a folder with a sub-folder per class, or a CSV
            file with the columns path and class. The CSV file may name some of `images`. Training
            never uses these labels.
        method: `auto`, or one of the methods that `latte adapt --help` lists.
        model: a CLIP, such as `ViT-B-32:laion2b_s34b_b79k`, `plugin:tiny` or `local-dir:FOLDER`;
            None chooses one that suits this machine.
        encoder: an image-only model beside the CLIP, as NAME or NAME:MODEL, such as
            `dinov2-small` or `timm:FOLDER`; or a list of these.
        runs: the folder for the recipe and the run.
        answers: True, the default, lets earlier answers about these images teach, whichever run in
            `runs` asked. False leaves them out.
        progress: True, the default, shows progress and messages on standard error, as `latte adapt`
            does; False shows nothing, now and when the model is used; or an object shows them.

    Raises:
        LatteError: if an argument is wrong, the run fails, or the machine fails (a full disk).

    Example:
        >>> model = latte.adapt("photos", ["cat", "dog"])  # doctest: +SKIP
        >>> model.predict("photos/1.jpg")[0].name  # doctest: +SKIP
        'cat'
    """
    registry = load_registry()
    with machine_errors():
        folder = given_path(runs, "runs")
        root, listed = given_images(images, folder)
        from latte.new.model import display, load

        shown = display(progress)
        labels_file = recipe_path(root, folder, listed).with_suffix(".labels.csv")
        with given_labels(labels, labels_file) as labels_path:
            proposed = propose(
                root,
                given_classes(classes),
                None if test is None else given_path(test, "test"),
                folder,
                given_text(method, "method", "self-taught"),
                None if model is None else given_text(model, "model", "plugin:tiny"),
                encoders=_given_encoders(encoder),
                listed=listed,
                labels=labels_path,
                answers=answers,
                registry=registry,
                arguments=PYTHON,
                progress=shown,
            )
        for line in reasons(proposed.findings, proposed.choices):
            shown.say(line)
        results = run_proposal(proposed, registry, shown)
        return load(results.folder, progress=progress)


def reasons(findings: Findings, choices: Choices) -> list[str]:
    """Return a sentence for each chosen setting, then the warnings."""
    return [*choices.reasons, *(f"warning: {warning}" for warning in findings.warnings())]


def _given_encoders(encoder: str | Sequence[str] | None) -> tuple[str, ...]:
    names = [] if encoder is None else [encoder] if isinstance(encoder, str) else encoder
    return tuple(given_text(name, "encoder", "dinov2-small") for name in names)


def propose(
    images: Path,
    classes: Path | Sequence[str] | None,
    test: Path | None,
    output: Path,
    method: str,
    model: str | None,
    *,
    encoders: Sequence[str] = (),
    listed: Path | None = None,
    labels: Path | None = None,
    answers: bool = True,
    asked: AskedModel | None = None,
    registry: Registry,
    arguments: Arguments = ADAPT,
    progress: Progress | None = None,
) -> Proposal:
    """Look at the images, choose a method, and write the recipe with a reason for each choice.

    `listed` is a CSV file that names the images in the folder `images`; None means all. Unless
    `answers` is False, earlier answers about the images teach. The run asks the model `asked`, if
    there is one. Error messages use the argument names in `arguments`. Raises `LatteError` if the
    recipe file exists and has been edited.
    """
    from latte.backbone.source import check_model

    check_method(method, arguments.method)
    path = recipe_path(images, output, listed)
    if model is not None:
        settings = BackboneSettings.model_validate(backbone_keys(model, path))
        base, find_folder = path.parent.absolute(), registry.model_folder
        with naming_argument(arguments.model):
            refuse_backbone(model, registry)
            check_model(settings, base_dir=base, model_folder=find_folder)
    with naming_argument(arguments.encoder):
        keys = encoder_keys(encoders, registry)
    findings = look_at(
        images,
        classes,
        test,
        labels,
        listed=listed,
        answers=files_of_answers(output, path.stem) if answers else (),
        arguments=arguments,
        progress=progress,
    )
    choices = choose(findings, this_machine(), registry, method, model, keys, asked)
    if not path.exists():  # else the run may have all features already
        with naming_argument(arguments.model):
            refuse_unreachable(choices.model, arguments.tiny_model)
    _write(path, recipe_text(findings, choices, path, runs_beside=True), registry)
    return Proposal(path, output, findings, choices, arguments)


def recipe_path(images: Path, output: Path, listed: Path | None = None) -> Path:
    """Return the path of the recipe for the folder `images`, in the folder `output`.

    The recipe for the images in a file `listed` is beside the file, and has its name.
    """
    if listed is not None:
        return listed.with_suffix("").with_suffix(".yaml")
    return output / f"{images.absolute().resolve().name or 'images'}.yaml"


def run_proposal(proposed: Proposal, registry: Registry, progress: Progress) -> RunResults:
    """Run all stages of a proposed recipe and return the results; finished stages are reused."""
    from latte.run.ready import fetch_backbone, fetch_encoders
    from latte.run.workspace import run_folder

    recipe, output = load_recipe(proposed.recipe, registry), proposed.output
    folder = run_folder(recipe, None, output)
    if folder.results.exists():
        folder.results.read()  # its errors do not name the model
    with naming_argument(proposed.arguments.model):
        fetch_backbone(recipe, registry, folder)
    with naming_argument(proposed.arguments.encoder):
        fetch_encoders(recipe, registry, folder)
    from latte.run.runner import run_recipe

    results = run_recipe(recipe, registry, progress, output=output)
    assert results is not None, "the run goes to its last stage"
    return results


def check_method(method: str, argument: str) -> str:
    """Return `method` if it exists, else raise `LatteError` with the most similar name."""
    if method in NAMES:
        return method
    hint = suggestion(method, NAMES, "All methods")
    raise LatteError(f'there is no method "{method}"', where=argument, hint=hint)


def _write(path: Path, text: str, registry: Registry) -> None:
    """Write the recipe `text`, if it is valid, with a digest by which a later call sees edits."""
    body, _, written = (read_text(path) if path.exists() else "").rpartition(_MARK)
    if path.exists() and written.strip() != digest(body):
        raise LatteError(
            "this recipe has been edited, and is not overwritten",
            where=str(path),
            hint=f"run it as it is: latte run {path} --set output={path.parent}; "
            "or name another output folder",
        )
    write_recipe(path, f"{text}{_MARK}{digest(text)}\n", registry)
