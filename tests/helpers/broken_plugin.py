"""Package `latte-broken`: a component of each kind that returns the faulty value of an option."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.plugin_packages import write_package

PLUGIN = """
from dataclasses import replace

import torch
from latte.api import (
    Classifier, ComponentSpec, Describer, EncoderLoader, Gate, ImageAugmentation,
    LabelStream, Loss, Options, Posterior, PseudoLabeler, Supervision, hookimpl,
)
from latte_author.testing import StubEncoder
from latte_author.testing.doubles import FixedPrototypes

NAN = float("nan")

class FaultOptions(Options):
    fault: str = "none"

class Labeler(PseudoLabeler[FaultOptions]):
    def start(self, start):
        self.labels, self.classes = start.zero_shot_labels, len(start.class_names)

    def posterior(self, learner):
        labels = self.labels[:, None]
        sure = torch.ones(labels.shape)
        return {
            "posterior-vector": lambda: Posterior(self.labels, sure),
            "posterior-rows": lambda: Posterior(labels[1:], sure[1:]),
            "posterior-class": lambda: Posterior(labels + self.classes, sure),
            "posterior-nan": lambda: Posterior(labels, sure * NAN),
            "posterior-pair": lambda: (labels, sure),
        }.get(self.options.fault, lambda: None)()

    def assign(self, batch, image_features, aggregator):
        labels = self.labels[batch.indices]
        weights = torch.ones(len(labels))
        stream = LabelStream("broken", labels, weights)
        fault = self.options.fault
        if fault == "none-list":
            return None
        if fault == "late" and batch.step < 2:
            return [stream]
        if fault == "raises":
            raise KeyError("slip")
        changes = {
            "matrix": {"labels": labels.unsqueeze(1).expand(-1, 2)},
            "float": {"labels": labels.float()},
            "int32": {"labels": labels.int()},
            "meta": {"labels": labels.to("meta")},
            "too-large": {"labels": torch.full_like(labels, self.classes)},
            "late": {"labels": torch.full_like(labels, self.classes)},
            "negative": {"labels": torch.full_like(labels, -1)},
            "list": {"labels": labels.tolist()},
            "short": {"labels": labels[1:], "weights": weights[1:]},
            "weights-nan": {"weights": weights * NAN},
            "weights-long": {"weights": torch.ones(len(labels) + 1)},
            "weights-large": {"weights": 2 * weights},
            "weights-int": {"weights": weights.int()},
            "weights-meta": {"weights": weights.to("meta")},
            "weights-none": {"weights": None},
            "scale-nan": {"scale": NAN},
            "scale-text": {"scale": "1"},
            "soft-width": {"posterior": Posterior(labels[:, None], torch.ones(len(labels), 2))},
        }.get(fault, {})
        stream = replace(stream, **changes)
        return stream if fault == "bare" else [labels] if fault == "tensors" else [stream]

class Prototypes(FixedPrototypes):
    options_type = FaultOptions

    def classifier(self):
        plain = super().classifier()
        rows, owners = plain.weights, plain.owners
        return {
            "classifier-none": lambda: None,
            "classifier-nan": lambda: Classifier(rows * NAN, owners),
            "classifier-width": lambda: Classifier(rows[:, 1:], owners),
            "classifier-double": lambda: Classifier(rows.double(), owners),
            "classifier-owners": lambda: Classifier(rows, owners.float()),
            "classifier-class": lambda: Classifier(rows[:-1], owners[:-1]),
            "classifier-meta": lambda: Classifier(rows.to("meta"), owners),
            "classifier-bias": lambda: Classifier(rows, owners, torch.ones(len(rows) + 1)),
        }.get(self.options.fault, lambda: plain)()

    def supervise(self, stream, texts, image_features):
        plain = super().supervise(stream, texts, image_features)
        targets, classifier = plain.targets, plain.classifier
        owners = classifier.owners if classifier is not None else None
        rows = classifier.weights if classifier is not None else None
        return {
            "none": lambda: plain,
            "no-supervision": lambda: None,
            "targets-width": lambda: replace(plain, targets=targets[:, 1:]),
            "targets-rows": lambda: replace(plain, targets=targets[1:]),
            "targets-nan": lambda: replace(plain, targets=targets * NAN),
            "targets-double": lambda: replace(plain, targets=targets.double()),
            "targets-int": lambda: replace(plain, targets=targets.long()),
            "targets-meta": lambda: replace(plain, targets=targets.to("meta")),
            "rows-width": lambda: replace(plain, classifier=Classifier(rows[:, 1:], owners)),
            "other-stream": lambda: Supervision(None, targets, classifier),
            "raises": lambda: {}["slip"],
        }.get(self.options.fault, lambda: plain)()

