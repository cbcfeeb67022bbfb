"""Labels of training images: true ones (`oracle: true`), or from a person (`corrections`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latte import distributed
from latte.describe.plan import Plan
from latte.interfaces import DescriptionType, LatteError, Progress
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


def oracle_labels(workspace: Workspace, images: Images) -> Tensor | None:
    """Return the true classes (N,) int64 of the training images; None without `oracle: true`.

    Raises `LatteError` if the dataset lacks the label of a training image.
    """
    if not workspace.recipe.general.oracle:
        return None
    known = workspace.dataset.audit_labels()
    ids = [image.id for image in images.training.images]
    unknown = [id_ for id_ in ids if id_ not in known]
    if unknown:
        raise LatteError(
            f"this recipe is an oracle, and {len(unknown)} of {len(ids)} training images have no "
            f"label, such as {unknown[0]}",
            where="dataset",
            hint="use a dataset whose training images are labelled, or take `oracle` and the "
            "options that need it out of the recipe",
        )
    return torch.tensor([known[id_] for id_ in ids], dtype=torch.int64)


def report_shortfall(
    plan: Plan, descriptions: Mapping[str, DescriptionType[Any]], progress: Progress
) -> None:
    """Report how many groups do not have the number of correct images that the recipe asks for."""
    true_labels, labels = plan.training.oracle_labels, plan.training.zero_shot_labels
    for name, planned in plan.descriptions.items():
        wanted, groups = descriptions[name].correct_images, planned.groups
        if wanted is None or groups is None or true_labels is None:
            continue
        short = int(((true_labels[groups] == labels[:, None]).sum(dim=1) != wanted).sum())
        if short:
            progress.say(
                f"oracle {name}: {short} of {len(groups)} groups miss correct: {wanted}, as no "
                "training image, or every one, is of their class"
            )
