"""Stage `describe`: generate texts about training images and groups of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

from latte import distributed
from latte.data.images import open_image
from latte.describe.bank import DescriptionBank
from latte.describe.gating import apply_gates
from latte.describe.generate import GenerateResult, Results, generate, without_text
from latte.describe.plan import Descriptions, Plan, Plans, TrainingSet, plan_requests
from latte.describe.shards import Shard
from latte.describe.spending import Spending
from latte.describe.store import DescriptionStore
from latte.interfaces import (
    Describer,
    DescriptionType,
    HeldBack,
    LatteError,
    Progress,
)
from latte.interfaces.record import DescribeFacts
from latte.io.memory import keep_freed_memory
from latte.models.zero_shot import ZeroShot
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.results.stored import DO_AGAIN
from latte.run.images import Images, find_images, true_labels
from latte.run.sending import check_sending
from latte.run.workspace import Workspace, description_folder, run_folder
from latte.run.zero_shot import compute_zero_shot
from latte.toolkit.descriptions import with_template


def describe(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    *,
    ask_again: bool = False,
) -> tuple[DescriptionBank, DescribeFacts] | None:
    """Read texts from the store, generate missing texts; return the run's description bank.

    The bank does not contain texts that gates filter out; the store does. Several processes each
    generate a share of the texts; only the main process returns the bank, and the facts.
    `ask_again` repeats requests that describers refused in an earlier run.
    """
    descriptions = build_descriptions(workspace, images.template)
    training = training_set(workspace, images, zero_shot)
    with DescriptionStore(description_folder()) as store:
        plans, generated = _ask_all(workspace, training, descriptions, store, ask_again=ask_again)
        failed = store.failed_requests(key for plan in plans.values() for key in plan.keys)
    if not distributed.is_main_process():
        return None
    if failed is not None:
        command = Run((workspace.parent or workspace).folder).repeat_command()
        workspace.progress.say(
            f"warning: {failed.count:,} of {failed.requests:,} requests failed, most often with "
            f"{failed.reason}; to send them again: {command}"
        )
    results, held_back = _hold_back(workspace, plans, generated, descriptions)
    bank = DescriptionBank.from_plans(training, plans, results, descriptions)
    return bank, DescribeFacts(held_back=held_back, failed=failed)


def load_bank(workspace: Workspace, images: Images) -> DescriptionBank:
    """Load the run's description bank (texts about its images, then about examples, if any).

    Raises `LatteError` if the file is damaged or belongs to other images.
    """
    descriptions = build_descriptions(workspace, images.template)
    path = workspace.folder.descriptions
    bank = DescriptionBank.load(path, images.class_names, images.template, descriptions)
    if bank.ids[: len(images.training.images)] != tuple(i.id for i in images.training.images):
        raise LatteError("this file is not about this run's images", where=str(path), hint=DO_AGAIN)
    return bank


def build_descriptions(workspace: Workspace, template: str) -> dict[str, DescriptionType[Any]]:
    """Return the recipe's description types by name; `template` is their default template."""
    return {
        choice.label: workspace.build(choice, with_template(choice.options, template))
        for choice in workspace.recipe.descriptions
    }


