"""Encoder `colours` and labeler `means` in a package: nearest class means of both models."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.plugin_packages import write_package

PLUGIN = '''
import os

import torch
from latte.api import (
    Classifier, ComponentSpec, EncoderLoader, EpochInfo, LabelerPrototypes, LatteError,
    ModuleEncoder, Options,
    PixelFormat, PseudoLabeler, full_stream, hookimpl,
)
from latte_author.testing import StubEncoder

class ColoursOptions(Options):
    width: int = 6
    breaks: str = ""

class Broken(StubEncoder):
    def __init__(self, width, breaks):
        super().__init__(width)
        self.breaks = breaks

    def encode_images(self, pixels):
        features = super().encode_images(pixels)
        if self.breaks == "shape":
            return features[:, :-1]
        if self.breaks == "nan":
            return features * float("nan")
        return 3 * features if self.breaks == "length" else features

class Colours(EncoderLoader[ColoursOptions]):
    licence, seconds = "CC0-1.0", 2.0

    def is_cached(self):
        return "COLOURS_CACHED" in os.environ

    def fetch(self):
        if self.options.breaks == "missing":
            raise LatteError("cannot download colours", hint="bring the file")

    def load(self):
        return Broken(self.options.width, self.options.breaks)

    @classmethod
    def load_saved(cls, folder, device):
        return ModuleEncoder.load(folder, lambda about: StubEncoder(about["width"]).module, device)

class MeansOptions(Options):
    encoders: bool = True
    width: int | None = None

class Means(PseudoLabeler[MeansOptions]):
    """Classify with the mean of the images of each zero-shot class; a person's classes first."""

    refresh = "epoch"
    needs_feature_banks = True

    def start(self, start):
        self.start_of_training = start

    def on_epoch_start(self, banks, aggregators, epoch):
        start = self.start_of_training
        labels = start.zero_shot_labels
        if start.corrections is not None:
            labels = start.corrections.where(start.corrections >= 0, labels)
        features = {name: bank.features for name, bank in banks.items()}
        if self.options.encoders:
            features |= start.encoder_features
        members = len(features)
        classifiers = {}
        for name, rows in features.items():
            means = torch.zeros(len(start.class_names), rows.shape[1])
            means = means.index_add(0, labels, rows) + 1e-3
            if name in start.encoder_features and self.options.width:
                means = means[:, :self.options.width]
            classes = torch.arange(len(means))
            classifiers[name] = Classifier(members * means / means.norm(dim=1)[:, None], classes)
        return EpochInfo(classifiers)

    def assign(self, batch, image_features, aggregator):
        labels = self.start_of_training.zero_shot_labels[batch.indices]
        return [full_stream("means", labels, image_features, 1.0)]

class OfMeans(LabelerPrototypes):
    pass

@hookimpl
def latte_components():
    return [
        ComponentSpec("encoder", "colours", "stub_encoders:Colours", "for tests"),
        ComponentSpec("labeler", "means", "stub_encoders:Means", "for tests"),
        ComponentSpec("prototypes", "of-means", "stub_encoders:OfMeans", "for tests"),
    ]
'''


def write_stub_encoders(folder: Path) -> Path:
    """Write the package below `folder`; return its folder, for the import path."""
    plugin = folder / "stub-encoders"
    files = {"stub_encoders.py": PLUGIN}
    write_package(plugin, "stub-encoders", {"stub_encoders": "stub_encoders"}, files)
    return plugin
