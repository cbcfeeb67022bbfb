"""Signals that need no labels, from which it may be forecast if adapting a folder helps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from latte_benchmarks.folder_cells import Folder
from latte_transductive.agreement import kappa
from latte_transductive.other_names import NAMES
from torch import Tensor

from benchmarks.folder_methods import method_called


def candidate_signals(folder: Folder, labels: Tensor) -> Mapping[str, float]:
    """Return signals by name, for the classes (N,) that the whole candidate gives to the images.

    `margin` is the mean difference of an image's two largest text logits, after each class's mean
    is subtracted. `images of other things` is the share of images that are more similar to one of
    `NAMES` than to any class name.
    """
    images, texts = folder.own.features, folder.texts
    logits = folder.logit_scale * (images @ texts.T)
    best = (logits - logits.mean(dim=0)).topk(min(2, len(texts)), dim=1).values
    other_texts = folder.encode_names(NAMES)
    is_other = (images @ other_texts.T).amax(dim=1) > (images @ texts.T).amax(dim=1)
    propagated_labels = method_called("label-propagation")(folder).own
    return {
        "images": len(images),
        "log images": math.log(len(images)),
        "names": math.log(len(texts)),
        "images per name": math.log(len(images) / len(texts)),
        "margin": float((best[:, 0] - best[:, -1]).mean()),
        "images of other things": float(is_other.double().mean()),
        "agreement with propagation": kappa(labels, propagated_labels, len(texts)),
        "drift of shares": _drift(logits.argmax(dim=1), labels, len(texts)),
    }


def _drift(zero_shot: Tensor, labels: Tensor, classes: int) -> float:
    """Return the share of images by which the class frequencies of two labellings differ."""
    counts = [part.bincount(minlength=classes) for part in (zero_shot, labels)]
    return float((counts[0] - counts[1]).abs().sum()) / 2 / len(labels)
