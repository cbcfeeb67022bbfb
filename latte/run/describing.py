"""What a recipe's gates hold back, of the texts that its describers wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from latte import distributed
from latte.data.images import open_image
from latte.describe.bank import DescriptionBank
from latte.describe.gating import apply_gates
from latte.describe.generate import GenerateResult, generate
from latte.describe.plan import Plan, TrainingSet, plan_requests
from latte.describe.shards import Shard
from latte.describe.store import DescriptionStore
from latte.interfaces import Describer, DescriptionType, HeldBack, LatteError, Progress
from latte.io.files import write_json
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.folder import RunFolder
from latte.results.stored import DO_AGAIN, read_stored
from latte.run.images import Images, find_images
from latte.run.oracle import oracle_labels, tell_shortfall
from latte.run.process import keep_freed_memory
from latte.run.workspace import Workspace, description_folder, run_folder
from latte.run.zero_shot import ZeroShot, compute_zero_shot
from latte.toolkit.descriptions import with_template


def hold_back(
    workspace: Workspace,
    plans: Mapping[str, Plan],
    results: Mapping[str, GenerateResult],
    descriptions: Mapping[str, DescriptionType[Any]],
) -> dict[str, GenerateResult]:
    """`results` by describer, without what gates hold back; counts are written down and said."""
    path = workspace.folder.gates
    if not workspace.recipe.gates:
        path.unlink(missing_ok=True)
        return dict(results)
    gates = {choice.label: workspace.build(choice) for choice in workspace.recipe.gates}
    passed, records = apply_gates(gates, plans, results, descriptions)
    write_json(path, [asdict(record) for record in records])
    for line in summary(records):
        workspace.progress.say(line)
    return passed


def read_held_back(folder: RunFolder) -> tuple[HeldBack, ...]:
    """What gates held back in this run, by description and gate; empty without gates."""
    if not folder.gates.exists():
        return ()
    return tuple(read_stored(folder.gates, list[HeldBack]))


def summary(records: Sequence[HeldBack]) -> Iterator[str]:
    """A line for each description, and a warning where nothing of it is left."""
    for description, group in groupby(records, key=lambda record: record.description):
        of = [*group]
        total, held_back = of[0].texts, sum(record.held_back for record in of)
        if not held_back:
            yield f"gates: all {total:,} texts of {description} passed"
            continue
        parts = [f"{record.gate} {record.held_back:,}" for record in of if record.held_back]
        counts = f"{held_back:,} of {total:,} texts of {description}"
        yield f"gates held back {counts} ({', '.join(parts)})"
        if held_back == total:
            yield (
                f"warning: gates left no text of {description}; the templates of frozen labels "
                f"take its place. An example, held back by {_first(of)}"
            )


def _first(records: Sequence[HeldBack]) -> str:
    record = next(one for one in records if one.held_back)
    return f"{record.gate} as {record.reason}: {record.example}"


# Stage `describe`: a text about each training image and its group, kept across runs.


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
    if not distributed.is_main_process():
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
        zero_shot_labels=zero_shot.zero_shot_labels,
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


# `latte describe --shard`: workers that answer a recipe's requests side by side.
#
# They meet in the description store alone: each has its own part there, and its own folder below
# the run's, so that nobody waits for a lock.


@dataclass(frozen=True)
class ShardResult:
    """What became of one worker's share of the requests."""

    shard: Shard
    total: int
    """Distinct requests of the whole recipe."""
    there: int
    """Of the share: texts that were in the store."""
    written: int
    refused: int
    failed: int

    def __str__(self) -> str:
        share = self.there + self.written + self.refused + self.failed
        line = (
            f"shard {self.shard}: {share:,} of {self.total:,} requests, "
            f"{self.written:,} written, {self.there:,} were there"
        )
        line += f", {self.refused:,} refused" if self.refused else ""
        return line + (f", {self.failed:,} failed" if self.failed else "")


def describe_shard(
    recipe: Recipe,
    registry: Registry,
    progress: Progress,
    shard: Shard,
    *,
    limit: int | None = None,
    ask_again: bool = False,
) -> ShardResult:
    """Answer one share of a recipe's requests; texts go to the store, nothing to the run folder.

    A run of the recipe finds the texts afterwards, as does any other number of shards.
    """
    keep_freed_memory()
    whole = run_folder(recipe, limit)
    folder = RunFolder(whole.shards / f"{shard.index}-of-{shard.count}")
    workspace = Workspace(recipe, registry, progress, folder, limit=limit)
    with folder.lock():
        images = find_images(workspace)
        zero_shot = compute_zero_shot(workspace, images)
        plans, results = ask_all(
            workspace,
            training_set(workspace, images, zero_shot),
            build_descriptions(workspace, images.template),
            shard=shard,
            ask_again=ask_again,
        )
    found = results.values()
    return ShardResult(
        shard,
        total=sum(len(plan.requests) for plan in plans.values()),
        there=sum(one.served for one in found),
        written=sum(one.generated for one in found),
        refused=sum(one.refused for one in found),
        failed=sum(one.failed for one in found),
    )
