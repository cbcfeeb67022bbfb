"""Stage `describe`: a text about each training image and its group, kept across runs."""

from __future__ import annotations

from typing import Any

from latte.data.images import open_image
from latte.describe.bank import DescriptionBank
from latte.describe.generate import generate
from latte.describe.options import with_template
from latte.describe.plan import TrainingSet, plan_requests
from latte.describe.store import DescriptionStore
from latte.interfaces import DescriptionType
from latte.run.guarding import is_held_back
from latte.run.images import Images
from latte.run.oracle import oracle_labels, tell_shortfall
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot


def build_descriptions(workspace: Workspace, template: str) -> dict[str, DescriptionType[Any]]:
    """The recipe's description types by label; open class templates become the dataset's.

    Where the guard keeps zero-shot nobody is asked, and only those of scope `class` are there.
    """
    built: dict[str, DescriptionType[Any]] = {}
    for choice in workspace.recipe.descriptions:
        built[choice.label] = workspace.build(choice, with_template(choice.options, template))
    if is_held_back(workspace.folder):
        return {label: kind for label, kind in built.items() if kind.scope == "class"}
    return built


def describe(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> DescriptionBank:
    """Serve texts from the store and have the rest written; the bank goes to the run folder."""
    descriptions = build_descriptions(workspace, images.template)
    training = TrainingSet(
        images=images.training.images,
        keys=images.training.keys,
        features=zero_shot.training,
        frozen_labels=zero_shot.frozen_labels,
        class_names=images.class_names,
        template=images.template,
        open=open_image,
        oracle_labels=oracle_labels(workspace, images),
    )
    needed = any(kind.scope != "class" for kind in descriptions.values())
    describer = workspace.describer if needed else None
    try:
        plan = plan_requests(training, descriptions, describer, workspace.seed)
        tell_shortfall(plan, descriptions, workspace.progress)
        with DescriptionStore(workspace.context.cache_dir / "descriptions") as store:
            result = generate(describer, plan, store, workspace.progress)
    finally:
        if describer is not None:
            describer.close()
    bank = DescriptionBank.from_plan(plan, result, descriptions)
    bank.save(workspace.folder.descriptions)
    return bank


def load_bank(workspace: Workspace, images: Images) -> DescriptionBank:
    """The bank that an earlier run of this folder wrote."""
    descriptions = build_descriptions(workspace, images.template)
    path = workspace.folder.descriptions
    return DescriptionBank.load(path, images.class_names, images.template, descriptions)
