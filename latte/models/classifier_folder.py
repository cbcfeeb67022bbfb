"""Folders with classifiers that plugins wrote: recognise one, and open it."""

from __future__ import annotations

import json
from pathlib import Path

from latte.interfaces import ImageClassifier, LatteError
from latte.interfaces.provider import blaming
from latte.io.files import digest
from latte.io.paths import is_file
from latte.registry.classifiers import open_image_classifier
from latte.results.stored import checked_names, explained, read_bounded

CLASSIFIER = "classifier.json"
"""Name of the file that makes a folder one that `latte predict` opens by a plugin."""
_OPENED_BY = "opened_by"


def is_classifier_folder(path: Path) -> bool:
    """Return True if a plugin wrote a complete classifier into the folder `path`."""
    return is_file(path / CLASSIFIER)


def classifier_key(folder: Path) -> str:
    """Return a digest of what the folder says about its classifier."""
    return digest((folder / CLASSIFIER).read_bytes())


def open_classifier_folder(folder: Path, device: str) -> ImageClassifier:
    """Open the classifier in `folder` on a torch device.

    Raises `LatteError` if the file that describes it is damaged, if its plugin is not installed, or
    if the plugin cannot open it.
    """
    path = folder / CLASSIFIER
    with explained(path, "write the folder again"):
        name = json.loads(read_bounded(path))[_OPENED_BY]
        if not isinstance(name, str) or "/" not in name:
            raise ValueError(f"{_OPENED_BY} is no DISTRIBUTION/NAME")
    classifier = open_image_classifier(name, folder, device, str(path))
    with blaming(classifier, "its class_names"):
        checked_names([*classifier.class_names])
    return classifier


def refuse_use(folder: Path, use: object) -> None:
    """Raise `LatteError` if a model is chosen by `--use`, which only runs have."""
    if use is not None:
        raise LatteError("--use is for runs; this folder has one model", where=str(folder))
