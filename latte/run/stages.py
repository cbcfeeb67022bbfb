"""Functions that run each stage of a run, and the data that stages pass to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from latte import distributed
from latte.describe.bank import DescriptionBank
from latte.interfaces import RunResults, long_task
from latte.interfaces.record import RunRecord, StageRecord, TrainFacts
from latte.io.files import digest
from latte.models.posterior import of_first
from latte.models.saved_model import save_prototypes
from latte.models.zero_shot import ZeroShot, save_zero_shot
from latte.results.record import STAGES
from latte.results.stored import read_stored
from latte.run.collect import collect_results
from latte.run.cross_fit import answer_facts, verdict_of
from latte.run.describing import describe, load_bank
from latte.run.evaluating import evaluate
from latte.run.identity import CHECKPOINTS, stage_fingerprints
from latte.run.images import Images, true_labels, write_images
from latte.run.judging import (
    Outcome,
    judge_and_save,
    load_outcome,
    trains_clip,
    zero_shot_model,
)
from latte.run.left_out import save_left_out
from latte.run.questions import AskedQuestions
from latte.run.result import StageResult
from latte.run.series import RunSeries, find_series
from latte.run.training import adapt, count_cut, encoder_facts
from latte.run.workspace import Workspace
from latte.run.zero_shot import compute_zero_shot, load_zero_shot_of


@dataclass
class Job:
    """The inputs that all stages of a run share, and the results of finished stages.

    A result that this process has not computed is loaded from the run folder at its first use.
    Raises `LatteError` if the recipe uses true labels of training images that have none.
    """

    workspace: Workspace
    images: Images
    ask_again: bool = False

    def __post_init__(self) -> None:
        labels, corrections = true_labels(self.workspace, self.images), self.images.corrections
        self.fingerprints: Mapping[str, str] = stage_fingerprints(
            self.workspace.recipe,
            self.images.fingerprint,
            self.workspace.backbone.identity(),
            {
                "describe": None if labels is None else labels.tolist(),
                "train": corrections.every_label if corrections else None,
            },
            [loader.identity() for loader in self.workspace.encoder_loaders.values()],
            self.images.series_names,
        )

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

    @cached_property
    def zero_shot(self) -> ZeroShot:
        """The result of stage `zero-shot`: features and labels by the frozen CLIP."""
        return load_zero_shot_of(
            self.images, self.workspace.folder.zero_shot, self.workspace.recipe.encoder_names
        )

    @cached_property
    def bank(self) -> DescriptionBank:
        """The result of stage `describe`: the texts about training images."""
        return load_bank(self.workspace, self.images.joined)

    @cached_property
    def outcome(self) -> Outcome:
        """The result of stage `train`: the run's models, after the guard's decision."""
        return load_outcome(self.workspace, self.images, self.zero_shot)

    @cached_property
    def series(self) -> RunSeries:
        """The series of the training images and the examples, in the order of `images.joined`."""
        return find_series(self.workspace, self.images, self.zero_shot)

    @cached_property
    def run_results(self) -> RunResults:
        """The results of all stages."""
        return collect_results(self.workspace, self.images)

    def free_results(self) -> None:
        """Remove the results of stages from memory; they can be loaded again."""
        for name in ("zero_shot", "bank", "outcome", "series"):
            vars(self).pop(name, None)

    def run(self, stage: str) -> StageResult:
        """Run a stage; return all files that it wrote, and its facts."""
        return _RUN[stage](self)


def _write_images(job: Job) -> StageResult:
    if not distributed.is_main_process():
        return StageResult([])
    return write_images(job.workspace, job.images)


def _encode(job: Job) -> StageResult:
    path, zero_shot = job.workspace.folder.zero_shot, compute_zero_shot(job.workspace, job.images)
    if distributed.is_main_process():
        save_zero_shot(path, zero_shot)
        model = zero_shot_model(job.workspace, job.images, zero_shot)
        save_prototypes(job.workspace.folder.zero_shot_model, model)
        job.zero_shot = zero_shot
    return StageResult([path, job.workspace.folder.zero_shot_model.prototypes])


def _describe(job: Job) -> StageResult:
    """Generate and write texts; return their file and the facts about them."""
    workspace, folder = job.workspace, job.workspace.folder
    described = describe(
        workspace, job.images.joined, job.zero_shot.joined, ask_again=job.ask_again
    )
    if described is None:
        return StageResult([folder.descriptions])
    bank, facts = described
    if job.unchanged("describe"):
        _forget_outdated(job, bank, has_same_facts=facts == job.recorded.describe)
    bank.save(folder.descriptions)
    job.bank = bank
    return StageResult([folder.descriptions], facts)


def _forget_outdated(job: Job, bank: DescriptionBank, *, has_same_facts: bool) -> None:
    """Delete the records of stages that become outdated when `bank` is saved.

    If its texts differ from the saved texts, these are `train` and all later stages. If only the
    facts about them differ, only `report` is outdated.
    """
    if not load_bank(job.workspace, job.images.joined).has_same_texts(bank):
        job.workspace.progress.say("describe: texts were added, so later stages must be done again")
        job.workspace.folder.results.forget(*STAGES[STAGES.index("train") :])
    elif not has_same_facts:
        job.workspace.folder.results.forget("report")


def _train(job: Job) -> StageResult:
    workspace, folder = job.workspace, job.workspace.folder
    zero_shot, bank = job.zero_shot, job.bank
    # If texts are generated again, they can change although the stage's fingerprint does not.
    texts = digest(folder.descriptions.read_bytes())
    folder.keep_checkpoints_of(digest(job.fingerprints[CHECKPOINTS], texts))
    cut = count_cut(workspace, bank) if distributed.is_main_process() else ()
    inputs = (workspace, job.images.joined, zero_shot.joined, bank)
    adapted, posterior = adapt(*inputs)
    answers, left_out = answer_facts(*inputs)
    posterior = of_first(posterior, len(job.images.training.images))
    job.outcome, verdict, written = judge_and_save(
        workspace, job.images, zero_shot, adapted, posterior, verdict_of(answers)
    )
    if distributed.is_main_process():
        written += save_left_out(folder.adapted_model, left_out)
    asked_questions = AskedQuestions()
    if workspace.recipe.questioned and distributed.is_main_process():
        asked_questions = read_stored(folder.asked_questions, AskedQuestions)
    facts = TrainFacts(
        verdict=verdict,
        trains_clip=trains_clip(workspace),
        answers=answers,
        encoders=encoder_facts(workspace, adapted),
        cut_texts=cut,
        extras=workspace.extras,
        **vars(asked_questions),
    )
    return StageResult([*written, folder.metrics], facts)


def _evaluate(job: Job) -> StageResult:
    if job.workspace.parent is not None:  # this run is a control, and the parent's report shows it
        job.workspace.parent.folder.results.forget("report")
    return evaluate(job.workspace, job.images, job.zero_shot, job.outcome, job.series)


def _report(job: Job) -> StageResult:
    reporters = job.workspace.listeners.reporters
    if not reporters:
        return StageResult([])
    files: list[Path] = []
    with long_task(job.workspace.progress, "write reports", 1 + len(reporters), "parts") as task:
        results = job.run_results
        task.advance()
        for reporter in reporters:
            files += reporter.report(results)
            task.advance()
    return StageResult(files)


_RUN: Mapping[str, Callable[[Job], StageResult]] = dict(
    zip(STAGES, (_write_images, _encode, _describe, _train, _evaluate, _report), strict=True)
)
