"""How many training images the labeler labels right, for a finished run whose CLIP was not trained.

python -m latte_transductive.accuracy RUN --split split.json
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from latte_transductive.graph import neighbour_graph
from latte_transductive.mixture import fit_mixture, log_prior
from latte_transductive.options import TransductiveOptions

SETTINGS = {
    "defaults": TransductiveOptions(),
    "debias": TransductiveOptions(debias=True),
    "weights of TransCLIP's code": TransductiveOptions(
        likelihood_weight=0.02, neighbour_weight=1.0, neighbours=3
    ),
}
"""What is compared with zero-shot, by the name that is printed."""


def main() -> None:
    """Print the accuracy of zero-shot labels and of the labeler's, for several options."""
    arguments = _arguments()
    stored = load_file(arguments.run / "zero_shot.safetensors")
    images, texts = stored["training"], stored["class_features"]
    truth = true_labels(arguments.run / "pseudo_labels.csv", arguments.split)
    logits = logit_scale(arguments.run) * images @ texts.T
    _say(f"{len(images)} images, {len(texts)} classes")
    _show("zero-shot", logits, truth)
    for name, options in SETTINGS.items():
        graph = neighbour_graph(images, options.neighbours)
        prior = log_prior(logits, options.debias)
        _show(name, fit_mixture(images, prior, graph, options).assignments, truth)


def true_labels(listing: Path, split: Path) -> Tensor:
    """Labels (N,) of the images that `listing` names, from a split file as CoOp's; both ordered.

    Classes are numbered in the order of the split's label ids.
    """
    parts = json.loads(split.read_text(encoding="utf-8"))
    known = {path: label for part in parts.values() for path, label, _ in part}
    places = {label: place for place, label in enumerate(sorted({*known.values()}))}
    with listing.open(encoding="utf-8", newline="") as file:
        return torch.tensor([places[known[row["image"]]] for row in csv.DictReader(file)])


def logit_scale(run: Path) -> Tensor:
    """The scalar that multiplies similarities, of the model that the run saved."""
    stored: Tensor = load_file(run / "model" / "open_clip_model.safetensors")["logit_scale"]
    return stored.float().exp()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run folder, of a recipe with `trainable: none`")
    parser.add_argument("--split", type=Path, required=True, help="the split file that it read")
    return parser.parse_args()


def _show(name: str, scores: Tensor, truth: Tensor) -> None:
    labels = scores.argmax(dim=1)
    right = (labels == truth).double()
    of_class = torch.stack([right[truth == label].mean() for label in {*truth.tolist()}])
    used = len({*labels.tolist()})
    _say(f"{name}: {right.mean():.1%}, mean over classes {of_class.mean():.1%}, classes {used}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
