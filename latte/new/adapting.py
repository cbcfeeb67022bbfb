"""Adapt CLIP to a folder of images in one call: look, choose, write the recipe, run it.

The command `latte adapt` and the function `latte.adapt` are two ways to call this.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from latte.interfaces import LatteError, Progress, RunResults
from latte.interfaces.errors import did_you_mean
from latte.interfaces.progress import SilentProgress
from latte.io.files import write_atomically
from latte.new import METHODS
from latte.new.choices import Choices, choose, this_machine
from latte.new.images import Findings, look_at
from latte.new.writing import recipe_text
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry, load_registry

if TYPE_CHECKING:
    from latte.predict.predictor import Predictor

OUTPUT = Path("adapted")
"""Folder of recipes and run folders, from the current folder, unless another is named."""


@dataclass(frozen=True)
class Proposal:
    """A recipe that is written and not yet run."""

    recipe: Path
    output: Path
    found: Findings
    chosen: Choices


def adapt(
    images: str | PathLike[str],
    classes: str | PathLike[str] | Sequence[str] | None = None,
    *,
    test: str | PathLike[str] | None = None,
    method: str = "auto",
    model: str | None = None,
    output: str | PathLike[str] = OUTPUT,
    device: str = "auto",
    progress: Progress | None = None,
) -> Predictor:
    """Adapt CLIP to unlabelled images and return the classifier, as `latte.load` does.

    The recipe is kept as OUTPUT/NAME.yaml, the run below OUTPUT. The same call again continues or
    reuses what is there.

    Args:
        images: a folder of images, searched with its sub-folders.
        classes: a text file with one class name per line, or the names; None: the names of the
            sub-folders.
        test: a folder of labelled images by class, to measure the gain; never used for training.
        method: `auto`, or one of the methods that `latte adapt --help` lists.
        model: a CLIP, such as `ViT-B-32:laion2b_s34b_b79k`, `plugin:tiny` or `local-dir:FOLDER`.
        output: where recipe and run go.
        device: of the returned classifier: auto, cpu, cuda, cuda:N or mps.
        progress: is called with progress and messages; None: nothing is shown.

    Raises:
        LatteError: if a path, a name or the method is wrong, or the run fails.

    Example:
        >>> model = latte.adapt("photos", ["cat", "dog"])  # doctest: +SKIP
        >>> model.predict("photos/1.jpg")[0].name  # doctest: +SKIP
        'cat'
    """
    from latte.predict.predictor import load

    registry = load_registry()
    proposed = propose(
        Path(images),
        Path(classes) if isinstance(classes, str | PathLike) else classes,
        None if test is None else Path(test),
        Path(output),
        method,
        model,
        registry=registry,
    )
    results = run_proposal(proposed, registry, progress or SilentProgress())
    return load(results.folder, device, progress)


def propose(
    images: Path,
    classes: Path | Sequence[str] | None,
    test: Path | None,
    output: Path,
    method: str,
    model: str | None,
    *,
    registry: Registry,
) -> Proposal:
    """Look at the images, choose a method, and write the recipe with its reasons.

    Raises `LatteError` for what no run could use, and for a recipe of that name that says
    something else.
    """
    check_method(method)
    found = look_at(images, classes, test)
    chosen = choose(found, this_machine(), registry, method, model)
    path = output / f"{_name(images)}.yaml"
    _write(path, recipe_text(found, chosen, path), registry)
    return Proposal(path, output, found, chosen)


def run_proposal(proposed: Proposal, registry: Registry, progress: Progress) -> RunResults:
    """Run the recipe of a proposal to its report; what is finished is reused."""
    from latte.run.runner import run_recipe

    recipe = load_recipe(proposed.recipe, registry)
    results = run_recipe(recipe, registry, progress, output=proposed.output)
    assert results is not None, "the run goes to its last stage"
    return results


def check_method(method: str) -> str:
    """Return `method` if there is one of that name. Raises `LatteError` with the nearest."""
    if method in METHODS:
        return method
    hint = f"{did_you_mean(method, METHODS)} All methods: {', '.join(METHODS)}".strip()
    raise LatteError(f'there is no method "{method}"', where="--method", hint=hint)


def _write(path: Path, text: str, registry: Registry) -> None:
    """Write `text`, a valid recipe, unless the same is there. Raises `LatteError`."""
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise LatteError(
                    "this recipe exists and differs from what these arguments give",
                    where=str(path),
                    hint=f"run it as it is: latte run {path} --set output={path.parent}; "
                    "or name another folder: --output DIR",
                )
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
            load_recipe(temporary, registry)
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(path)) from error


def _name(images: Path) -> str:
    """Name of the recipe: that of the images' folder."""
    return images.absolute().resolve().name or "images"
