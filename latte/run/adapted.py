"""The adapted classifier: models and prototypes as a run leaves them, and as others load them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from latte.backbone.load import load_backbone
from latte.evaluate.similarities import Similarities
from latte.interfaces import Backbone, Classifier, LatteError, Progress
from latte.interfaces.settings import BackboneSettings
from latte.io.files import write_atomically
from latte.recipe.components import is_label
from latte.results.folder import RunFolder
from latte.results.stored import metadata, open_tensors
from latte.train.learner import Learner


@dataclass(frozen=True)
class Member:
    """One learner's outcome."""

    name: str
    backbone: Backbone
    classifier: Classifier
    """On the CPU."""


@dataclass(frozen=True)
class Adapted:
    """What a run is for. Several learners' similarities are averaged (ReCLIP, section 3.4)."""

    class_names: tuple[str, ...]
    members: tuple[Member, ...]

    @property
    def logit_scale(self) -> float:
        """What turns similarities into logits: the learners' mean."""
        scales = [float(member.backbone.logit_scale.detach()) for member in self.members]
        return sum(scales) / len(scales)

    def similarities(self, features: Sequence[Tensor]) -> Tensor:
        """Each member's unit features (B, D), on the CPU -> (B, C)."""
        return mean_similarities([member.classifier for member in self.members], features)

    def in_blocks(self, features: Sequence[Tensor]) -> Similarities:
        """Similarities of all images; each member's unit features (N, D), on the CPU."""
        return Similarities(
            len(features[0]),
            len(self.class_names),
            lambda rows: self.similarities([one[rows] for one in features]),
        )


def mean_similarities(classifiers: Sequence[Classifier], features: Sequence[Tensor]) -> Tensor:
    """Each learner's unit features (B, D) -> (B, C): the mean of the learners' similarities."""
    found = [own.similarities(one) for own, one in zip(classifiers, features, strict=True)]
    return found[0] if len(found) == 1 else torch.stack(found).mean(dim=0)


def from_learners(learners: Sequence[Learner], class_names: Sequence[str]) -> Adapted:
    """What `learners` are now."""
    members = []
    for learner in learners:
        found = learner.aggregator.classifier()
        classifier = Classifier(
            found.weights.detach().cpu().clone(),
            found.owners.cpu().clone(),
            None if found.bias is None else found.bias.detach().cpu().clone(),
        )
        members.append(Member(learner.name, learner.backbone, classifier))
    return Adapted(tuple(class_names), tuple(members))


def save_adapted(folder: RunFolder, adapted: Adapted) -> list[Path]:
    """Write the model folder(s) and `prototypes.safetensors`; returns both."""
    for member in adapted.members:
        member.backbone.save(_model_folder(folder, member.name, len(adapted.members)))
    return [folder.model, save_classifiers(folder, adapted)]


def save_classifiers(folder: RunFolder, adapted: Adapted) -> Path:
    """Write `prototypes.safetensors`; returns its path."""
    about = {
        "class_names": adapted.class_names,
        "learners": [member.name for member in adapted.members],
    }
    # One key: safetensors writes several in an order that differs from process to process.
    metadata = {"latte": json.dumps(about, ensure_ascii=False)}
    with write_atomically(folder.prototypes) as temporary:
        save_file(classifier_tensors(adapted), temporary, metadata=metadata)
    return folder.prototypes


def classifier_tensors(adapted: Adapted) -> dict[str, Tensor]:
    """Return `NAME.weights`, `NAME.owners` and, where there is one, `NAME.bias` per learner."""
    tensors: dict[str, Tensor] = {}
    for member in adapted.members:
        found = member.classifier
        tensors[f"{member.name}.weights"] = found.weights.contiguous()
        tensors[f"{member.name}.owners"] = found.owners.contiguous()
        if found.bias is not None:
            tensors[f"{member.name}.bias"] = found.bias.contiguous()
    return tensors


def load_adapted(
    folder: RunFolder, device: str, progress: Progress | None, *, candidate: bool = False
) -> Adapted:
    """Open what a run classifies with, or the `candidate` that it did not take as a whole.

    A candidate without a model has the frozen CLIP, as the run has then. Raises `LatteError` where
    there is none.
    """
    place = folder.candidate if candidate else folder
    class_names, classifiers = load_classifiers(place)
    if progress is not None:
        progress.say(
            f"loading the {'candidate' if candidate else 'adapted model'} of {folder.path.name}"
        )
    models = {name: _model_folder(place, name, len(classifiers)) for name in classifiers}
    if candidate and not place.model.exists():
        _, own = load_classifiers(folder)
        models = dict.fromkeys(classifiers, _model_folder(folder, next(iter(own)), len(own)))
    members = tuple(
        Member(name, _load_model(models[name], device), classifier)
        for name, classifier in classifiers.items()
    )
    return Adapted(class_names, members)


def load_classifiers(folder: RunFolder) -> tuple[tuple[str, ...], dict[str, Classifier]]:
    """Class names, and each learner's prototypes, without the models that belong to them.

    Raises `LatteError` where there are none, or damaged ones.
    """
    if not folder.prototypes.exists():
        raise LatteError(
            "there is no trained model in this run folder",
            where=str(folder.path),
            hint="give the folder that `latte run` named at its end, or run its recipe to the end",
        )
    with open_tensors(folder.prototypes) as file:
        about = metadata(file)
        names, learners = _texts(about["class_names"]), _texts(about["learners"])
        if not learners or not all(map(is_label, learners)):
            raise ValueError("a learner has a name that no recipe can give it")
        classifiers = {name: _classifier(file, name, len(names)) for name in learners}
    return names, classifiers


def _texts(value: Any) -> tuple[str, ...]:
    """The distinct texts of a list. Raises `ValueError` for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError("its names are not a list of texts")
    if len(set(value)) < len(value):
        raise ValueError("a name occurs twice")
    return tuple(value)


def _classifier(file: Any, learner: str, classes: int) -> Classifier:
    """One learner's prototypes. Raises `ValueError` where they are not of `classes` classes."""
    # Copies, aligned as those that were saved: a mapped file gives other last bits.
    weights, owners = (
        file.get_tensor(f"{learner}.{part}").clone() for part in ("weights", "owners")
    )
    name = f"{learner}.bias"
    bias = file.get_tensor(name).clone() if name in {*file.keys()} else None
    if weights.ndim != 2 or not weights.is_floating_point() or not weights.isfinite().all():
        raise ValueError(f"the prototypes of {learner} are not a matrix of finite numbers")
    if owners.dtype != torch.int64 or owners.shape != weights.shape[:1]:
        raise ValueError(f"the prototypes of {learner} do not have one class each")
    if owners.unique().tolist() != [*range(classes)]:
        raise ValueError(f"the prototypes of {learner} are not those of {classes} classes")
    if bias is not None and (
        bias.dtype != weights.dtype or bias.shape != owners.shape or not bias.isfinite().all()
    ):
        raise ValueError(f"the bias of {learner} is not one finite number for each prototype")
    return Classifier(weights, owners, bias)


def _model_folder(folder: RunFolder, name: str, learners: int) -> Path:
    return folder.model if learners == 1 else folder.model / name


def _load_model(folder: Path, device: str) -> Any:
    return load_backbone(
        BackboneSettings(model=f"local-dir:{folder}"),
        device=device,
        base_dir=folder,
        model_folder=lambda name: folder,
    )
