"""Labelled sets with features of a CLIP and of image-only encoders beside it.

Images are encoded here, and features are cached. A file of features, as the other measurements read
it, also has the tensors `training.NAME` and `evaluation.NAME` of each encoder NAME.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from latte_benchmarks.folder_cells import LabelledImages, LabelledSet
from torch import Tensor
from torch.nn.functional import normalize, pad

from benchmarks.folder_sets import SetPlan, Sets, load_clip, read_features
from benchmarks.measuring import no_clip
from latte.interfaces import Context, Encoder, EncoderLoader, LatteError, Progress
from latte.io.environment import cache_folder
from latte.new.encoders import encoder_keys
from latte.registry.registry import Registry, load_registry
from latte.registry.spec import USE
from latte.report.progress import make_progress
from latte.results.stored import open_tensors
from latte.run.frozen_features import encode_references

ALONE = "CLIP alone"

FeaturePair = tuple[Tensor, Tensor]
"""Features of the training images, and of the test images."""


@dataclass(frozen=True)
class EncodedSet:
    """A labelled set with the features of several models side by side."""

    labelled: LabelledSet
    """Its features (N, D + E + ...) are those of the CLIP and of all encoders."""
    widths: Mapping[str, int]
    """Width of the CLIP's features, and of each encoder's."""

    def parts(self, features: Tensor) -> dict[str, Tensor]:
        """Return the features of each model."""
        blocks = torch.split(features, [*self.widths.values()], dim=1)
        return {name: block.contiguous() for name, block in zip(self.widths, blocks, strict=True)}


def encoded_sets(sets: Sets, encoders: Sequence[str], model: str) -> list[EncodedSet]:
    """Return the sets of images and of files. Raises `LatteError` for an unusable set or encoder.

    `encoders` are written as NAME or NAME:MODEL, like the option `--encoder` of `latte adapt`.
    """
    registry, progress = load_registry(), make_progress()
    loaded = {text: load_encoder(text, registry) for text in encoders}
    clip = load_clip(model, registry)
    of_images = [
        joined(
            sets.encoded(plan, clip, progress),
            {name: image_pair(sets, plan, encoder, progress) for name, encoder in loaded.items()},
            str(plan.split),
        )
        for plan in sets.wholes
    ]
    of_files = [
        joined(labelled, file_pairs(path), str(path))
        for labelled, path in zip(read_features(sets.files, clip), sets.files, strict=True)
    ]
    return [*of_images, *of_files]


def load_encoder(text: str, registry: Registry) -> Encoder:
    """Return the encoder NAME or NAME:MODEL. Raises `LatteError` if there is none."""
    (keys,) = encoder_keys([text], registry)
    registered = registry.get("encoder", keys[USE])
    values = {key: value for key, value in keys.items() if key != USE}
    options = registry.options_model(registered).model_validate(values)
    context = Context(Path.cwd(), cache_folder(), "cpu", 0, no_clip, registry.model_folder)
    return cast("EncoderLoader[Any]", registry.build(registered, options, context)).load()


def image_pair(sets: Sets, plan: SetPlan, encoder: Encoder, progress: Progress) -> FeaturePair:
    """Return an encoder's features of all readable training images and test images of a set."""
    _, *image_lists = sets.read(plan)
    training, test = (
        encode_references(encoder, [image.image for image in part], progress, plan.name)[1]
        for part in image_lists
    )
    return training, test


def file_pairs(path: Path) -> dict[str, FeaturePair]:
    """Return the features of each encoder that a file has, normalised."""
    with open_tensors(path) as file:
        tensors = sorted({*file.keys()})
        names = [name.removeprefix("training.") for name in tensors if name.startswith("training.")]
        return {
            name: (_unit(file, f"training.{name}"), _unit(file, f"evaluation.{name}"))
            for name in names
        }


def joined(labelled: LabelledSet, pairs: Mapping[str, FeaturePair], where: str) -> EncodedSet:
    """Return the set with the features of all encoders.

    Raises `LatteError` if an encoder has not one feature for each image.
    """
    train_features, test_features = [labelled.train.features], [labelled.test.features]
    for name, (training, test) in pairs.items():
        if (len(training), len(test)) != (len(labelled.train), len(labelled.test)):
            raise LatteError(f"{name} has not one feature for each image", where=where)
        train_features.append(training)
        test_features.append(test)
    widths = dict(zip((ALONE, *pairs), (part.shape[1] for part in train_features), strict=True))
    train, test_images = (
        LabelledImages(torch.cat(features, dim=1), images.labels)
        for features, images in ((train_features, labelled.train), (test_features, labelled.test))
    )
    # Class texts get zeros for the encoders, so that similarities are those of the CLIP.
    texts = pad(labelled.texts, (0, train.features.shape[1] - labelled.texts.shape[1]))
    return EncodedSet(replace(labelled, texts=texts, train=train, test=test_images), widths)


def _unit(file: Any, name: str) -> Tensor:
    return normalize(file.get_tensor(name).float(), dim=1)
