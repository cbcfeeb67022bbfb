"""The end of stage `train`: the guard judges the candidate, and the run takes what it says."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte import distributed
from latte.backbone.encode import encode_cached_images
from latte.evaluate.similarities import Similarities
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
from latte.results.verdict import has_candidate, write_verdict
from latte.run.adapted import Adapted, Member, load_adapted, save_adapted, save_classifiers
from latte.run.images import Images
from latte.run.posterior import save_posterior
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot


@dataclass(frozen=True)
class Outcome:
    """What stage `train` hands to stage `evaluate`."""

    adapted: Adapted
    """What the run classifies with."""
    rejected: Adapted | None = None
    """The candidate, where the run does not take all of it."""
    features: tuple[Tensor, ...] | None = None
    """The candidate's features of the training images, where they were encoded for the guard."""


def trains_clip(workspace: Workspace) -> bool:
    """Return whether image features can differ from those of the frozen CLIP.

    They cannot without a step, and not where nothing but prototypes moves.
    """
    recipe = workspace.recipe
    trains = any(learner.settings.trainable != "none" for learner in recipe.learners)
    return trains and recipe.train.takes_steps


def settle(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    candidate: Adapted,
    posterior: Posterior | None,
) -> tuple[Outcome, list[Path]]:
    """Ask the guard about the `candidate`, and save what the run takes; returns that and its files.

    Of several processes the first asks and writes. Without a guard the whole candidate is taken.
    """
    folder, written = workspace.folder, list[Path]()
    strength, features = 1.0, None
    if workspace.recipe.guard is not None:
        if trains_clip(workspace):
            features = encode_members(workspace, candidate, images)
        strength = distributed.broadcast(
            lambda: _judge(workspace, zero_shot, candidate, posterior, features).strength
        )
        written.append(folder.verdict)
    outcome = Outcome(candidate, features=features)
    if strength < 1:
        taken = (
            _blend(zero_shot, candidate, strength)
            if strength > 0
            else zero_shot_model(workspace, zero_shot, candidate.class_names)
        )
        outcome = Outcome(taken, candidate, features)
    if distributed.is_main_process():
        if workspace.recipe.guard is None:
            folder.verdict.unlink(missing_ok=True)
        written += _save(folder, outcome, posterior, trains_clip(workspace))
    return outcome, written


def load_outcome(folder: RunFolder, device: str, progress: Progress) -> Outcome:
    """Open what `settle` saved."""
    rejected = has_candidate(folder)
    return Outcome(
        load_adapted(folder, device, progress),
        load_adapted(folder, device, progress, candidate=True) if rejected else None,
    )


def encode_members(workspace: Workspace, adapted: Adapted, images: Images) -> tuple[Tensor, ...]:
    """Return each learner's unit features (N, D) of the training images, on the CPU."""
    size, progress = workspace.recipe.evaluate.batch_size, workspace.progress
    return tuple(
        encode_cached_images(one.backbone, images.training.cache, size, progress, "label images")
        for one in adapted.members
    )


def zero_shot_model(
    workspace: Workspace, zero_shot: ZeroShot, class_names: tuple[str, ...]
) -> Adapted:
    """Return the frozen CLIP with its class texts as prototypes, in place of an adapted one."""
    owners = torch.arange(len(class_names))
    classifier = Classifier(zero_shot.class_features, owners)
    return Adapted(class_names, (Member("zero-shot", workspace.frozen_clip, classifier),))


def _blend(zero_shot: ZeroShot, candidate: Adapted, strength: float) -> Adapted:
    """Mix similarities: rows (1 - s) t + s w and bias s b, with text t of a row w's class.

    Logits mix likewise, as nothing was trained and all have the logit scale of the frozen CLIP.
    """
    members = []
    for member in candidate.members:
        own = member.classifier
        texts = zero_shot.class_features[own.owners].to(own.weights)
        mixed = Classifier(
            (1 - strength) * texts + strength * own.weights,
            own.owners,
            None if own.bias is None else strength * own.bias,
        )
        members.append(Member(member.name, member.backbone, mixed))
    return Adapted(candidate.class_names, tuple(members))


def _judge(
    workspace: Workspace,
    zero_shot: ZeroShot,
    candidate: Adapted,
    posterior: Posterior | None,
    features: Sequence[Tensor] | None,
) -> Verdict:
    """Ask the guard, write down its verdict and say it. Raises `LatteError` for an unusable one."""
    choice = workspace.recipe.guard
    assert choice is not None, "somebody is asked"
    evidence = _evidence(workspace, zero_shot, candidate, posterior, features)
    verdict: Verdict = workspace.build(choice).judge(evidence)
    try:
        check_verdict(verdict, divisible=evidence.divisible)
    except ValueError as error:
        raise LatteError(
            f"its verdict cannot be used: {error}",
            where=f"guard {choice.label}",
            hint="report it to the author of the plugin; without a guard: --set guard=null",
        ) from error
    write_verdict(workspace.folder, verdict)
    workspace.progress.say(f"guard {choice.label}: {verdict.outcome}")
    return verdict


def _evidence(
    workspace: Workspace,
    zero_shot: ZeroShot,
    candidate: Adapted,
    posterior: Posterior | None,
    features: Sequence[Tensor] | None,
) -> Evidence:
    own = features or [zero_shot.training] * len(candidate.members)
    similarities: Similarities = candidate.in_blocks(own)
    return Evidence(
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
        labels=similarities.labels() if posterior is None else posterior.labels[:, 0],
        trained=features is not None,
    )


def _save(
    folder: RunFolder, outcome: Outcome, posterior: Posterior | None, trained: bool
) -> list[Path]:
    """Write the run's model and classifier, and in `candidate/` what it did not take."""
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
