"""Labels that a person gave to training images on purpose, from the recipe's `corrections`."""

from __future__ import annotations

import torch
from torch import Tensor

from latte.interfaces import LatteError
from latte.interfaces.errors import did_you_mean
from latte.results.answers import latest, read_answers
from latte.run.images import Images
from latte.run.workspace import Workspace

UNCORRECTED = -1


def read_corrections(workspace: Workspace, images: Images) -> Tensor | None:
    """Return a person's labels (N,) int64, `UNCORRECTED` without one; None without `corrections`.

    Only answers from the teaching queues are used, never evidence. An image is found by its
    content, so all copies of an image get its label.

    Raises `LatteError` if there is no such file, or an answer names no class of this recipe.
    """
    written = workspace.recipe.general.corrections
    if written is None:
        return None
    path = workspace.recipe.base_dir / written
    if not path.is_file():
        raise LatteError(
            f"there is no file {path}", where="corrections", hint="latte review RUN writes one"
        )
    names = {name: label for label, name in enumerate(images.class_names)}
    given = {
        key: one.label
        for key, one in latest(read_answers(path)).items()
        if one.use == "teaching" and one.label is not None
    }
    for name in given.values():
        if name not in names:
            hint = did_you_mean(name, names) or None
            raise LatteError(f'"{name}" is none of the classes', where=str(path), hint=hint)
    found = [names[given[key]] if key in given else UNCORRECTED for key in images.training.keys]
    return torch.tensor(found, dtype=torch.int64)
