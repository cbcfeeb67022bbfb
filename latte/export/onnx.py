"""Export of a run's image classifier to ONNX: from pixels to probabilities and features."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from latte.export import folder as shared
from latte.interfaces import LatteError, PixelFormat
from latte.interfaces.errors import error_line
from latte.io.files import write_json, write_text
from latte.models.adapted import Member
from latte.models.saved_model import write_prototypes

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

    For each member (a learner, which is an adapted copy of the CLIP, or an encoder), the similarity
    of an image and a class is the image's largest similarity to a prototype of the class. The
    classifier uses the mean of these similarities over the members. The features of all members are
    concatenated and divided by the square root of the number of members.

    Members with equal pixel formats share an input; `formats` are the formats of the inputs.
    """

    def __init__(self, exported: shared.Exported) -> None:
        super().__init__()
        members = exported.adapted.members
        self.towers: nn.ModuleList = nn.ModuleList()
        self.scale: float = exported.scale
        self.formats: list[PixelFormat] = [
            *dict.fromkeys(member.encoder.pixel_format for member in members)
        ]
        self._inputs = [self.formats.index(member.encoder.pixel_format) for member in members]
        self._classes = len(exported.adapted.class_names)
        for number, member in enumerate(members):
            tower = member.encoder.image_tower()
            if tower is None:
                backbones = exported.adapted.backbones
                has_other = backbones[0].saves_transformers and len(backbones) == len(members)
                raise shared.no_export(member, "ONNX", "transformers" if has_other else None)
            self.towers.append(tower)
            classifier = member.classifier
            rows, is_present = _by_class(classifier.weights, classifier.owners)
            self.register_buffer(f"rows_{number}", rows)
            self.register_buffer(f"absent_{number}", ~is_present)
            bias = None
            if classifier.bias is not None:
                bias = _by_class(classifier.bias.unsqueeze(1), classifier.owners)[0].squeeze(1)
            self.register_buffer(f"bias_{number}", bias)

    def forward(self, *pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, C) and unit features (B, D) of `pixels`.

        `pixels` are one batch (B, 3, S, S) of the same images for each of `formats`.
        """
        features = [
            functional.normalize(tower(pixels[number]), dim=-1)
            for tower, number in zip(self.towers, self._inputs, strict=True)
        ]
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

    Raises `LatteError` if onnx is missing, or torch too old.
    """
    shared.require("onnx", "onnx")
    shared.require("onnxscript", "onnx", _ONNXSCRIPT)
    shared.require("torch", "onnx", _TORCH)
    classifier = ImageClassifier(exported).eval()
    inputs = _input_names(exported.adapted.members, classifier.formats)
    with shared.whole_folder(folder, replace=replace) as temporary:
        _write_model(classifier, [*inputs], temporary / MODEL)
        write_json(temporary / METADATA, _metadata(exported, inputs))
        write_prototypes(temporary / shared.PROTOTYPES, exported.adapted, exported.about())
        modes = [pixel_format.resize_mode for pixel_format in classifier.formats]
        write_text(temporary / "README.md", shared.onnx_readme(exported, folder.name, modes))
    return folder


def _input_names(
    members: Sequence[Member], formats: Sequence[PixelFormat]
) -> dict[str, PixelFormat]:
    """Return the pixel format of each input by the input's name: `pixels`, then `pixels_NAME`."""
    names = {member.encoder.pixel_format: f"pixels_{member.name}" for member in reversed(members)}
    return {
        "pixels" if number == 0 else names[pixel_format]: pixel_format
        for number, pixel_format in enumerate(formats)
    }


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


def _write_model(classifier: ImageClassifier, inputs: Sequence[str], path: Path) -> None:
    weights = sum(tensor.nbytes for tensor in classifier.state_dict().values())
    sizes = [pixel_format.size for pixel_format in classifier.formats]
    batch = torch.export.Dim("batch")
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                classifier,
                tuple(torch.zeros(_EXAMPLES, 3, size, size) for size in sizes),
                path,
                input_names=inputs,
                output_names=["probabilities", "features"],
                dynamic_shapes={"pixels": tuple({0: batch} for _ in sizes)},
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


def _metadata(exported: shared.Exported, inputs: Mapping[str, PixelFormat]) -> dict[str, Any]:
    return {
        "format": 2,
        "name": exported.name,
        **exported.about(),
        "inputs": [_input(name, pixel_format) for name, pixel_format in inputs.items()],
        "outputs": {
            "probabilities": ["batch", len(exported.adapted.class_names)],
            "features": ["batch", "width"],
        },
    }


def _input(name: str, pixels: PixelFormat) -> dict[str, Any]:
    """Return the name and shape of an input, and how its pixels are made from a photo."""
    crops = pixels.resize_mode == "shortest"
    return {
        "name": name,
        "shape": ["batch", 3, pixels.size, pixels.size],
        "preprocessing": {
            "colour": "RGB",
            "resize": pixels.resize_mode,
            **({"short_side": pixels.short_side or pixels.size} if crops else {}),
            "size": pixels.size,
            "interpolation": pixels.interpolation,
            "crop": "centre" if crops else "none",
            "scale": "divide by 255",
            "mean": list(pixels.mean),
            "std": list(pixels.std),
        },
    }
