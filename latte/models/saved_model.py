"""Save the models and prototypes of a run, and load them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file
from torch import Tensor

from latte.backbone.precision import Arithmetic, choose_arithmetic
from latte.interfaces import (
    Backbone,
    BackboneLoader,
    Classifier,
    EncoderLoader,
    LatteError,
    Progress,
)
from latte.interfaces.measurements import ZERO_SHOT, Role
from latte.interfaces.provider import note_provider
from latte.interfaces.settings import Precision
from latte.io.files import make_folder, sync_files, write_atomically
from latte.io.paths import is_label
from latte.models.adapted import Adapted, Member, mixed_classifiers
from latte.models.original import load_original
from latte.registry.discovery import plugin_code
from latte.registry.registry import load_registry
from latte.registry.spec import DEFAULT_BACKBONE, USE, Registered
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


def save_adapted(folder: ModelFolder, adapted: Adapted) -> list[Path]:
    """Write all models and `prototypes.safetensors`; return the folders and the file."""
    written, learners = [folder.backbone], len(adapted.backbones)
    shutil.rmtree(folder.encoders, ignore_errors=True)
    for member in adapted.members:
        path = folder.encoders / member.name
        if member.component is None:
            path = _backbone_folder(folder, member.name, learners)
        else:
            written = [folder.backbone, folder.encoders]
        make_folder(path)
        member.encoder.save(path)
        sync_files(path)
    return [*written, save_prototypes(folder, adapted)]


def save_prototypes(folder: ModelFolder, adapted: Adapted) -> Path:
    """Write `prototypes.safetensors`; return its path."""
    learners = [member.name for member in adapted.members if member.component is None]
    about: dict[str, Any] = {"class_names": adapted.class_names, "learners": learners}
    encoders = {
        member.name: {"use": member.component, "fingerprint": member.encoder.fingerprint}
        for member in adapted.members
        if member.component is not None
    }
    if encoders:
        about["encoders"] = encoders
    write_prototypes(folder.prototypes, adapted, about)
    return folder.prototypes


def write_prototypes(path: Path, adapted: Adapted, about: Mapping[str, Any]) -> None:
    """Write the prototypes of all members to the file `path`, with the metadata `about`.

    The tensors of the member NAME are `NAME.weights`, `NAME.owners` (class indices) and, if its
    prototypes have biases, `NAME.bias`; `NAME.none` is the row of "none of these" and its bias, if
    answers taught it.
    """
    tensors: dict[str, Tensor] = {}
    for member in adapted.members:
        tensors |= {
            f"{member.name}.{part}": tensor.contiguous()
            for part, tensor in vars(member.classifier).items()
            if tensor is not None
        }
    # Use one key, because safetensors writes several keys in an order that differs by process.
    metadata = {"latte": json.dumps(about, ensure_ascii=False)}
    with write_atomically(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_model(run: Run, device: str, progress: Progress, role: Role) -> Adapted:
    """Load the model of a run with this role. Raises `LatteError` if its files are damaged."""
    progress.say(f"loading the {role} model of {run.folder.path.name}")
    if role == "zero-shot":
        return _load_zero_shot(run, device, progress)
    adapted = _load_adapted(run, device)
    if role == "adapted":
        return adapted
    classifiers = used_classifiers(run).every
    members = (replace(member, classifier=classifiers[member.name]) for member in adapted.members)
    return Adapted(run.class_names, tuple(members))


@dataclass(frozen=True)
class StoredEncoder:
    """An encoder of a saved model: its prototypes, and what identifies the encoder."""

    classifier: Classifier
    component: str
    """Full name of the component that loads the encoder."""
    fingerprint: str


@dataclass(frozen=True)
class StoredClassifiers:
    """The prototypes of a saved model, by the name of the learner or of the encoder."""

    learners: dict[str, Classifier]
    encoders: dict[str, StoredEncoder]

    @property
    def every(self) -> dict[str, Classifier]:
        """The prototypes of all members: the learners, then the encoders."""
        encoder_classifiers = {name: encoder.classifier for name, encoder in self.encoders.items()}
        return {**self.learners, **encoder_classifiers}


def used_classifiers(run: Run) -> StoredClassifiers:
    """Return the prototypes of the model that the run uses.

    Raises `LatteError` for a file that is damaged, or that is about other classes or learners.
    """
    facts, folder = run.record.judge, run.folder
    if facts.used == "adapted":
        return load_classifiers(run, folder.adapted_model)
    zero_shot = load_classifiers(run, folder.zero_shot_model)
    if facts.used == "zero-shot":
        return zero_shot
    (texts,) = (classifier.weights for classifier in zero_shot.learners.values())
    adapted = load_classifiers(run, folder.adapted_model)
    mixed = mixed_classifiers(texts, adapted.every, adapted.encoders, facts.strength)
    return StoredClassifiers(
        {name: mixed[name] for name in adapted.learners},
        {
            name: replace(encoder, classifier=mixed[name])
            for name, encoder in adapted.encoders.items()
        },
    )


def _load_zero_shot(run: Run, device: str, progress: Progress) -> Adapted:
    """Load zero-shot CLIP; if CLIP was trained, load the original weights.

    Raises `LatteError` if these weights are missing, or have changed since the run.
    """
    if not run.folder.wrote("zero-shot", run.folder.zero_shot_model.prototypes):
        what = "zero-shot CLIP is not in this folder, which has one model alone"
        raise LatteError(what, where=str(run.folder.path), hint="leave out `use`")
    (classifier,) = load_classifiers(run, run.folder.zero_shot_model).learners.values()
    if not run.record.train.trains_clip:
        member = _load_learners(run, load_classifiers(run, run.folder.adapted_model), device)[0]
        return Adapted(run.class_names, (replace(member, name=ZERO_SHOT, classifier=classifier),))
    backbone = load_original(run, device, progress)
    code = plugin_code(_backbone_component(run))
    arithmetic = _arithmetic(run, torch.device(device))
    member = Member(ZERO_SHOT, backbone, classifier, arithmetic, code=code)
    return Adapted(run.class_names, (member,))


def _load_adapted(run: Run, device: str) -> Adapted:
    stored = load_classifiers(run, run.folder.adapted_model)
    learners = _load_learners(run, stored, device)
    encoders = [
        _load_encoder(run, name, encoder, device) for name, encoder in stored.encoders.items()
    ]
    return Adapted(run.class_names, (*learners, *encoders))


def _load_learners(run: Run, stored: StoredClassifiers, device: str) -> list[Member]:
    folder, classifiers = run.folder.adapted_model, stored.learners
    registered = _backbone_component(run)
    loader = cast("type[BackboneLoader[Any]]", load_registry().load(registered))
    arithmetic, code = _arithmetic(run, torch.device(device)), plugin_code(registered)
    members = []
    for name, classifier in classifiers.items():
        backbone = _load_backbone(loader, _backbone_folder(folder, name, len(classifiers)), device)
        note_provider(backbone, registered.provider)
        members.append(Member(name, backbone, classifier, arithmetic, code=code))
        refuse_other_width(folder.prototypes, [*classifiers.values()], backbone.embedding_width)
    return members


def _backbone_component(run: Run) -> Registered:
    """Return the component that loads the run's CLIP. Raises `LatteError` if it is missing."""
    section = run.recipe.get("backbone")
    component_name = section.get(USE) if isinstance(section, dict) else None
    name = str(component_name or DEFAULT_BACKBONE)
    return load_registry().get("backbone", name, where=str(run.folder.recipe))


