"""A stage says what it needs and how its result is made; a job runs and reuses the stages of a run.

The stages of latte, in order, are in `latte.run.plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from latte.interfaces.record import RunRecord, StageRecord
from latte.io.files import digest, digest_json
from latte.recipe.model import Recipe
from latte.registry.spec import Kind
from latte.run.identity import RunInputs, code_of, component_inputs
from latte.run.images import Images, true_labels
from latte.run.result import StageResult
from latte.run.workspace import Workspace

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Stage(Generic[ResultT]):
    """A stage of a run. `ResultT` is the type of the result that later stages use."""

    name: str
    """Name in the record, in messages and in `--until`."""
    make: Callable[[Job], StageResult]
    """Makes the result, writes files, and returns these with the stage's facts."""
    kinds: tuple[Kind, ...] = ()
    """Kinds of the components whose options and code are inputs."""
    inputs: Callable[[RunInputs], Sequence[Any]] = lambda inputs: ()
    """Returns the other inputs as JSON data, apart from those of earlier stages."""
    load: Callable[[Job], ResultT] | None = None
    """Loads the result from the run folder in a later process; None if no later stage uses it."""

    def fingerprint(self, earlier: str, inputs: RunInputs) -> str:
        """Return a digest of the stage's inputs and the fingerprint of the `earlier` stage."""
        components = component_inputs(inputs.recipe, self.kinds)
        return digest(earlier, digest_json([components, [*self.inputs(inputs)]]))

    def code(self, recipe: Recipe) -> dict[str, str]:
        """Return digests of the plugin code that the stage uses, by package."""
        return code_of(recipe, self.kinds)


StagePlan = Sequence[Stage[Any]]
"""Stages in order."""


def stage_fingerprints(plan: StagePlan, inputs: RunInputs) -> dict[str, str]:
    """Return one fingerprint per stage: a hash of all inputs of the stage and of earlier stages."""
    fingerprints, earlier = dict[str, str](), ""
    for stage in plan:
        earlier = fingerprints[stage.name] = stage.fingerprint(earlier, inputs)
    return fingerprints


def first_stages(plan: StagePlan, until: str) -> StagePlan:
    """Return the stages up to the one called `until`."""
    return plan[: [stage.name for stage in plan].index(until) + 1]


@dataclass
class Job:
    """The inputs that all stages of a run share, and the results of finished stages.

    Raises `LatteError` if the recipe uses true labels of training images that have none.
    """

    plan: StagePlan
    workspace: Workspace
    images: Images
    ask_again: bool = False
    _results: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        labels = true_labels(self.workspace, self.images)
        inputs = RunInputs(
            self.workspace.recipe,
            self.images.fingerprint,
            self.workspace.backbone.identity(),
            [loader.identity() for loader in self.workspace.encoder_loaders.values()],
            None if labels is None else labels.tolist(),
            self.images.given_labels,
            self.images.series_names,
        )
        self.fingerprints: dict[str, str] = stage_fingerprints(self.plan, inputs)

    def reusable(self, stage: str) -> StageRecord | None:
        """Return the record of a finished stage, or None if the stage must run (again)."""
        return None if self.to_repeat(stage) else self.unchanged(stage)

    def to_repeat(self, stage: str) -> str | None:
        """Return what the next run repeats of a finished stage with unchanged inputs, or None."""
        return self.recorded.to_repeat(stage) if self.unchanged(stage) else None

    @property
    def recorded(self) -> RunRecord:
        """The record of the run so far."""
        return self.workspace.folder.results.read()

    def unchanged(self, stage: str) -> StageRecord | None:
        """Return the record of a finished stage if its inputs are unchanged; otherwise None."""
        record = self.workspace.folder.results.finished(stage)
        if record is None or record.fingerprint != self.fingerprints[stage]:
            return None
        return record

    def forget_after(self, stage: str) -> None:
        """Delete the records of all stages after `stage`."""
        names = [planned_stage.name for planned_stage in self.plan]
        self.workspace.folder.results.forget(*names[names.index(stage) + 1 :])

    def keep(self, stage: Stage[ResultT], result: ResultT) -> None:
        """Keep the result of a stage in memory for later stages."""
        self._results[stage.name] = result

    def result(self, stage: Stage[ResultT]) -> ResultT:
        """Return the result of a stage; load it from the run folder if this process has none."""
        if stage.name not in self._results:
            assert stage.load is not None, f"stage {stage.name} has no result"
            self._results[stage.name] = stage.load(self)
        return cast("ResultT", self._results[stage.name])

    def free_results(self) -> None:
        """Remove the results of stages from memory; they can be loaded again."""
        self._results.clear()
