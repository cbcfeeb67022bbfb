"""Stage `describe`: a text about each training image and its group, kept across runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latte import processes
from latte.data.images import open_image
from latte.describe.bank import DescriptionBank
from latte.describe.generate import GenerateResult, generate
from latte.describe.options import with_template
from latte.describe.plan import Plan, TrainingSet, plan_requests
from latte.describe.shard import Shard
from latte.describe.store import DescriptionStore
from latte.interfaces import Describer, DescriptionType, LatteError
from latte.run.gating import hold_back
from latte.run.images import Images
from latte.run.oracle import oracle_labels, tell_shortfall
from latte.run.stored import DO_AGAIN
from latte.run.workspace import Workspace, description_folder
from latte.run.zero_shot import ZeroShot


def build_descriptions(workspace: Workspace, template: str) -> dict[str, DescriptionType[Any]]:
    """The recipe's description types by label; open class templates become the dataset's."""
    built: dict[str, DescriptionType[Any]] = {}
    for choice in workspace.recipe.descriptions:
        built[choice.label] = workspace.build(choice, with_template(choice.options, template))
    return built


def describe(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, ask_again: bool = False
) -> DescriptionBank | None:
    """Serve texts from the store and have the rest written; the bank goes to the run folder.

    `ask_again` asks also what was refused in an earlier run. What the recipe's gates hold back
    stays in the store and does not reach the bank. Several processes ask for a share each, and the
    first makes the bank; the others get None.
    """
    descriptions = build_descriptions(workspace, images.template)
    training = training_set(workspace, images, zero_shot)
    plans, results = ask_all(workspace, training, descriptions, ask_again=ask_again)
    if not processes.is_first():
        return None
    results = hold_back(workspace, plans, results, descriptions)
    bank = DescriptionBank.from_plans(training, plans, results, descriptions)
    bank.save(workspace.folder.descriptions)
    return bank


def training_set(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> TrainingSet:
    """The training images as the describing stage sees them."""
    return TrainingSet(
        images=images.training.images,
        keys=images.training.keys,
        features=zero_shot.training,
        frozen_labels=zero_shot.frozen_labels,
        class_names=images.class_names,
        template=images.template,
        open=open_image,
        oracle_labels=oracle_labels(workspace, images),
    )


def build_describers(
    workspace: Workspace, descriptions: Mapping[str, DescriptionType[Any]]
) -> dict[str, Describer[Any]]:
    """By label, in the recipe's order: the describers that `descriptions` ask."""
    asked = workspace.recipe.asked
    needed = {asked.get(label) for label, kind in descriptions.items() if kind.scope != "class"}
    return {
        choice.label: workspace.build(choice)
        for choice in workspace.recipe.describers
        if choice.label in needed
    }


def ask_all(
    workspace: Workspace,
    training: TrainingSet,
    descriptions: Mapping[str, DescriptionType[Any]],
    *,
    shard: Shard | None = None,
    ask_again: bool = False,
) -> tuple[dict[str, Plan], dict[str, GenerateResult]]:
    """What each describer is asked and what it answered; each is closed before the next begins.

    With a `shard`, only its share of the requests is answered.
    """
    waiting = build_describers(workspace, descriptions)
    results = {}
    try:
        plans = plan_requests(
            training, descriptions, waiting, workspace.seed, workspace.recipe.asked
        )
        with DescriptionStore(description_folder()) as store:
            for name, plan in plans.items():
                tell_shortfall(plan, descriptions, workspace.progress)
                if len(plans) > 1:
                    workspace.progress.say(f"describer {name}: {', '.join(plan.descriptions)}")
                results[name] = generate(
                    waiting[name],
                    plan,
                    store,
                    workspace.progress,
                    shard=shard,
                    ask_again=ask_again,
                )
                waiting.pop(name).close()
    finally:
        for describer in waiting.values():
            describer.close()
    return plans, results


def load_bank(workspace: Workspace, images: Images) -> DescriptionBank:
    """The bank that an earlier run of this folder wrote.

    Raises `LatteError` for a file that is damaged, or about other images.
    """
    descriptions = build_descriptions(workspace, images.template)
    path = workspace.folder.descriptions
    bank = DescriptionBank.load(path, images.class_names, images.template, descriptions)
    if bank.ids != tuple(image.id for image in images.training.images):
        raise LatteError("this file is not about this run's images", where=str(path), hint=DO_AGAIN)
    return bank
