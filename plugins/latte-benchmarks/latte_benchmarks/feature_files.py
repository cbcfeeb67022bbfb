"""Read labelled sets: files of frozen features, and folders with a sub-folder per class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors import SafetensorError, safe_open

from latte.api import Backbone, LatteError, Progress
from latte.api.runs import labelled_features
from latte_benchmarks.folder_cells import EncodeNames, LabelledImages, LabelledSet

TEMPLATE = "a photo of a {}."
"""Template of the class texts in files of features."""


def read_feature_file(path: Path, encode_names: EncodeNames, width: int) -> LabelledSet:
    """Read a set from a safetensors file of features and labels.

    The tensors are `training`, `training_labels`, `evaluation`, `evaluation_labels` and
    `class_features`; the metadata are `classes` (a JSON list) and `logit_scale`. Raises
    `LatteError` for another file, and for features of another width than `width`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            about = file.metadata() or {}
        names = tuple(json.loads(about["classes"]))
        training, evaluation = (
            LabelledImages(tensors[name].float(), tensors[f"{name}_labels"].long())
            for name in ("training", "evaluation")
        )
        scale, texts = float(about["logit_scale"]), tensors["class_features"].float()
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise LatteError(
            f"is no file of features: {type(error).__name__}: {error}",
            where=str(path),
            hint="it needs training, evaluation, their labels, class_features, and metadata",
        ) from error
    if texts.shape[1] != width:
        raise LatteError(
            f"its features have the width {texts.shape[1]}, those of the CLIP {width}",
            where=str(path),
            hint="name the CLIP that computed them: --model MODEL",
        )
    return LabelledSet(
        path.stem, path.stem, names, texts, scale, training, evaluation, encode_names
    )


def read_sets(paths: Sequence[Path], clip: Backbone, progress: Progress) -> list[LabelledSet]:
    """Read each file of features or folder of labelled images.

    Raises `LatteError` for an unusable set, and for two sets of the same name.
    """
    names = [path.stem for path in paths]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LatteError(f'two sets are called "{twice[0]}"', hint="rename one of them")

    def encode_names(texts: Sequence[str]) -> Any:
        with torch.no_grad():
            return clip.encode_texts([TEMPLATE.format(text) for text in texts])

    return [
        _folder_set(path, clip, progress)
        if path.is_dir()
        else read_feature_file(path, encode_names, clip.embedding_width)
        for path in paths
    ]


def _folder_set(root: Path, clip: Backbone, progress: Progress) -> LabelledSet:
    """Return a folder's images; a random half of each class is unseen."""
    labelled = labelled_features(root, clip, progress)
    images = LabelledImages(labelled.image_features, labelled.labels)
    order = numpy.random.default_rng(0).permutation(len(images))
    places = numpy.zeros(len(images), dtype=int)
    for label in range(len(labelled.class_names)):
        rows = order[images.labels.numpy()[order] == label]
        places[rows] = numpy.arange(len(rows))
    is_unseen = torch.from_numpy(places % 2 == 1)
    return LabelledSet(
        root.name,
        root.name,
        labelled.class_names,
        labelled.class_features,
        float(clip.logit_scale.detach()),
        images.take(~is_unseen),
        images.take(is_unseen),
        labelled.encode_names,
    )
