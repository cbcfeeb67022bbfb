"""The identity of a run: the hash in its folder's name, and the fingerprint of each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from latte.io.files import digest, digest_json
from latte.recipe.component import Choice
from latte.recipe.model import LearnerChoice, Recipe
from latte.registry.discovery import plugin_code
from latte.registry.spec import BUILTIN_DISTRIBUTION, Kind
from latte.results.record import STAGES
from latte.version import __version__

CHECKPOINTS = "checkpoints"

NOT_IDENTITY = ("output", "device", "reporters", "controls", "requires", "evaluate", "series")
"""Recipe keys that change the place, speed or reports of a run, but not its model, except that
`series` changes how answers are left out."""


def run_hash(recipe: Recipe, limit: int | None) -> str:
    """Return the run ID: eight hex digits that change with all settings that affect the model."""
    keys = {name: value for name, value in recipe.resolved.items() if name not in NOT_IDENTITY}
    return digest_json({"recipe": keys, "limit": limit})[:8]


_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "data": ("dataset",),
    "zero-shot": ("backbone", "encoder"),
    "describe": ("describer", "description", "gate"),
    "train": ("labeler", "prototypes", "loss", "trainable", "augmentation", "guard"),
    "report": ("reporter",),
}


def code_of_stage(recipe: Recipe, stage: str) -> dict[str, str]:
    """Return digests of the plugin code that a stage uses, by package; see `plugin_code`."""
    choices = [choice for choice in recipe.choices if choice.spec.kind in _KINDS.get(stage, ())]
    return {choice.distribution: code for choice in choices if (code := plugin_code(choice))}


def stage_fingerprints(
    recipe: Recipe,
    data: str,
    backbone: str,
    labels: Mapping[str, Sequence[int] | None] = MappingProxyType({}),
    encoders: Sequence[str] = (),
    series: Sequence[str | None] = (),
) -> dict[str, str]:
    """Return one fingerprint per stage: a hash of all inputs of the stage and of earlier stages.

    The additional fingerprint `CHECKPOINTS` leaves out the guard, so that checkpoints stay usable
    if the guard changes.

    Args:
        recipe: the run's recipe.
        data: fingerprint of the images: their ids, contents and order.
        backbone: identity of the backbone; see `BackboneLoader.identity`.
        labels: labels of the training images, by the stage that uses them first.
        encoders: identity of each of the recipe's encoders.
        series: name of the series of each image, where a table or the dataset gives it. Series
            decide which answers are left out together, and never what a model learns.
    """
    data_stage = digest_json([__version__, _choice(recipe.dataset), data])
    loader = recipe.backbone
    if loader.distribution != BUILTIN_DISTRIBUTION:  # `data_stage` has the version of latte itself
        identities = (backbone, loader.distribution, loader.version, plugin_code(loader))
        backbone = " ".join(identity for identity in identities if identity is not None)
    zero_shot = digest(data_stage, backbone)
    if recipe.encoders:
        zero_shot = digest(zero_shot, _choices(recipe.encoders), *encoders)
    describers = _choices(recipe.describers)
    seed, gates = str(recipe.seed), _choices(recipe.gates)
    described = [zero_shot, describers, _choices(recipe.descriptions), seed, gates]
    if (described_by := labels.get("describe")) is not None:
        described.append(digest_json([*described_by]))
    describe = digest(*described)
    series_inputs = digest_json([recipe.series.model_dump(mode="json"), [*series]])
    trained = [
        describe,
        _choices(recipe.labels),
        digest_json([_learner(learner) for learner in recipe.learners]),
        digest_json(recipe.train.model_dump(mode="json")),
    ]
    if recipe.augmentation is not None:
        trained.append(_choices([recipe.augmentation]))
    if recipe.questioned is not None:
        trained.append(f"budget {recipe.budget}")
    if (trained_by := labels.get("train")) is not None:
        trained += [digest_json([*trained_by]), series_inputs]
    train = checkpoints = digest(*trained)
    if recipe.guard:
        train = digest(checkpoints, _choices([recipe.guard]))
    evaluate = digest(train, digest_json(recipe.evaluate.model_dump(mode="json")), series_inputs)
    controls = digest_json({name: _control(control) for name, control in recipe.controls.items()})
    report = digest(evaluate, _choices(recipe.reporters), controls)
    stages = (data_stage, zero_shot, describe, train, evaluate, report)
    return {**dict(zip(STAGES, stages, strict=True)), CHECKPOINTS: checkpoints}


def _learner(learner: LearnerChoice) -> list[Any]:
    return [
        learner.model_dump(mode="json", include={"name", "optimizer"}),
        _choice(learner.trainable),
        _choice(learner.prototypes),
        _choice(learner.loss) if learner.loss else None,
    ]


def _control(control: Recipe) -> Any:
    code = {
        choice.distribution: file_digest
        for choice in control.choices
        if (file_digest := plugin_code(choice))
    }
    return [control.resolved, code] if code else control.resolved


def _choice(choice: Choice) -> Mapping[str, Any]:
    return {
        "kind": choice.spec.kind,
        "name": f"{choice.distribution}/{choice.spec.name}",
        "version": choice.version,
        "label": choice.label,
        "by": choice.by,
        "options": choice.options.model_dump(mode="json"),
        **({} if (code := plugin_code(choice)) is None else {"code": code}),
    }


def _choices(choices: Sequence[Choice]) -> str:
    return digest_json([_choice(choice) for choice in choices])