class BrokenLoss(Loss[FaultOptions]):
    def __call__(self, image_features, supervision, logit_scale):
        each = 1 - (image_features * supervision.need_targets()).sum(dim=1)
        return {
            "vector": lambda: each,
            "nan": lambda: each.mean() * NAN,
            "constant": lambda: each.mean().detach(),
            "int": lambda: 1,
            "float": lambda: each.mean().item(),
            "none": lambda: None,
            "long": lambda: each.mean().detach().long(),
            "meta": lambda: each.mean().to("meta"),
            "raises": lambda: {}["slip"],
        }[self.options.fault]()

class BrokenDescriber(Describer[FaultOptions]):
    max_images = 4

    @property
    def fingerprint(self):
        return f"broken-{self.options.fault}"

    def describe(self, requests):
        texts = [f"a thing {request.prompt}" for request in requests]
        return {
            "too-few": lambda: texts[1:],
            "none": lambda: None,
            "nones": lambda: [None] * len(texts),
            "bytes": lambda: [text.encode() for text in texts],
            "one-text": lambda: texts[0],
            "generator": lambda: iter(texts),
            "surrogates": lambda: [text + chr(0xD800) for text in texts],
            "surrogates-alone": lambda: [chr(0xD800)] * len(texts),
            "dict": lambda: dict.fromkeys(texts),
            "raises": lambda: {}["slip"],
        }[self.options.fault]()

class BrokenGate(Gate[FaultOptions]):
    def judge(self, texts, subject):
        return {
            "too-few": lambda: [None] * (len(texts) - 1),
            "none": lambda: None,
            "bools": lambda: [True] * len(texts),
            "raises": lambda: {}["slip"],
        }[self.options.fault]()

class Views(ImageAugmentation[FaultOptions]):
    def view(self, image, size, random):
        view = torch.zeros(3, size, size, dtype=torch.uint8)
        return {
            "float": lambda: view.float(),
            "size": lambda: view[:, 1:],
            "none": lambda: None,
            "image": lambda: image,
            "meta": lambda: view.to("meta"),
            "raises": lambda: {}["slip"],
        }[self.options.fault]()

class BrokenEncoder(StubEncoder):
    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def encode_images(self, pixels):
        features = super().encode_images(pixels)
        return {
            "rows": lambda: features[1:],
            "vector": lambda: features[:, 0],
            "nan": lambda: features * NAN,
            "length": lambda: features * 3,
            "zero": lambda: features * 0,
            "width": lambda: features[:, 1:],
            "double": lambda: features.double(),
            "int": lambda: features.long(),
            "none": lambda: None,
            "meta": lambda: features.to("meta"),
            "numpy": lambda: features.detach().numpy(),
            "raises": lambda: {}["slip"],
        }[self.fault]()

class BrokenEncoderLoader(EncoderLoader[FaultOptions]):
    licence, seconds = "CC0-1.0", 2.0

    def is_cached(self):
        return True

    def fetch(self):
        pass

    def load(self):
        if self.options.fault == "no-model":
            return None
        return BrokenEncoder(self.options.fault)

    @classmethod
    def load_saved(cls, folder, device):
        raise NotImplementedError

@hookimpl
def latte_components():
    names = {
        "labeler": "Labeler", "prototypes": "Prototypes", "loss": "BrokenLoss",
        "describer": "BrokenDescriber", "gate": "BrokenGate", "augmentation": "Views",
        "encoder": "BrokenEncoderLoader",
    }
    return [
        ComponentSpec(kind, "broken", f"latte_broken:{name}", "for tests", api_version=2)
        for kind, name in names.items()
    ]
"""

DISTRIBUTION = "latte-broken"


def write_broken_plugin(folder: Path) -> Path:
    """Write the package below `folder`; return its folder, for the import path."""
    plugin = folder / DISTRIBUTION
    files = {"latte_broken.py": PLUGIN}
    write_package(plugin, DISTRIBUTION, {"latte_broken": "latte_broken"}, files)
    return plugin
