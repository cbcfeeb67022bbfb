"""Models and prototypes of a run: average their similarities, save them and load them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.data.cache import ImageCache
from latte.evaluate.similarities import Similarities
from latte.interfaces import Backbone, BackboneLoader, Classifier, LatteError, Progress
from latte.interfaces.measurements import Role
from latte.interfaces.settings import Precision
from latte.io.files import make_folder, sync_files, write_atomically
from latte.recipe.component import is_label
from latte.recipe.model import BACKBONE, DEFAULT_BACKBONE
from latte.registry.registry import load_registry
from latte.registry.spec import USE
from latte.results.folder import ModelFolder
from latte.results.run import Run
from latte.results.stored import (
    DO_AGAIN,
    LARGEST_SCALE,
    LARGEST_WEIGHT,
    checked_names,
    metadata,
    open_tensors,
    same_count,
)
from latte.run.workspace import Workspace, saved_recipe
from latte.train.learner import Learner
from latte.train.precision import Arithmetic, choose_arithmetic, encoding_in

ZERO_SHOT = "zero-shot"
"""Name of the only learner of the zero-shot model."""


@dataclass(frozen=True)
class Member:
    """Model and prototypes of one learner, which is one adapted copy of CLIP."""

    name: str
    backbone: Backbone
    classifier: Classifier
    """The learner's prototypes, on the CPU."""
    arithmetic: Arithmetic = "fp32"
    """Number format, such as bf16, in which a GPU encodes images; see `encoding_in`."""

    def encoding(self) -> AbstractContextManager[Any]:
        """Return a context manager for encoding without gradient, in the precision `arithmetic`."""
        return encoding_in(self.arithmetic, self.backbone.logit_scale.device)


@dataclass(frozen=True)
class Adapted:
    """Classifier of a run: averages the similarities of its learners (ReCLIP, section 3.4)."""

    class_names: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def logit_scale(self) -> float:
        """Factor that turns similarities into logits: the mean of the learners' logit scales."""
        scales = [float(member.backbone.logit_scale.detach()) for member in self.members]
        return sum(scales) / len(scales)

    @cached_property
    def logit_bias(self) -> float | None:
        """Mean logit bias of sigmoid models.

        None if a model has no bias, or if its similarities are not cosines.
        """
        biases = [member.backbone.logit_bias for member in self.members]
        found = [float(bias.detach()) for bias in biases if bias is not None]
        cosines = all(
            one.bias is None and torch.allclose(one.weights.norm(dim=1), torch.ones(()), atol=1e-3)
            for one in (member.classifier for member in self.members)
        )
        return sum(found) / len(found) if len(found) == len(biases) and cosines else None

    def matches(self, similarities: Tensor) -> Tensor | None:
        """Return the probability (B, C) that a class fits an image; None without `logit_bias`."""
        bias = self.logit_bias
        return None if bias is None else (self.logit_scale * similarities + bias).sigmoid()

    def encode(
        self, images: ImageCache, batch_size: int, progress: Progress, name: str
    ) -> tuple[Tensor, ...]:
        """Encode all images; return the unit features (N, D) of each learner, on the CPU."""
        found = []
        for one in self.members:
            features = torch.empty(0, one.backbone.embedding_width)
            if len(images):
                with one.encoding():
                    features = encode_cached_images(
                        one.backbone, images, batch_size, progress, name
                    )
            found.append(features)
        return tuple(found)

    def similarities(self, features: Sequence[Tensor]) -> Tensor:
        """Return the learners' mean similarities (B, C), from each learner's features (B, D)."""
        return mean_similarities([member.classifier for member in self.members], features)

    def in_blocks(self, features: Sequence[Tensor]) -> Similarities:
        """Return the similarities of all images, computed in blocks when they are used.

        `features` are the features (N, D) of each learner.
        """
        return Similarities(
            len(features[0]),
            len(self.class_names),
            lambda rows: self.similarities([one[rows] for one in features]),
        )


def mean_similarities(classifiers: Sequence[Classifier], features: Sequence[Tensor]) -> Tensor:
    """Return the learners' mean similarities (B, C), from each learner's features (B, D)."""
    found = [own.similarities(one) for own, one in zip(classifiers, features, strict=True)]
    return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)


def from_learners(learners: Sequence[Learner], class_names: Sequence[str]) -> Adapted:
    """Return a classifier with the learners' backbones and CPU copies of their prototypes."""
    members = []
    for learner in learners:
        found = learner.aggregator.classifier()
        classifier = Classifier(
            found.weights.detach().cpu().clone(),
            found.owners.cpu().clone(),
            None if found.bias is None else found.bias.detach().cpu().clone(),
        )
        members.append(Member(learner.name, learner.backbone, classifier, learner.arithmetic))
    return Adapted(tuple(class_names), tuple(members))


