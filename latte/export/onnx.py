"""Export of a run's image classifier to ONNX: from pixels to probabilities and features."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from latte.export import folder as shared
from latte.interfaces import LatteError, PixelFormat
from latte.interfaces.errors import error_line
from latte.io.files import write_json, write_text
from latte.run.adapted import write_prototypes

MODEL = "model.onnx"
METADATA = "metadata.json"
_OPSET = 18
_LARGEST_FILE = 2**30
"""Largest size in bytes of the weights inside an ONNX file; the format allows 2 GiB."""

_TORCH = "2.10"
"""Oldest usable torch: earlier versions fix the batch size when tracing, or write no file."""
_ONNXSCRIPT = "0.6.2"
"""Oldest usable onnxscript: earlier versions cannot convert torch's graph."""
_EXAMPLES = 2
"""Number of images for tracing; a batch size of 1 would become a constant."""


class ImageClassifier(nn.Module):
    """Module that maps pixels (B, 3, S, S) to probabilities (B, C) and unit features (B, D).

    For each learner (adapted copy of the CLIP), the similarity of an image and a class is the
    image's largest similarity to a prototype of the class. The classifier uses the mean of these
    similarities over the learners. The features of all learners are concatenated and divided by the
    square root of the number of learners.
    """

    def __init__(self, exported: shared.Exported) -> None:
        super().__init__()
        members = exported.adapted.members
        self.towers = nn.ModuleList()
        self.scale = exported.scale
        self._classes = len(exported.adapted.class_names)
        for number, member in enumerate(members):
            tower = member.backbone.image_tower()
            if tower is None:
                saves_transformers = member.backbone.saves_transformers
                raise shared.no_export(
                    member, "ONNX", "transformers" if saves_transformers else None
                )
            self.towers.append(tower)
            classifier = member.classifier
            rows, is_present = _by_class(classifier.weights, classifier.owners)
            self.register_buffer(f"rows_{number}", rows)
            self.register_buffer(f"absent_{number}", ~is_present)
            bias = None
            if classifier.bias is not None:
                bias = _by_class(classifier.bias.unsqueeze(1), classifier.owners)[0].squeeze(1)
            self.register_buffer(f"bias_{number}", bias)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, C) and unit features (B, D) of `pixels` (B, 3, S, S)."""
        features = [functional.normalize(tower(pixels), dim=-1) for tower in self.towers]
        similarities = [self._similar(number, rows) for number, rows in enumerate(features)]
        mean_similarities = torch.stack(similarities).mean(0)
        joint_features = torch.cat(features, dim=1) / len(features) ** 0.5
        return (mean_similarities * self.scale).softmax(dim=1), joint_features

    def _similar(self, number: int, features: Tensor) -> Tensor:
        rows: Tensor = getattr(self, f"rows_{number}")
        is_absent: Tensor = getattr(self, f"absent_{number}")
        bias: Tensor | None = getattr(self, f"bias_{number}")
        scores = features @ rows.T if bias is None else features @ rows.T + bias
        row_scores = scores.reshape(-1, self._classes, is_absent.shape[1])
        return row_scores.masked_fill(is_absent, torch.finfo(row_scores.dtype).min).amax(dim=2)


def export_onnx(exported: shared.Exported, folder: Path, *, replace: bool) -> Path:
    """Write `folder` with `model.onnx`, `metadata.json`, the prototypes and a README.

    Raises:
        LatteError: if onnx is missing, torch too old, or the learners have different pixel formats.
    """
    shared.require("onnx", "onnx")
    shared.require("onnxscript", "onnx", _ONNXSCRIPT)
    shared.require("torch", "onnx", _TORCH)
    formats = {member.backbone.pixel_format for member in exported.adapted.members}
    if len(formats) > 1:
        raise LatteError("the learners take different pixels, so that no one input fits them all")
    pixels = formats.pop()
    with shared.whole_folder(folder, replace=replace) as temporary:
        _write_model(ImageClassifier(exported).eval(), pixels.size, temporary / MODEL)
        write_json(temporary / METADATA, _metadata(exported, pixels))
        write_prototypes(temporary / shared.PROTOTYPES, exported.adapted, exported.about())
        write_text(temporary / "README.md", shared.onnx_readme(exported, folder.name, pixels))
    return folder


def _by_class(weights: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
    """Return the prototypes (C·K, D), sorted by class, and a mask (C, K) of real prototypes.

    Classes with fewer than K prototypes are padded, so that the model needs no scatter operation,
    which some ONNX runtimes lack. The mask is False for padding.
    """
    counts = owners.bincount()
    most_prototypes = int(counts.max())
    is_present = torch.arange(most_prototypes) < counts[:, None]
    rows = weights.new_zeros(len(counts), most_prototypes, weights.shape[1])
    rows[is_present] = weights[owners.argsort(stable=True)]
    return rows.flatten(0, 1), is_present


def _write_model(classifier: ImageClassifier, size: int, path: Path) -> None:
    weights = sum(tensor.nbytes for tensor in classifier.state_dict().values())
    example = torch.zeros(_EXAMPLES, 3, size, size)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                classifier,
                (example,),
                path,
                input_names=["pixels"],
                output_names=["probabilities", "features"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
                opset_version=_OPSET,
                dynamo=True,
                external_data=weights > _LARGEST_FILE,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise _not_exportable(error_line(error.__cause__ or error)) from error
    finally:
        logger.setLevel(level)
    # Without an error, torch falls back to a fixed batch size if it cannot trace a variable one.
    shape = None if program is None else program.model.graph.inputs[0].shape
    if shape is None or isinstance(shape[0], int):
        raise _not_exportable(f"its code depends on the batch size, here {_EXAMPLES}")


def _not_exportable(reason: str) -> LatteError:
    what = f"PyTorch cannot convert the image tower to ONNX: {reason}"
    return LatteError(what, hint=shared.NO_EXPORT_NEEDED)


def _metadata(exported: shared.Exported, pixels: PixelFormat) -> dict[str, Any]:
    return {
        "format": 1,
        "name": exported.name,
        **exported.about(),
        "input": {"name": "pixels", "shape": ["batch", 3, pixels.size, pixels.size]},
        "outputs": {
            "probabilities": ["batch", len(exported.adapted.class_names)],
            "features": ["batch", "width"],
        },
        "preprocessing": {
            "colour": "RGB",
            "resize": pixels.resize_mode,
            "size": pixels.size,
            "interpolation": pixels.interpolation,
            "crop": "centre" if pixels.resize_mode == "shortest" else "none",
            "scale": "divide by 255",
            "mean": list(pixels.mean),
            "std": list(pixels.std),
        },
    }
