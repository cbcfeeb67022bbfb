"""End of stage `train`: a guard judges the adapted model, and the result is saved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from latte import distributed
from latte.evaluate.similarities import agreement
from latte.interfaces import (
    Candidate,
    Classifier,
    Evidence,
    LatteError,
    Posterior,
    Progress,
    Verdict,
)
from latte.interfaces.guard import check_verdict
from latte.results.folder import RunFolder
from latte.results.run import Run
from latte.run.adapted import Adapted, Member, load_adapted, save_adapted, save_classifiers
from latte.run.corrections import save_corrected
from latte.run.images import Images
from latte.run.posterior import save_posterior
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot

LEAST_AGREEMENT = 0.75
"""A classifier that agrees with the posterior less than this share of zero-shot's is wrong."""


@dataclass(frozen=True)
class Outcome:
    """The classifier that the run uses, after the guard judged the adapted model (candidate)."""

    adapted: Adapted
    """The classifier that the run uses: the candidate, zero-shot CLIP, or a mix of both."""
    rejected: Adapted | None = None
    """The candidate, if the guard did not accept it in full; otherwise None."""
    features: tuple[Tensor, ...] | None = None
    """The candidate's features of the training images per learner, if the guard needed them."""


def trains_clip(workspace: Workspace) -> bool:
    """Return True if the run takes training steps that change parameters of CLIP."""
    recipe = workspace.recipe
    trains = any(learner.trainable.spec.name != "none" for learner in recipe.learners)
    return trains and recipe.train.takes_steps


def judge_and_save(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    candidate: Adapted,
    posterior: Posterior | None,
    measured: Verdict | None = None,
) -> tuple[Outcome, Verdict | None, list[Path]]:
    """Let the guard judge the candidate, and save the classifier that the run uses.

    Returns it, the guard's verdict (None without a guard: the candidate is then accepted), and the
    written files. The verdict `measured` by a person's answers replaces the guard's. Only the main
    process calls the guard and writes files.
    """
    folder, trained = workspace.folder, trains_clip(workspace)
    written: list[Path] = []
    verdict: Verdict | None = None
    features = None
    unlike = None if posterior is None else unlike_posterior(candidate, zero_shot, posterior)
    if workspace.recipe.guard is not None:
        if trained and measured is None:
            size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
            features = candidate.encode(images.training.cache, size, progress, "label images")
        evidence = (workspace, images, zero_shot, candidate, posterior, features)

        def judged() -> Verdict:
            found = _judge(*evidence) if measured is None else measured
            return Verdict(0.0, unlike, signals=found.signals) if unlike else found

        verdict = Verdict(**distributed.broadcast(lambda: asdict(judged())))
        guard = "answers" if measured else f"guard {workspace.recipe.guard.label}"
        workspace.progress.say(f"{guard}: {verdict.outcome}")
    elif unlike:
        workspace.progress.say(f"warning: {unlike}")
    outcome = Outcome(candidate, features=features)
    if verdict is not None and verdict.strength < 1:
        mixed = _blend(workspace, zero_shot, candidate, verdict.strength)
        outcome = Outcome(mixed, candidate, features)
    if distributed.is_main_process():
        written += _save(folder, outcome, posterior, trained)
        written += save_corrected(folder, images.training.keys, images.corrections)
    return outcome, verdict, written


def unlike_posterior(candidate: Adapted, zero_shot: ZeroShot, posterior: Posterior) -> str | None:
    """Return a sentence if the classifier contradicts the posterior, else None.

    Guards see the posterior's labels of the training images, but `predict` uses the classifier for
    new images. So both should give the same label to most training images. If this share is below
    `LEAST_AGREEMENT` times the share for zero-shot CLIP and the posterior, there is probably a
    mistake, such as a wrong order of rows. On seven labelled sets and their subsets, the share was
    at least 94 % for a fitted mixture, and never below the share for zero-shot CLIP.
    """
    labels = posterior.labels[:, 0].cpu()
    own = candidate.in_blocks([zero_shot.training] * len(candidate.members)).labels()
    agreed, before = (agreement(one, labels) for one in (own, zero_shot.zero_shot_labels))
    if agreed >= LEAST_AGREEMENT * before:
        return None
    return (
        "the classifier for new images does not classify as the own images were labelled: on "
        f"{agreed:.0%} of them it gives their label (zero-shot CLIP: {before:.0%}), so report this "
        "to the author of the labeler"
    )


