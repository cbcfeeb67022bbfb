"""Labels that a person gave to training images on purpose, from the recipe's `corrections`."""

from __future__ import annotations

from dataclasses import replace

from latte import distributed
from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.results.answers import checked_corrections, teaching_labels
from latte.run.images import Images
from latte.run.workspace import Workspace


def with_corrections(workspace: Workspace, images: Images) -> Images:
    """Return `images` with the labels of the recipe's `corrections`; unchanged without the key.

    Only the main process reads the file, and only once, because a reviewer may extend it during the
    run. Images are identified by their content, so all copies of an image get the same label.

    Raises `LatteError` if the file is missing or is not the review.jsonl of a run, or if it names a
    class that the recipe does not have.
    """
    if workspace.recipe.general.corrections is None:
        return images
    return replace(images, corrections=distributed.broadcast(lambda: _read(workspace, images)))


def _read(workspace: Workspace, images: Images) -> tuple[int, ...]:
    path = workspace.recipe.base_dir / str(workspace.recipe.general.corrections)
    if not path.is_file():
        raise LatteError(
            f"there is no file {path}", where="corrections", hint="latte review RUN writes one"
        )
    checked_corrections(path)
    names = {name: label for label, name in enumerate(images.class_names)}
    given = teaching_labels(path)
    for name in given.values():
        if name not in names:
            hint = did_you_mean(name, names) or None
            raise LatteError(f'"{name}" is none of the classes', where=str(path), hint=hint)
    return tuple(names[given[key]] if key in given else -1 for key in images.training.keys)