def _load_encoder(run: Run, name: str, stored: StoredEncoder, device: str) -> Member:
    """Load the run's copy of an encoder. Raises `LatteError` if it is damaged or has changed."""
    registry, folder = load_registry(), run.folder.adapted_model
    registered = registry.get("encoder", stored.component, where=str(folder.prototypes))
    loader = cast("type[EncoderLoader[Any]]", registry.load(registered))
    encoder = loader.load_saved(folder.encoders / name, device)
    note_provider(encoder, registered.provider)
    if encoder.fingerprint != stored.fingerprint:
        raise LatteError(
            f"the encoder {name} has changed since this run, so the run's classifier does not fit "
            "its features",
            where=str(folder.encoders / name),
            hint=f"put its files back, or make the run again: {run.repeat_command()}",
        )
    refuse_other_width(folder.prototypes, [stored.classifier], encoder.embedding_width)
    arithmetic, code = _arithmetic(run, torch.device(device)), plugin_code(registered)
    return Member(name, encoder, stored.classifier, arithmetic, registered.full_name, code)


def _arithmetic(run: Run, device: torch.device) -> Arithmetic:
    """Return the number format that the recipe's `precision` selects for `device`.

    If `device` lacks this format, return the format that `auto` selects.
    """
    train = run.recipe.get("train")
    saved_precision = train.get("precision") if isinstance(train, Mapping) else None
    precision: Any = saved_precision if saved_precision in get_args(Precision) else "auto"
    try:
        return choose_arithmetic(precision, device)
    except LatteError:
        return choose_arithmetic("auto", device)


