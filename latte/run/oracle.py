"""True labels of training images, which only recipes with `oracle: true` use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latte.describe.plan import Plan
from latte.interfaces import DescriptionType, LatteError, Progress
from latte.run.images import Images
from latte.run.workspace import Workspace


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