def load_outcome(run: Run, device: str, progress: Progress) -> Outcome:
    """Load the outcome that `judge_and_save` saved; features are not saved, so they are None."""
    adapted = load_adapted(run, device, progress)
    if not run.record.train.has_candidate:
        return Outcome(adapted)
    return Outcome(adapted, load_adapted(run, device, progress, candidate=True))


def _judge(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    candidate: Adapted,
    posterior: Posterior | None,
    features: Sequence[Tensor] | None,
) -> Verdict:
    choice = workspace.recipe.guard
    assert choice is not None, "only called with a guard"
    own = features or [zero_shot.training] * len(candidate.members)
    evidence = Evidence(
        class_names=candidate.class_names,
        class_features=zero_shot.class_features,
        image_features=zero_shot.training,
        logit_scale=float(workspace.frozen_clip.logit_scale.detach()),
        candidates={
            member.name: Candidate(
                one, member.classifier, float(member.backbone.logit_scale.detach())
            )
            for member, one in zip(candidate.members, own, strict=True)
        },
        labels=candidate.in_blocks(own).labels() if posterior is None else posterior.labels[:, 0],
        trained=features is not None,
        corrections=None if images.corrections is None else images.corrections.given,
    )
    verdict: Verdict = workspace.build(choice).judge(evidence)
    try:
        check_verdict(verdict, divisible=evidence.divisible)
    except ValueError as error:
        raise LatteError(
            f"its verdict cannot be used: {error}",
            where=f"guard {choice.label}",
            hint="report it to the author of the plugin; without a guard: --set guard=null",
        ) from error
    return verdict


def _blend(
    workspace: Workspace, zero_shot: ZeroShot, candidate: Adapted, strength: float
) -> Adapted:
    """Return a mix of zero-shot CLIP and the candidate, with weights 1 - strength and strength.

    If CLIP was trained, `strength` is 0, and the result is zero-shot CLIP. Otherwise both
    classifiers have the logit scale of the frozen CLIP, so mixing similarities also mixes logits.
    """
    if strength == 0:
        member = Member(
            "zero-shot", workspace.frozen_clip, zero_shot.classifier, workspace.arithmetic
        )
        return Adapted(candidate.class_names, (member,))
    texts = zero_shot.class_features
    members = (
        replace(one, classifier=blend_classifier(texts, one.classifier, strength))
        for one in candidate.members
    )
    return Adapted(candidate.class_names, tuple(members))


def blend_classifier(texts: Tensor, own: Classifier, strength: float) -> Classifier:
    """Mix the zero-shot classifier `texts` (C, D) with the classifier `own`.

    With s = `strength`, a prototype w of a class with the text feature t becomes (1 - s) t + s w,
    and its bias b becomes s b.
    """
    return Classifier(
        (1 - strength) * texts[own.owners].to(own.weights) + strength * own.weights,
        own.owners,
        None if own.bias is None else strength * own.bias,
    )


def _save(
    folder: RunFolder, outcome: Outcome, posterior: Posterior | None, trained: bool
) -> list[Path]:
    apart = folder.candidate
    shutil.rmtree(apart.path, ignore_errors=True)
    if outcome.rejected is None:
        return [*save_adapted(folder, outcome.adapted), *save_posterior(folder, posterior)]
    if trained:
        save_adapted(apart, outcome.rejected)
    else:
        save_classifiers(apart, outcome.rejected)
    save_posterior(apart, posterior)
    return [*save_adapted(folder, outcome.adapted), *save_posterior(folder, None), apart.path]
