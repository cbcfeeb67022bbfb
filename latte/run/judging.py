"""End of stage `train`: a guard judges the adapted model, and the result is saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from latte import distributed
from latte.evaluate.similarities import agreement
from latte.interfaces import (
    Backbone,
    Candidate,
    Evidence,
    LatteError,
    Posterior,
    Verdict,
)
from latte.interfaces.guard import check_verdict
from latte.interfaces.measurements import ZERO_SHOT, Role
from latte.interfaces.record import TrainFacts
from latte.models.adapted import Adapted, Member, mixed_model
from latte.models.posterior import save_posterior
from latte.models.saved_model import load_model, save_adapted
from latte.models.zero_shot import ZeroShot
from latte.results.run import Run
from latte.run.corrections import save_corrected
from latte.run.images import Images
from latte.run.workspace import Workspace

LEAST_AGREEMENT = 0.75
"""A classifier that agrees with the posterior less than this share of zero-shot's is wrong."""


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
    verdict: Verdict | None = None
    features = None
    conflict = None if posterior is None else conflict_with(posterior, adapted, zero_shot)
    if workspace.recipe.guard is not None:
        if trains_clip(workspace) and answer_verdict is None:
            size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
            features = adapted.encode(images.training.cache, size, progress, "label images")

        def judged() -> Verdict:
            evidence = (workspace, images, zero_shot, adapted, posterior, features)
            candidate_verdict = (
                _judge(workspace, _evidence(*evidence))
                if answer_verdict is None
                else answer_verdict
            )
            return (
                replace(
                    candidate_verdict, strength=0.0, reason=conflict, measured=None, forecast=None
                )
                if conflict
                else candidate_verdict
            )

        verdict = Verdict(**distributed.broadcast(lambda: asdict(judged())))
        guard = "answers" if answer_verdict else f"guard {workspace.recipe.guard.label}"
        workspace.progress.say(f"{guard}: {verdict.outcome}")
    elif conflict:
        workspace.progress.say(f"warning: {conflict}")
    written: list[Path] = []
    if distributed.is_main_process():
        folder = workspace.folder.adapted_model
        written += [*save_adapted(folder, adapted), *save_posterior(folder, posterior)]
        written += save_corrected(workspace.folder, images.training.keys, images.corrections)
    frozen = zero_shot_model(workspace, images, zero_shot)
    return _outcome(frozen, adapted, TrainFacts(verdict=verdict), features), verdict, written


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


def conflict_with(posterior: Posterior, adapted: Adapted, zero_shot: ZeroShot) -> str | None:
    """Return a sentence if the classifier contradicts the posterior, else None.

    Guards see the posterior's labels of the training images, but `predict` uses the classifier for
    new images. So both should give the same label to most training images. If this share is below
    `LEAST_AGREEMENT` times the share for zero-shot CLIP and the posterior, there is probably a
    mistake, such as a wrong order of rows. On seven labelled sets and their subsets, the share was
    at least 94 % for a fitted mixture, and never below the share for zero-shot CLIP.
    """
    labels = posterior.labels[:, 0].cpu()
    adapted_labels = adapted.in_blocks(zero_shot.training_of(adapted.names)).labels()
    agreed = agreement(adapted_labels, labels)
    zero_shot_agreement = agreement(zero_shot.zero_shot_labels, labels)
    if agreed >= LEAST_AGREEMENT * zero_shot_agreement:
        return None
    return (
        "the classifier for new images does not classify as the own images were labelled: on "
        f"{agreed:.0%} of them it gives their label (zero-shot CLIP: {zero_shot_agreement:.0%}), "
        "so report this to the author of the labeler"
    )


def load_outcome(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Outcome:
    """Load the outcome that `judge_and_save` saved; features are not saved, so they are None."""
    run = Run(workspace.folder)
    adapted = load_model(run, workspace.device, workspace.progress, "adapted")
    frozen = zero_shot_model(workspace, images, zero_shot)
    return _outcome(frozen, adapted, run.record.train)


def _evidence(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    adapted: Adapted,
    posterior: Posterior | None,
    features: Sequence[Tensor] | None,
) -> Evidence:
    adapted_features = features or zero_shot.training_of(adapted.names)
    candidates = {
        member.name: Candidate(member_features, member.classifier, _logit_scale(member, adapted))
        for member, member_features in zip(adapted.members, adapted_features, strict=True)
    }
    labels = (
        adapted.in_blocks(adapted_features).labels()
        if posterior is None
        else posterior.labels[:, 0]
    )
    return Evidence(
        class_names=adapted.class_names,
        class_features=zero_shot.class_features,
        image_features=zero_shot.training,
        logit_scale=float(workspace.frozen_clip.logit_scale.detach()),
        candidates=candidates,
        labels=labels,
        trained=features is not None,
        corrections=None if images.corrections is None else images.corrections.given,
    )


def _logit_scale(member: Member, adapted: Adapted) -> float:
    """Return the logit scale of a learner; an encoder has none, so return the learners' mean."""
    if isinstance(member.encoder, Backbone):
        return float(member.encoder.logit_scale.detach())
    return adapted.logit_scale


def _judge(workspace: Workspace, evidence: Evidence) -> Verdict:
    choice = workspace.recipe.guard
    assert choice is not None, "only called with a guard"
    guard = workspace.build(choice)
    verdict: Verdict = guard.judge(evidence)
    workspace.note_extras(choice, guard)
    try:
        check_verdict(verdict, divisible=evidence.divisible)
    except ValueError as error:
        raise LatteError(
            f"its verdict cannot be used: {error}",
            where=f"guard {choice.label}",
            hint="report it to the author of the plugin; without a guard: --set guard=null",
        ) from error
    return verdict
