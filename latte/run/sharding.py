"""`latte describe --shard`: workers that answer a recipe's requests side by side.

They meet in the description store alone: each has its own part there, and its own folder below
the run's, so that nobody waits for a lock.
"""

from __future__ import annotations

from dataclasses import dataclass

from latte.describe.shard import Shard
from latte.interfaces import Progress
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.run.describing import ask_all, build_descriptions, training_set
from latte.run.folder import RunFolder
from latte.run.images import find_images
from latte.run.memory import keep_freed_memory
from latte.run.workspace import Workspace, run_folder
from latte.run.zero_shot import compute_zero_shot


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
