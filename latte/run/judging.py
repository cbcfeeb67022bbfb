"""Stage `judge`: a guard decides which model the run uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from latte import distributed
from latte.interfaces import Posterior, TrainingStart, Verdict
from latte.interfaces.answer_facts import AnswerFacts
from latte.interfaces.measurements import ZERO_SHOT, Role
from latte.interfaces.record import JudgeFacts
from latte.models.adapted import Adapted, Member, mixed_model
from latte.models.posterior import read_own_images
from latte.models.zero_shot import ZeroShot
from latte.results.run import Run
from latte.run.cross_fit import verdict_of
from latte.run.fitting import frozen_start
from latte.run.images import Images
from latte.run.member_features import encode_members
from latte.run.workspace import Workspace
from latte.train.fit import Fit, conflict, judge, without_conflict


@dataclass(frozen=True)
class JudgedModels:
    """The models of a run after stage `judge`."""

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


def judge_model(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, adapted: Adapted
) -> tuple[JudgedModels, JudgeFacts]:
    """Let the guard judge the adapted model; return the run's models, and the verdict.

    Without a guard, the run uses the adapted model. A verdict that stage `train` measured replaces
    the guard's. Only the main process calls the guard.
    """
    features = None
    if workspace.recipe.guard and trains_clip(workspace):
        size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
        features = encode_members(adapted, images.training.cache, size, progress, "label images")
    scales = None if features is None else _logit_scales(adapted)

    def fitted() -> Fit:
        own_images = read_own_images(Run(workspace.folder))
        posterior = None if own_images is None else own_images.posterior
        frozen = [zero_shot.of(name).training for name in adapted.names]
        return _fit_of(adapted, features or frozen, posterior)

    start = frozen_start(images, zero_shot, "cpu")
    facts = _facts(workspace, fitted, start, scales)
    frozen = zero_shot_model(workspace, images, zero_shot)
    return outcome_of(frozen, adapted, facts, features), facts


def _fit_of(adapted: Adapted, features: Sequence[Tensor], posterior: Posterior | None) -> Fit:
    classifiers = {member.name: member.classifier for member in adapted.members}
    return Fit(classifiers, dict(zip(classifiers, features, strict=True)), posterior)


def _logit_scales(adapted: Adapted) -> dict[str, float]:
    scales = [float(backbone.logit_scale.detach()) for backbone in adapted.backbones]
    return dict(zip(adapted.names, scales, strict=True))


def _facts(
    workspace: Workspace,
    fitted: Callable[[], Fit],
    start: TrainingStart,
    trained_scales: Mapping[str, float] | None,
) -> JudgeFacts:
    """Return the verdict of the guard, or the one that training measured, and say it.

    `fitted` is called in the main process only.
    """
    choice = workspace.recipe.guard
    if choice is None:
        if reason := distributed.broadcast(lambda: conflict(fitted(), start)):
            workspace.progress.say(f"warning: {reason}")
        return JudgeFacts()
    extras: dict[str, Mapping[str, str | int | float]] = {}

    def judged() -> tuple[str, dict[str, Any]]:
        answers = Run(workspace.folder).record.train.answers
        if (verdict := answered_verdict(answers, fitted, start)) is not None:
            return "answers", asdict(verdict)
        guard = workspace.build(choice)
        verdict = judge(fitted(), start, guard, choice.label, trained_scales)
        if guard_extras := guard.extras():
            extras[choice.distribution] = guard_extras
        return f"guard {choice.label}", asdict(verdict)

    judge_name, values = distributed.broadcast(judged)
    verdict = Verdict(**values)
    workspace.progress.say(f"{judge_name}: {verdict.outcome}")
    return JudgeFacts(verdict=verdict, extras=extras)


def answered_verdict(
    answers: AnswerFacts | None, fitted: Callable[[], Fit], start: TrainingStart
) -> Verdict | None:
    """Return the verdict that left-out answers measure, in place of a guard's; None without one."""
    verdict = verdict_of(answers)
    return None if verdict is None else without_conflict(verdict, conflict(fitted(), start))


def zero_shot_model(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Adapted:
    """Return zero-shot CLIP as a model with one learner."""
    clip, arithmetic = workspace.frozen_clip, workspace.arithmetic
    member = Member(ZERO_SHOT, clip, zero_shot.classifier, arithmetic)
    return Adapted(images.class_names, (member,))


def outcome_of(
    zero_shot: Adapted,
    adapted: Adapted,
    facts: JudgeFacts,
    features: tuple[Tensor, ...] | None = None,
) -> JudgedModels:
    """Return the models of a run with this verdict; `features` are those of `JudgedModels`."""
    is_mixed = facts.used == "mixed"
    mixed = mixed_model(zero_shot, adapted, facts.strength) if is_mixed else None
    return JudgedModels(zero_shot, adapted, facts.used, mixed, features)


def load_outcome(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, adapted: Adapted
) -> JudgedModels:
    """Return the outcome that `judge_model` returned; features are not saved, so they are None."""
    frozen = zero_shot_model(workspace, images, zero_shot)
    return outcome_of(frozen, adapted, Run(workspace.folder).record.judge)
