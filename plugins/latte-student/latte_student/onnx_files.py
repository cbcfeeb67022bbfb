"""Write a student as ONNX, with preprocessing and class names inside, and in int8."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from latte.api import PixelFormat, write_atomically
from latte_student.network import Network

MODEL = "student.onnx"
INT8 = "student.int8.onnx"
INPUT, OUTPUT = "pixels", "probabilities"
_OPSET = 18
_PRODUCTS = ("Gemm", "MatMul")
_QUANTIZED = ["Conv", "Add", *_PRODUCTS]
"""Operations that are computed in int8."""
_FIRST_CONVOLUTIONS = 3
"""Convolutions that stay in fp32. They have few weights, and in networks for devices, whose second
convolution is depthwise, int8 changed most labels there."""


class PixelsToProbabilities(nn.Module):
    """Network from 8-bit pixels (B, S, S, 3) to probabilities (B, C)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.module
        pixels = network.pixel_format
        self.mean: Tensor
        self.factor: Tensor
        self.register_buffer("mean", 255 * torch.tensor(pixels.mean).view(1, 3, 1, 1))
        self.register_buffer("factor", 1 / (255 * torch.tensor(pixels.std).view(1, 3, 1, 1)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the probabilities (B, C) of RGB pixels (B, S, S, 3) uint8."""
        normalised = (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.factor
        logits: Tensor = self.network(normalised)
        return logits.softmax(dim=1)


def write_onnx(path: Path, network: Network, class_names: Sequence[str]) -> None:
    """Write the network, its preprocessing and the class names into one ONNX file."""
    module = PixelsToProbabilities(network).cpu().eval()
    with TemporaryDirectory() as folder:
        exported = Path(folder, MODEL)
        _export(module, network.pixel_format.size, exported)
        content = onnx.load(exported)
    add_metadata(content, network.pixel_format, class_names)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content.SerializeToString())


def _export(module: nn.Module, size: int, path: Path) -> None:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logger.setLevel(level)


def add_metadata(content: Any, pixels: PixelFormat, class_names: Sequence[str]) -> None:
    """Add the class names and the size to the metadata of an ONNX model."""
    about = {
        "classes": json.dumps([*class_names], ensure_ascii=False),
        "size": str(pixels.size),
        "preprocessing": (
            f"RGB, shorter side {pixels.size} pixels ({pixels.interpolation}), centre "
            f"{pixels.size} x {pixels.size}, 8 bits; the model normalises"
        ),
    }
    onnx.helper.set_model_props(content, about)


class _Pixels(CalibrationDataReader):  # type: ignore[misc]
    """Batches of 8-bit pixels, from which onnxruntime finds the ranges of activations."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches: Iterator[Tensor] = iter(batches)

    def get_next(self) -> dict[str, numpy.ndarray[Any, Any]] | None:
        """Return the inputs of the next batch; None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.numpy()}


def _in_fp32(content: onnx.ModelProto) -> list[str]:
    """Return the names of the operations that stay in fp32: first convolutions, and classifier."""
    nodes = content.graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    products = [node.name for node in nodes if node.op_type in _PRODUCTS]
    return [*convolutions[:_FIRST_CONVOLUTIONS], *products[-1:]]


def write_int8(path: Path, model: Path, batches: Iterable[Tensor]) -> None:
    """Write the ONNX file `model` in int8 to `path`.

    Weights are quantized per channel; the ranges of activations are those on `batches`, pixels
    (B, S, S, 3) uint8.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, INT8)
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)
        try:
            quantize_static(
                prepared,
                quantized,
                _Pixels(batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_QUANTIZED,
                nodes_to_exclude=_in_fp32(onnx.load(prepared)),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            root.setLevel(level)
        content = onnx.load(quantized)
    onnx.helper.set_model_props(
        content, {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    )
    with write_atomically(path) as temporary:
        temporary.write_bytes(content.SerializeToString())
