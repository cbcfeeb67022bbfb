"""Open a student's ONNX file, for `latte predict`."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor

from latte.api import ImageClassifier, LatteError, PixelFormat, check_model_file, read_model_json
from latte_student.onnx_files import INPUT

_LARGEST = 2**31
"""Largest number of bytes of an ONNX file."""
_LARGEST_SIDE = 4096


class OnnxStudent(ImageClassifier):
    """A student in an ONNX file, on the CPU."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises `LatteError` if it is damaged, or no student's."""
        check_model_file(path, str(path), _LARGEST)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            about = self._session.get_modelmeta().custom_metadata_map
            self.class_names = tuple(map(str, json.loads(about["classes"])))
            size = int(about["size"])
            if not 0 < size <= _LARGEST_SIDE:
                raise ValueError(f"its images have {size} pixels per side")
        except Exception as error:  # onnxruntime raises types of its own
            raise LatteError(
                "this is no student, or it is damaged", where=str(path), hint="distil it again"
            ) from error
        self.pixel_format = PixelFormat(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return the probabilities (B, C) of pixels (B, 3, S, S) uint8."""
        images = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        (probabilities,) = self._session.run(None, {INPUT: images})
        return torch.from_numpy(probabilities)


def open_student(folder: Path, device: str) -> OnnxStudent:
    """Open the student in a folder that `latte distil` wrote; it always runs on the CPU."""
    path = folder / "classifier.json"
    about = read_model_json(path, str(path))
    name = about.get("model") if isinstance(about, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise LatteError("it names no model in this folder", where=str(path), hint="distil again")
    return OnnxStudent(folder / name)