def load_classifiers(run: Run, folder: ModelFolder) -> StoredClassifiers:
    """Return the prototypes in the `folder` of one of the run's models.

    Raises `LatteError` for a file that is damaged, or that is about other classes or learners.
    """
    class_names = run.class_names
    with open_tensors(folder.prototypes) as file:
        about = metadata(file)
        if about["class_names"] != [*class_names]:
            raise ValueError("it is about other classes")
        encoders = TypeAdapter(dict[str, dict[str, str]]).validate_python(about.get("encoders", {}))
        names = checked_names([*checked_names(about["learners"]), *encoders])
        if not all(map(is_label, names)):
            raise ValueError("a learner has a name that no recipe can give it")
        classifiers = {name: _classifier(file, name, len(class_names)) for name in names}
        stored = {
            name: StoredEncoder(classifiers.pop(name), facts["use"], facts["fingerprint"])
            for name, facts in encoders.items()
        }
        return StoredClassifiers(classifiers, stored)


def refuse_other_width(path: Path, classifiers: Sequence[Classifier], width: int) -> None:
    """Raise `LatteError` unless all prototypes have the `width` of the image features."""
    widths = [classifier.weights.shape[1] for classifier in classifiers]
    same_count(path, "numbers per prototype", [*widths, width])


def _classifier(file: Any, learner: str, classes: int) -> Classifier:
    # Memory-mapped tensors have another memory alignment than the saved tensors had, which changes
    # the last bits of matrix products. Copies are aligned like the saved tensors.
    weights, owners = (
        file.get_tensor(f"{learner}.{part}").clone() for part in ("weights", "owners")
    )
    stored = {*file.keys()}
    bias, none = (
        file.get_tensor(name).clone() if (name := f"{learner}.{part}") in stored else None
        for part in ("bias", "none")
    )
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
    if none is not None and (
        none.dtype != weights.dtype or none.shape != (weights.shape[1] + 1,) or not _is_sane(none)
    ):
        raise ValueError(f"the row of no class of {learner} is not one of finite numbers")
    return Classifier(weights, owners, bias, none)


def _is_sane(values: Tensor) -> bool:
    return bool((values.abs() <= LARGEST_WEIGHT).all())  # false for NaN, too


def _backbone_folder(folder: ModelFolder, name: str, learners: int) -> Path:
    return folder.backbone if learners == 1 else folder.backbone / name


def _load_backbone(loader: type[BackboneLoader[Any]], folder: Path, device: str) -> Backbone:
    backbone = loader.load_saved(folder, device)
    scale = float(backbone.logit_scale.detach())
    if not 0 < scale <= LARGEST_SCALE:
        raise LatteError(
            f"this model is damaged (its logit scale is {scale:g})",
            where=str(folder),
            hint=DO_AGAIN,
        )
    return backbone
