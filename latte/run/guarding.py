"""What a recipe's guard says, before anything is described: adapt, or keep zero-shot."""

from __future__ import annotations

from dataclasses import asdict

import torch

from latte.files import write_json
from latte.interfaces import Classifier, Verdict
from latte.run.adapted import Adapted, Member
from latte.run.folder import RunFolder
from latte.run.images import Images
from latte.run.stored import read_stored
from latte.run.workspace import Workspace
from latte.run.zero_shot import ZeroShot


def judge(workspace: Workspace, zero_shot: ZeroShot) -> Verdict | None:
    """Ask the guard, write down its verdict and say it; None without a guard."""
    path = workspace.folder.verdict
    choice = workspace.recipe.guard
    if choice is None:
        path.unlink(missing_ok=True)
        return None
    verdict: Verdict = workspace.build(choice).judge(zero_shot.training, zero_shot.class_features)
    write_json(path, asdict(verdict))
    found = "adapting" if verdict.adapt else "keeping zero-shot"
    workspace.progress.say(f"guard {choice.label}: {found}, as {verdict.reason}")
    return verdict


def read_verdict(folder: RunFolder) -> Verdict | None:
    """What the guard said in this run; None without a guard."""
    if not folder.verdict.exists():
        return None
    return read_stored(folder.verdict, Verdict)


def is_held_back(folder: RunFolder) -> bool:
    """Whether this run keeps zero-shot, because its guard said so."""
    verdict = read_verdict(folder)
    return verdict is not None and not verdict.adapt


def zero_shot_model(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Adapted:
    """The frozen CLIP with its class texts as prototypes, in place of an adapted one."""
    owners = torch.arange(len(images.class_names))
    classifier = Classifier(zero_shot.class_features, owners)
    member = Member("zero-shot", workspace.frozen_clip, classifier)
    return Adapted(images.class_names, (member,))
