"""The stages of a run in order: what each one needs, makes, and how later processes load it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latte import distributed
from latte.describe.bank import DescriptionBank
from latte.interfaces import RunResults, long_task
from latte.interfaces.record import TrainFacts
from latte.io.files import digest
from latte.models.adapted import Adapted
from latte.models.left_out import save_left_out
from latte.models.posterior import of_first, save_posterior
from latte.models.saved_model import load_model, save_adapted, save_prototypes
from latte.models.zero_shot import ZeroShot, save_zero_shot
from latte.recipe.model import LearnerChoice, Recipe
from latte.results.run import Run
from latte.results.stored import read_stored
from latte.run.collect import collect_results
from latte.run.cross_fit import taught_facts
from latte.run.describing import describe, load_bank
from latte.run.evaluating import evaluate
from latte.run.identity import RunInputs, code_of
from latte.run.images import write_images
from latte.run.judging import JudgedModels, judge_model, load_outcome, trains_clip, zero_shot_model
from latte.run.questions import AskedQuestions
from latte.run.result import StageResult
from latte.run.series import find_series
from latte.run.stages import Job, Stage
from latte.run.training import adapt, count_cut, encoder_facts
from latte.run.zero_shot import compute_zero_shot, load_zero_shot_of
from latte.version import __version__


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
        job.keep(ZERO_SHOT, zero_shot)
    return StageResult([path, job.workspace.folder.zero_shot_model.prototypes])


def _load_zero_shot(job: Job) -> ZeroShot:
    workspace = job.workspace
    return load_zero_shot_of(job.images, workspace.folder.zero_shot, workspace.recipe.encoder_names)


def _describe(job: Job) -> StageResult:
    """Generate and write texts; return their file and the facts about them."""
    workspace, folder = job.workspace, job.workspace.folder
    zero_shot = job.result(ZERO_SHOT).joined
    described = describe(workspace, job.images.joined, zero_shot, ask_again=job.ask_again)
    if described is None:
        return StageResult([folder.descriptions])
    bank, facts = described
    if job.unchanged(DESCRIBE.name):
        _forget_outdated(job, bank, has_same_facts=facts == job.recorded.describe)
    bank.save(folder.descriptions)
    job.keep(DESCRIBE, bank)
    return StageResult([folder.descriptions], facts)


def _forget_outdated(job: Job, bank: DescriptionBank, *, has_same_facts: bool) -> None:
    """Delete the records of stages that become outdated when `bank` is saved.

    If its texts differ from the saved texts, these are all later stages. If only the facts about
    them differ, only `report` is outdated.
    """
    if not _load_bank(job).has_same_texts(bank):
        job.workspace.progress.say("describe: texts were added, so later stages must be done again")
        job.forget_after(DESCRIBE.name)
    elif not has_same_facts:
        job.workspace.folder.results.forget(REPORT.name)


def _load_bank(job: Job) -> DescriptionBank:
    return load_bank(job.workspace, job.images.joined)


def _train(job: Job) -> StageResult:
    workspace, folder = job.workspace, job.workspace.folder
    zero_shot, bank = job.result(ZERO_SHOT), job.result(DESCRIBE)
    # If texts are generated again, they can change although the stage's fingerprint does not.
    texts = digest(folder.descriptions.read_bytes())
    folder.keep_checkpoints_of(digest(job.fingerprints[TRAIN.name], texts))
    cut = count_cut(workspace, bank) if distributed.is_main_process() else ()
    inputs = (workspace, job.images.joined, zero_shot.joined, bank)
    adapted, posterior = adapt(*inputs)
    taught, left_out = taught_facts(
        *inputs, lambda: find_series(workspace, job.images, zero_shot).series
    )
    job.keep(TRAIN, adapted)
    written, asked_questions = [folder.metrics], AskedQuestions()
    if distributed.is_main_process():
        posterior = of_first(posterior, len(job.images.training.images))
        written += save_adapted(folder.adapted_model, adapted)
        written += save_posterior(folder.adapted_model, posterior)
        written += save_left_out(folder.adapted_model, left_out)
        written += job.images.save_given_labels(folder)
        if workspace.recipe.questioned:
            asked_questions = read_stored(folder.asked_questions, AskedQuestions)
            written += [folder.model_answers] if folder.model_answers.exists() else []
    facts = TrainFacts(
        trains_clip=trains_clip(workspace),
        encoders=encoder_facts(workspace, adapted),
        cut_texts=cut,
        extras=workspace.extras,
        **taught,
        **vars(asked_questions),
    )
    return StageResult(written, facts)


def _load_adapted(job: Job) -> Adapted:
    workspace = job.workspace
    return load_model(Run(workspace.folder), workspace.device, workspace.progress, "adapted")


def _judge(job: Job) -> StageResult:
    zero_shot, adapted = job.result(ZERO_SHOT), job.result(TRAIN)
    outcome, facts = judge_model(job.workspace, job.images, zero_shot, adapted)
    job.keep(JUDGE, outcome)
    return StageResult([], facts)


def _load_outcome(job: Job) -> JudgedModels:
    return load_outcome(job.workspace, job.images, job.result(ZERO_SHOT), job.result(TRAIN))


def _evaluate(job: Job) -> StageResult:
    if job.workspace.parent is not None:  # this run is a control, and the parent's report shows it
        job.workspace.parent.folder.results.forget(REPORT.name)
    zero_shot = job.result(ZERO_SHOT)
    series = find_series(job.workspace, job.images, zero_shot)
    return evaluate(job.workspace, job.images, zero_shot, job.result(JUDGE), series)


def _report(job: Job) -> StageResult:
    reporters = job.workspace.listeners.reporters
    if not reporters:
        return StageResult([])
    files: list[Path] = []
    with long_task(job.workspace.progress, "write reports", 1 + len(reporters), "parts") as task:
        results = job.result(REPORT)
        task.advance()
        for reporter in reporters:
            files += reporter.report(results)
            task.advance()
    return StageResult(files)


def _load_results(job: Job) -> RunResults:
    return collect_results(job.workspace, job.images)


def _settings_of_training(inputs: RunInputs) -> Sequence[Any]:
    recipe = inputs.recipe
    return [
        [_learner(learner) for learner in recipe.learners],
        recipe.train.model_dump(mode="json"),
        recipe.budget if recipe.questioned is not None else None,
        inputs.given_labels,
        _series(inputs) if inputs.given_labels is not None else None,
    ]


def _settings_of_evaluation(inputs: RunInputs) -> Sequence[Any]:
    return [inputs.recipe.evaluate.model_dump(mode="json"), _series(inputs)]


def _series(inputs: RunInputs) -> Sequence[Any]:
    return [inputs.recipe.series.model_dump(mode="json"), [*inputs.series]]


def _learner(learner: LearnerChoice) -> Sequence[Any]:
    settings = learner.model_dump(mode="json", include={"name", "optimizer"})
    return [settings, learner.loss is not None]  # components of all learners are one list


def _control(control: Recipe) -> Sequence[Any]:
    return [control.resolved, code_of(control)]


DATA = Stage[None](
    "data",
    _write_images,
    kinds=("dataset",),
    inputs=lambda inputs: [__version__, inputs.images],
)
ZERO_SHOT = Stage[ZeroShot](
    "zero-shot",
    _encode,
    kinds=("backbone", "encoder"),
    inputs=lambda inputs: [inputs.backbone, inputs.encoders],
    load=_load_zero_shot,
)
DESCRIBE = Stage[DescriptionBank](
    "describe",
    _describe,
    kinds=("describer", "description", "gate"),
    inputs=lambda inputs: [inputs.recipe.seed, inputs.true_labels],
    load=_load_bank,
)
TRAIN = Stage[Adapted](
    "train",
    _train,
    kinds=("labeler", "prototypes", "loss", "trainable", "augmentation"),
    inputs=_settings_of_training,
    load=_load_adapted,
)
JUDGE = Stage[JudgedModels]("judge", _judge, kinds=("guard",), load=_load_outcome)
EVALUATE = Stage[None]("evaluate", _evaluate, inputs=_settings_of_evaluation)
REPORT = Stage[RunResults](
    "report",
    _report,
    kinds=("reporter",),
    inputs=lambda inputs: [
        {name: _control(control) for name, control in inputs.recipe.controls.items()}
    ],
    load=_load_results,
)

PLAN: tuple[Stage[Any], ...] = (DATA, ZERO_SHOT, DESCRIBE, TRAIN, JUDGE, EVALUATE, REPORT)
"""The stages of a run in order; `latte.results.stages` has their names."""