def training_set(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> TrainingSet:
    """Return the training images, with the features and labels that describers' requests need."""
    return TrainingSet(
        images=images.training.images,
        keys=images.training.keys,
        features=zero_shot.clip.training,
        zero_shot_labels=zero_shot.zero_shot_labels,
        class_names=images.class_names,
        template=images.template,
        open=open_image,
        true_labels=true_labels(workspace, images),
    )


def _ask_all(
    workspace: Workspace,
    training: TrainingSet,
    descriptions: Descriptions,
    store: DescriptionStore,
    *,
    shard: Shard | None = None,
    ask_again: bool = False,
) -> tuple[dict[str, Plan], dict[str, GenerateResult]]:
    """Let the describers answer their requests, one describer after another.

    Returns plans and results by describer name. Each describer is closed before the next one
    begins.
    """
    results = {}
    with planned_requests(workspace, training, descriptions) as (plans, waiting):
        for name, plan in plans.items():
            if len(plans) > 1:
                workspace.progress.say(f"describer {name}: {', '.join(plan.descriptions)}")
            results[name] = generate(
                waiting[name],
                plan,
                store,
                workspace.progress,
                shard=shard,
                ask_again=ask_again,
                spending=spending_of(workspace, waiting[name], shards=shard.count if shard else 1),
            )
            waiting.pop(name).close()
    return plans, results


def spending_of(
    workspace: Workspace, describer: Describer[Any], total: int | None = None, shards: int = 1
) -> Spending:
    """Return the count of a describer's tokens, kept in the run folder.

    `total` is the number of planned requests, if it is known before the requests are.
    """
    file, rank = workspace.folder.spent, distributed.rank()
    return Spending(
        describer,
        workspace.recipe.spending,
        file if rank == 0 else file.with_stem(f"{file.stem}-{rank}"),
        workspace.progress,
        total,
        shards * distributed.world_size(),
    )


@contextmanager
def planned_requests(
    workspace: Workspace, training: TrainingSet, descriptions: Descriptions
) -> Iterator[tuple[dict[str, Plan], dict[str, Describer[Any]]]]:
    """Plan all requests. Yield plans and describers by name; close the describers at the end."""
    describer_names = workspace.recipe.asked
    needed = {
        describer_names.get(label) for label, kind in descriptions.items() if kind.scope != "class"
    }
    describers = {
        choice.label: workspace.build(choice)
        for choice in workspace.recipe.describers
        if choice.label in needed
    }
    try:
        yield (
            plan_requests(training, descriptions, describers, workspace.seed, describer_names),
            describers,
        )
    finally:
        for describer in describers.values():
            describer.close()


def _hold_back(
    workspace: Workspace, plans: Plans, results: Results, descriptions: Descriptions
) -> tuple[dict[str, GenerateResult], tuple[HeldBack, ...]]:
    if not workspace.recipe.gates:
        return dict(results), ()
    gates = {choice.label: workspace.build(choice) for choice in workspace.recipe.gates}
    passed, records = apply_gates(gates, plans, results, descriptions)
    for line in _gate_lines(records):
        workspace.progress.say(line)
    return passed, tuple(records)


def _gate_lines(records: Sequence[HeldBack]) -> Iterator[str]:
    for description, group in groupby(records, key=lambda record: record.description):
        gates = [*group]
        active = [record for record in gates if record.held_back]
        total, held_back = gates[0].texts, sum(record.held_back for record in active)
        if not active:
            yield f"gates: all {total:,} texts of {description} passed"
            continue
        gate_counts = [f"{record.gate} {record.held_back:,}" for record in active]
        counts = f"{held_back:,} of {total:,} texts of {description}"
        yield f"gates held back {counts} ({', '.join(gate_counts)})"
        if held_back == total:
            first_record = active[0]
            yield (
                f"warning: gates left no text of {description}; the templates of frozen labels "
                f"take its place. An example, held back by {first_record.gate} as "
                f"{first_record.reason}: {first_record.example}"
            )


def describe_shard(
    recipe: Recipe,
    registry: Registry,
    progress: Progress,
    shard: Shard,
    *,
    limit: int | None = None,
    ask_again: bool = False,
) -> str:
    """Generate the texts for one shard (share) of a recipe's requests; return a summary line.

    Each process writes its own file in the store and has its own folder below the run folder, so no
    process waits for a lock. The number of shards may differ between calls.
    """
    keep_freed_memory()
    main_folder = run_folder(recipe, limit)
    folder = RunFolder(main_folder.shards / f"{shard.index}-of-{shard.count}")
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    with folder.lock():
        check_sending(recipe, workspace.dataset, registry)
        images = find_images(workspace)
        training = training_set(workspace, images, compute_zero_shot(workspace, images))
        kinds = build_descriptions(workspace, images.template)
        with DescriptionStore(description_folder()) as store:
            plans, results = _ask_all(
                workspace, training, kinds, store, shard=shard, ask_again=ask_again
            )
    keys = [key for plan in plans.values() for key in plan.keys]
    keys_of_shard = [key for key in keys if shard.holds(key)]
    served = sum(result.served for result in results.values())
    written = sum(result.generated for result in results.values())
    refused = sum(result.refused for result in results.values())
    counts = [
        f"{len(keys_of_shard):,} of {len(keys):,} requests",
        f"{written:,} written",
        f"{served:,} were there",
        *without_text(refused, store.failed_requests(keys_of_shard)),
    ]
    return f"shard {shard}: {', '.join(counts)}"