def save_adapted(folder: ModelFolder, adapted: Adapted) -> list[Path]:
    """Write the models and `prototypes.safetensors`; return the model folder and the file."""
    for member in adapted.members:
        path = _backbone_folder(folder, member.name, len(adapted.members))
        make_folder(path)
        member.backbone.save(path)
        sync_files(path)
    return [folder.backbone, save_prototypes(folder, adapted)]


def save_prototypes(folder: ModelFolder, adapted: Adapted) -> Path:
    """Write `prototypes.safetensors`; return its path."""
    names = [member.name for member in adapted.members]
    about = {"class_names": adapted.class_names, "learners": names}
    write_prototypes(folder.prototypes, adapted, about)
    return folder.prototypes


def write_prototypes(path: Path, adapted: Adapted, about: Mapping[str, Any]) -> None:
    """Write the prototypes of all learners to the file `path`, with the metadata `about`.

    The tensors of the learner NAME are `NAME.weights`, `NAME.owners` (class indices) and, if its
    prototypes have biases, `NAME.bias`.
    """
    tensors: dict[str, Tensor] = {}
    for member in adapted.members:
        found = member.classifier
        tensors[f"{member.name}.weights"] = found.weights.contiguous()
        tensors[f"{member.name}.owners"] = found.owners.contiguous()
        if found.bias is not None:
            tensors[f"{member.name}.bias"] = found.bias.contiguous()
    # Use one key, because safetensors writes several keys in an order that differs by process.
    metadata = {"latte": json.dumps(about, ensure_ascii=False)}
    with write_atomically(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def mixed_model(zero_shot: Adapted, adapted: Adapted, strength: float) -> Adapted:
    """Return the model (1 - s) zero-shot + s adapted, with s = `strength` between 0 and 1.

    CLIP must not be trained. Both models then have the logit scale of the frozen CLIP, so mixing
    similarities also mixes logits.
    """
    texts = zero_shot.members[0].classifier.weights
    members = (
        replace(member, classifier=mixed_classifier(texts, member.classifier, strength))
        for member in adapted.members
    )
    return Adapted(adapted.class_names, tuple(members))


def mixed_classifier(texts: Tensor, adapted: Classifier, strength: float) -> Classifier:
    """Mix the zero-shot classifier `texts` (C, D) with the classifier `adapted`.

    With s = `strength`, a prototype w of a class with the text feature t becomes (1 - s) t + s w,
    and its bias b becomes s b.
    """
    return Classifier(
        (1 - strength) * texts[adapted.owners].to(adapted.weights) + strength * adapted.weights,
        adapted.owners,
        None if adapted.bias is None else strength * adapted.bias,
    )


def load_model(run: Run, device: str, progress: Progress, role: Role) -> Adapted:
    """Load the model of a run with this role. Raises `LatteError` if its files are damaged."""
    progress.say(f"loading the {role} model of {run.folder.path.name}")
    if role == "zero-shot":
        return _load_zero_shot(run, device, progress)
    adapted = _load_adapted(run, device)
    if role == "adapted":
        return adapted
    classifiers = used_classifiers(run)
    members = (replace(one, classifier=classifiers[one.name]) for one in adapted.members)
    return Adapted(run.class_names, tuple(members))


def used_classifiers(run: Run) -> dict[str, Classifier]:
    """Return the prototypes of the model that the run uses, by learner.

    Raises `LatteError` for a file that is damaged, or that is about other classes or learners.
    """
    facts, folder = run.record.train, run.folder
    if facts.used == "adapted":
        return load_classifiers(run, folder.adapted_model)
    zero_shot = load_classifiers(run, folder.zero_shot_model)
    if facts.used == "zero-shot":
        return zero_shot
    (texts,) = (classifier.weights for classifier in zero_shot.values())
    return {
        name: mixed_classifier(texts, classifier, facts.strength)
        for name, classifier in load_classifiers(run, folder.adapted_model).items()
    }


def _load_zero_shot(run: Run, device: str, progress: Progress) -> Adapted:
    """Load zero-shot CLIP; if CLIP was trained, the recipe's backbone loads the original weights.

    Raises `LatteError` if these weights are missing, or have changed since the run.
    """
    (classifier,) = load_classifiers(run, run.folder.zero_shot_model).values()
    if not run.record.train.trains_clip:
        member = _load_adapted(run, device).members[0]
        return Adapted(run.class_names, (replace(member, name=ZERO_SHOT, classifier=classifier),))
    registry = load_registry()
    recipe = saved_recipe(run, registry, [f"device={device}"])
    workspace = Workspace(recipe, registry, progress, run.folder)
    if workspace.backbone.identity() != run.record.source.backbone:
        raise LatteError(
            f"the weights of {workspace.backbone.title} have changed since this run, which uses "
            "them because it kept zero-shot CLIP",
            where=str(run.folder.path),
            hint=f"put them back, or make the run again: {run.repeat_command()}",
        )
    arithmetic = _arithmetic(run, torch.device(device))
    member = Member(ZERO_SHOT, workspace.frozen_clip, classifier, arithmetic)
    return Adapted(run.class_names, (member,))


def _load_adapted(run: Run, device: str) -> Adapted:
    folder = run.folder.adapted_model
    classifiers = load_classifiers(run, folder)
    registry, section = load_registry(), run.recipe.get(BACKBONE)
    use = section.get(USE) if isinstance(section, dict) else None
    named = registry.get("backbone", str(use or DEFAULT_BACKBONE), where=str(run.folder.recipe))
    loader = cast("type[BackboneLoader[Any]]", registry.load(named))
    arithmetic = _arithmetic(run, torch.device(device))
    members = []
    for name, classifier in classifiers.items():
        backbone = _load_backbone(loader, _backbone_folder(folder, name, len(classifiers)), device)
        members.append(Member(name, backbone, classifier, arithmetic))
        refuse_other_width(folder.prototypes, classifiers, backbone.embedding_width)
    return Adapted(run.class_names, tuple(members))


def _arithmetic(run: Run, device: torch.device) -> Arithmetic:
    """Return the number format that the recipe's `precision` selects for `device`.

    If `device` lacks this format, return the format that `auto` selects.
    """
    train = run.recipe.get("train")
    found = train.get("precision") if isinstance(train, Mapping) else None
    precision: Any = found if found in get_args(Precision) else "auto"
    try:
        return choose_arithmetic(precision, device)
    except LatteError:
        return choose_arithmetic("auto", device)


def load_classifiers(run: Run, folder: ModelFolder) -> dict[str, Classifier]:
    """Return each learner's prototypes by name, from the `folder` of one of the run's models.

    Raises `LatteError` for a file that is damaged, or that is about other classes or learners.
    """
    class_names = run.class_names
    with open_tensors(folder.prototypes) as file:
        about = metadata(file)
        if about["class_names"] != [*class_names]:
            raise ValueError("it is about other classes")
        names = checked_names(about["learners"])
        if not all(map(is_label, names)):
            raise ValueError("a learner has a name that no recipe can give it")
        return {name: _classifier(file, name, len(class_names)) for name in names}


def refuse_other_width(path: Path, classifiers: Mapping[str, Classifier], width: int) -> None:
    """Raise `LatteError` unless all prototypes have the `width` of the image features."""
    widths = [one.weights.shape[1] for one in classifiers.values()]
    same_count(path, "numbers per prototype", [*widths, width])


def _classifier(file: Any, learner: str, classes: int) -> Classifier:
    # Memory-mapped tensors have another memory alignment than the saved tensors had, which changes
    # the last bits of matrix products. Copies are aligned like the saved tensors.
    weights, owners = (
        file.get_tensor(f"{learner}.{part}").clone() for part in ("weights", "owners")
    )
    name = f"{learner}.bias"
    bias = file.get_tensor(name).clone() if name in {*file.keys()} else None
    if weights.dtype != torch.float32 or weights.ndim != 2:
        raise ValueError(f"the prototypes of {learner} are not a matrix of fp32")
    if not _is_sane(weights):
        raise ValueError(
            f"the prototypes of {learner} have an entry that is not finite or too large"
        )
    if not bool(weights.any(dim=1).all()):
        raise ValueError(f"a prototype of {learner} is zero")
    if owners.dtype != torch.int64 or owners.shape != weights.shape[:1]:
        raise ValueError(f"the prototypes of {learner} do not have one class each")
    if owners.unique().tolist() != [*range(classes)]:
        raise ValueError(f"the prototypes of {learner} are not those of {classes} classes")
    if bias is not None and (
        bias.dtype != weights.dtype or bias.shape != owners.shape or not _is_sane(bias)
    ):
        raise ValueError(f"the bias of {learner} is not one finite number for each prototype")
    return Classifier(weights, owners, bias)


def _is_sane(values: Tensor) -> bool:
    return bool((values.abs() <= LARGEST_WEIGHT).all())  # false for NaN, too


def _backbone_folder(folder: ModelFolder, name: str, learners: int) -> Path:
    return folder.backbone if learners == 1 else folder.backbone / name


def _load_backbone(loader: type[BackboneLoader[Any]], folder: Path, device: str) -> Backbone:
    found = loader.load_saved(folder, device)
    scale = float(found.logit_scale.detach())
    if not 0 < scale <= LARGEST_SCALE:
        raise LatteError(
            f"this model is damaged (its logit scale is {scale:g})",
            where=str(folder),
            hint=DO_AGAIN,
        )
    return found
