"""End of stage `train`: a guard judges the adapted model, and the result is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from latte import distributed
from latte.interfaces import Posterior, TrainingStart, Verdict
from latte.interfaces.measurements import ZERO_SHOT, Role
from latte.interfaces.record import TrainFacts
from latte.models.adapted import Adapted, Member, mixed_model
from latte.models.posterior import save_posterior
from latte.models.saved_model import load_model, save_adapted
from latte.models.zero_shot import ZeroShot
from latte.results.run import Run
from latte.run.corrections import save_corrected
from latte.run.fitting import frozen_start
from latte.run.images import Images
from latte.run.workspace import Workspace
from latte.train.fit import Fit, conflict, judge, without_conflict


@dataclass(frozen=True)
class Outcome:
    """The models of a run after stage `train`."""

    zero_shot: Adapted
    adapted: Adapted
    used: Role = "adapted"
    """Role of the model that the run uses."""
    mixed: Adapted | None = None
    """The mix of both, if the guard accepted a part of the adapted model; otherwise None."""
    features: tuple[Tensor, ...] | None = None
    """The adapted model's features of the training images per learner, if a guard needed them."""

    @property
    def models(self) -> dict[Role, Adapted]:
        """The models by role; the mix of both is the last one."""
        models: dict[Role, Adapted] = {"zero-shot": self.zero_shot, "adapted": self.adapted}
        return models if self.mixed is None else {**models, "mixed": self.mixed}


def trains_clip(workspace: Workspace) -> bool:
    """Return True if the run takes training steps that change parameters of CLIP."""
    recipe = workspace.recipe
    trains = any(learner.trainable.spec.name != "none" for learner in recipe.learners)
    return trains and recipe.train.takes_steps


def judge_and_save(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    adapted: Adapted,
    posterior: Posterior | None,
    answer_verdict: Verdict | None = None,
) -> tuple[Outcome, Verdict | None, list[Path]]:
    """Let the guard judge the adapted model, and save it.

    Returns the run's models, the guard's verdict (None without a guard: the adapted model is then
    used), and the written files. The `answer_verdict`, measured by a person's answers, replaces the
    guard's. Only the main process calls the guard and writes files.
    """
    features = None
    if workspace.recipe.guard and answer_verdict is None and trains_clip(workspace):
        size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
        features = adapted.encode(images.training.cache, size, progress, "label images")
    fitted = _fit_of(adapted, features or zero_shot.training_of(adapted.names), posterior)
    start = frozen_start(images, zero_shot, "cpu")
    scales = None if features is None else _logit_scales(adapted)
    verdict = _verdict(workspace, fitted, start, answer_verdict, scales)
    written: list[Path] = []
    if distributed.is_main_process():
        folder = workspace.folder.adapted_model
        written += [*save_adapted(folder, adapted), *save_posterior(folder, posterior)]
        written += save_corrected(workspace.folder, images.training.keys, images.corrections)
    frozen = zero_shot_model(workspace, images, zero_shot)
    return _outcome(frozen, adapted, TrainFacts(verdict=verdict), features), verdict, written


def _fit_of(adapted: Adapted, features: Sequence[Tensor], posterior: Posterior | None) -> Fit:
    classifiers = {member.name: member.classifier for member in adapted.members}
    return Fit(classifiers, dict(zip(classifiers, features, strict=True)), posterior)


def _logit_scales(adapted: Adapted) -> dict[str, float]:
    scales = [float(backbone.logit_scale.detach()) for backbone in adapted.backbones]
    return dict(zip(adapted.names, scales, strict=True))


def _verdict(
    workspace: Workspace,
    fitted: Fit,
    start: TrainingStart,
    answer_verdict: Verdict | None,
    trained_scales: Mapping[str, float] | None,
) -> Verdict | None:
    """Return the verdict of the answers or the guard, and say it; None without a guard."""
    choice = workspace.recipe.guard
    if choice is None:
        if reason := conflict(fitted, start):
            workspace.progress.say(f"warning: {reason}")
        return None

    def judged() -> Verdict:
        if answer_verdict is not None:
            return without_conflict(answer_verdict, conflict(fitted, start))
        guard = workspace.build(choice)
        verdict = judge(fitted, start, guard, choice.label, trained_scales)
        workspace.note_extras(choice, guard)
        return verdict

    verdict = Verdict(**distributed.broadcast(lambda: asdict(judged())))
    judge_name = "answers" if answer_verdict else f"guard {choice.label}"
    workspace.progress.say(f"{judge_name}: {verdict.outcome}")
    return verdict


def zero_shot_model(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Adapted:
    """Return zero-shot CLIP as a model with one learner."""
    clip, arithmetic = workspace.frozen_clip, workspace.arithmetic
    member = Member(ZERO_SHOT, clip, zero_shot.classifier, arithmetic)
    return Adapted(images.class_names, (member,))


def _outcome(
    zero_shot: Adapted,
    adapted: Adapted,
    facts: TrainFacts,
    features: tuple[Tensor, ...] | None = None,
) -> Outcome:
    is_mixed = facts.used == "mixed"
    mixed = mixed_model(zero_shot, adapted, facts.strength) if is_mixed else None
    return Outcome(zero_shot, adapted, facts.used, mixed, features)


def load_outcome(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Outcome:
    """Load the outcome that `judge_and_save` saved; features are not saved, so they are None."""
    run = Run(workspace.folder)
    adapted = load_model(run, workspace.device, workspace.progress, "adapted")
    frozen = zero_shot_model(workspace, images, zero_shot)
    return _outcome(frozen, adapted, run.record.train)
