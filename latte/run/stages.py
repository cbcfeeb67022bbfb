"""The stages of a run, in order: how to run each stage, and how to load its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from latte import distributed
from latte.describe.bank import DescriptionBank
from latte.interfaces import Evaluation, RunResults
from latte.io.files import digest
from latte.results.finished import FinishedRun
from latte.results.identity import CHECKPOINTS, stage_fingerprints
from latte.run.collect import collect_results
from latte.run.describing import describe, load_bank
from latte.run.evaluating import evaluate
from latte.run.images import Images, write_images
from latte.run.judging import Outcome, judge_and_save, load_outcome
from latte.run.labels import oracle_labels
from latte.run.training import count_cut, train_learners
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot, compute_zero_shot, load_zero_shot, save_zero_shot

ResultT = TypeVar("ResultT")


@dataclass
class Job:
    """Inputs that all stages of a run share, and those results of stages that are in memory."""

    workspace: Workspace
    images: Images
    fingerprints: Mapping[str, str]
    """Fingerprint of each stage; see `stage_fingerprints`."""
    ask_again: bool = False
    controls: Mapping[str, Sequence[Evaluation]] = field(default_factory=dict)
    """Evaluations of the recipe's controls, for the report."""
    results: dict[str, Any] = field(default_factory=dict, init=False)

    def result(self, stage: Stage[ResultT]) -> ResultT:
        """Return the result of a finished stage; load it if this process did not compute it."""
        if stage.name not in self.results:
            self.results[stage.name] = stage.load(self)
        result: ResultT = self.results[stage.name]
        return result

    def run(self, stage: Stage[Any]) -> Sequence[Path]:
        """Run a stage on the results that it needs; return the files that it wrote."""
        done = stage.run(self, *map(self.result, stage.needs))
        if done.result is not None:
            self.results[stage.name] = done.result
        return done.files


@dataclass(frozen=True)
class Done(Generic[ResultT]):
    """The outcome of running a stage."""

    files: Sequence[Path]
    """All files that the stage wrote; the stage counts as finished only while they exist."""
    result: ResultT | None = None
    """The stage's result; None if later stages must load it from the run folder."""


@dataclass(frozen=True)
class Stage(Generic[ResultT]):
    """One stage of a run; `latte.results.identity.STAGES` has the names of all stages in order."""

    name: str
    run: Callable[..., Done[ResultT]]
    """Function that runs the stage; its arguments are the job and the results of `needs`."""
    load: Callable[[Job], ResultT]
    """Function that loads the result from the run folder."""
    needs: tuple[Stage[Any], ...] = ()
    """Earlier stages whose results the stage needs."""


def fingerprints(workspace: Workspace, images: Images) -> dict[str, str]:
    """Return the fingerprint of every stage.

    Raises `LatteError` for an oracle recipe whose training images have no labels.
    """
    labels = oracle_labels(workspace, images)
    return stage_fingerprints(
        workspace.recipe,
        images.fingerprint,
        workspace.backbone.identity(),
        None if labels is None else labels.tolist(),
        images.corrections,
    )


def _write_images(job: Job) -> Done[None]:
    """Write the lists of images. The images were listed when the run started."""
    return Done(write_images(job.workspace, job.images) if distributed.is_main_process() else [])


def _encode(job: Job) -> Done[ZeroShot]:
    """Encode images and class names with the frozen CLIP, and save the features."""
    path, zero_shot = job.workspace.folder.zero_shot, compute_zero_shot(job.workspace, job.images)
    if not distributed.is_main_process():
        return Done([path])
    save_zero_shot(path, zero_shot)
    return Done([path], zero_shot)


def _describe(job: Job, zero_shot: ZeroShot) -> Done[DescriptionBank]:
    """Write `descriptions.jsonl`, and the counts of texts that gates held back."""
    folder, gates = job.workspace.folder, job.workspace.recipe.gates
    bank = describe(job.workspace, job.images, zero_shot, job.ask_again)
    return Done([folder.descriptions, *([folder.gates] if gates else [])], bank)


def _train(job: Job, zero_shot: ZeroShot, bank: DescriptionBank) -> Done[Outcome]:
    """Train the learners, let the guard judge them, and save the classifier of the run."""
    workspace, folder = job.workspace, job.workspace.folder
    # If texts are generated again, they can change although the stage's fingerprint does not.
    texts = digest(folder.descriptions.read_bytes())
    folder.keep_checkpoints_of(digest(job.fingerprints[CHECKPOINTS], texts))
    cut = count_cut(workspace, bank) if distributed.is_main_process() else []
    candidate, posterior = train_learners(workspace, job.images, zero_shot, bank)
    outcome, written = judge_and_save(workspace, job.images, zero_shot, candidate, posterior)
    asked = [folder.questions] if workspace.recipe.questioned else []
    return Done([*written, folder.metrics, *asked, *cut], outcome)


def _evaluate(job: Job, zero_shot: ZeroShot, outcome: Outcome) -> Done[None]:
    """Measure the adapted model and label all images; see `evaluate` for the files."""
    return Done(evaluate(job.workspace, job.images, zero_shot, outcome))


def _report(job: Job) -> Done[RunResults]:
    """Let each reporter write its files; only the main process has reporters."""
    reporters = job.workspace.listeners.reporters
    return Done([file for one in reporters for file in one.report(job.result(REPORT))])


def _nothing(job: Job) -> None:
    """Load nothing, for stages whose result no later stage needs."""


DATA = Stage("data", _write_images, _nothing)
ZERO_SHOT = Stage(
    "zero-shot", _encode, lambda job: load_zero_shot(job.workspace.folder.zero_shot, job.images)
)
DESCRIBE = Stage(
    "describe", _describe, lambda job: load_bank(job.workspace, job.images), needs=(ZERO_SHOT,)
)
TRAIN = Stage(
    "train",
    _train,
    lambda job: load_outcome(
        FinishedRun(job.workspace.folder), job.workspace.device, job.workspace.progress
    ),
    needs=(ZERO_SHOT, DESCRIBE),
)
EVALUATE = Stage("evaluate", _evaluate, _nothing, needs=(ZERO_SHOT, TRAIN))
REPORT = Stage(
    "report", _report, lambda job: collect_results(job.workspace, job.images, job.controls)
)
ORDER: tuple[Stage[Any], ...] = (DATA, ZERO_SHOT, DESCRIBE, TRAIN, EVALUATE, REPORT)
