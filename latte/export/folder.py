"""Parts that all exports share: atomic folders, required packages, metadata, and the README."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from latte.interfaces import Calibration, LatteError
from latte.io.files import sync_files, sync_folder, temporary_beside
from latte.io.paths import refuse_read_only
from latte.report.facts import OPENED, READING
from latte.report.markdown import escaped

if TYPE_CHECKING:  # this import loads torch, which exports of labels do not need
    from latte.models.adapted import Adapted, Member

PROTOTYPES = "prototypes.safetensors"
NAMES_EVERY_IMAGE = (
    "This export gives every image a class: only `latte predict` and `latte.load` also answer "
    "`none of these`."
)
"""Limit of the exports of a model that answers `none of these` taught."""
NO_EXPORT_NEEDED = (
    'no export is needed in Python, latte.load("RUN"), and for files: latte predict RUN'
)


@dataclass(frozen=True)
class Exported:
    """The model of a run, on the CPU, and the calibration of the model."""

    name: str
    adapted: Adapted
    calibration: Calibration | None

    @property
    def scale(self) -> float:
        """Factor that turns similarities into logits."""
        return self.calibration.scale if self.calibration else self.adapted.logit_scale

    def about(self) -> dict[str, Any]:
        """Return the metadata that another program needs to classify with the prototypes."""
        return {
            "class_names": self.adapted.class_names,
            "learners": [member.name for member in self.adapted.members],
            "logit_scale": self.adapted.logit_scale,
            "scale": self.scale,
            "calibrated": self.calibration is not None,
        }


def refuse_occupied(folder: Path) -> None:
    """Raise `LatteError` if `folder` cannot be written, or exists and is not an empty folder."""
    refuse_read_only(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        hint = "remove it, or give another --output"
        raise LatteError("something is here already", where=str(folder), hint=hint)


@contextmanager
def whole_folder(folder: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a temporary folder, which replaces `folder` if the block succeeds.

    Raises `LatteError` as `refuse_occupied` does, unless `replace` is true.
    """
    if not replace:
        refuse_occupied(folder)
    temporary = temporary_beside(folder)
    temporary.mkdir()
    try:
        yield temporary
        sync_files(temporary)
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.replace(folder)
            sync_folder(folder.parent)
        except OSError as error:
            what = f"cannot be replaced: {error.strerror}"
            hint = "remove it, and write to it with one command at a time"
            raise LatteError(what, where=str(folder), hint=hint) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require(package: str, extra: str, oldest: str = "0") -> None:
    """Raise `LatteError` unless `package` is installed, in version `oldest` or newer.

    The error names `extra`, the extra of latte that installs the package.
    """
    try:
        installed_version = Version(version(package))
    except PackageNotFoundError:
        installed_version = None
    if installed_version is None or installed_version < Version(oldest):
        requirement = package if oldest == "0" else f"{package} {oldest} or newer"
        what = f"this export needs the package {requirement}"
        hint = f"pip install 'latte-clip[{extra}]'"
        raise LatteError(
            what, where=f"{package} {installed_version}" if installed_version else None, hint=hint
        )


def no_export(member: Member, format_: str, other_format: str | None) -> LatteError:
    """Return the error for a model with an export to `other_format`, but not to `format_`."""
    command = f"latte export RUN --format {(other_format or '').lower()}"
    advice = f"export it to {other_format} instead: {command}"
    kind = "backbone of learner" if member.component is None else "encoder"
    what = f"the {kind} {member.name} has no export to {format_}"
    return LatteError(what, hint=advice if other_format else NO_EXPORT_NEEDED)


_INSTALL = "The code needs `pip install {packages}`; run it in the parent folder of this folder."

_TRANSFORMERS = """\
import json
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from torch.nn.functional import normalize
from transformers import {classes}

folder = Path({folder!r})  # the path of this folder


{opened}photo = opened("photo.jpg")

with safe_open(folder / "prototypes.safetensors", framework="pt") as file:
    about = json.loads(file.metadata()["latte"])
    tensors = {{name: file.get_tensor(name) for name in file.keys()}}

similarities = torch.zeros(len(about["class_names"]))
for learner in about["learners"]:
    place = folder{below}
    model = {model}.from_pretrained(place).eval()
    processor = {processor}.from_pretrained(place, backend="pil")
    with torch.inference_mode():
        inputs = processor(images=photo, return_tensors="pt")
        feature = normalize(model.get_image_features(**inputs).pooler_output, dim=1)[0]
    rows, owners = tensors[f"{{learner}}.weights"] @ feature, tensors[f"{{learner}}.owners"]
    rows = rows + tensors.get(f"{{learner}}.bias", 0)
    lowest = torch.full_like(similarities, -torch.inf)
    similarities += lowest.scatter_reduce(0, owners, rows, "amax") / len(about["learners"])
probabilities = (about["scale"] * similarities).softmax(0)
print(about["class_names"][probabilities.argmax()], f"{{probabilities.max():.4f}}")
"""

_TEXTS = """\
texts = ["a photo of a cat", "a photo of a dog"]
inputs = processor(
    text=texts, images=photo, return_tensors="pt", padding={padding}, truncation=True
)
with torch.inference_mode():
    print(model(**inputs).logits_per_image.{probabilities})
"""

_ONNX = """\
import json
from pathlib import Path

import numpy
import onnxruntime
from PIL import Image, ImageOps

folder = Path({folder!r})  # the path of this folder
about = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
session = onnxruntime.InferenceSession(folder / "model.onnx")


{opened}def pixels(path, preprocessing):
    image = opened(path)
    size, how = preprocessing["size"], Image.Resampling[preprocessing["interpolation"].upper()]
{resize}
    values = numpy.asarray(image, dtype=numpy.float32) / 255
    mean, std = (numpy.array(preprocessing[name]) for name in ("mean", "std"))
    return ((values - mean) / std).transpose(2, 0, 1).astype(numpy.float32)


inputs = {{
    entry["name"]: numpy.stack([pixels("photo.jpg", entry["preprocessing"])])
    for entry in about["inputs"]
}}
probabilities, features = session.run(None, inputs)
print(about["class_names"][probabilities[0].argmax()], f"{{probabilities[0].max():.4f}}")
"""

_SHORTEST = """\
    wide, high = (int(preprocessing["short_side"] * side / min(image.size)) for side in image.size)
    image = image.resize((wide, high), how)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    image = image.crop((left, top, left + size, top + size))"""

_SQUASH = "    image = image.resize((size, size), how)"

_LONGEST = """\
    ratio = max(image.size) / size
    wide, high = (max(1, round(side / ratio)) for side in image.size)
    canvas = Image.new("RGB", (size, size))
    canvas.paste(image.resize((wide, high), how), ((size - wide) // 2, (size - high) // 2))
    image = canvas"""

_RESIZE = {"shortest": _SHORTEST, "squash": _SQUASH, "longest": _LONGEST}
_OTHER_CLASSES = "To classify into any other classes by their texts, as zero-shot CLIP does:"
_LIMITS = (
    "## Limits",
    '- `backend="pil"` resizes as in training. The default of transformers (torchvision) '
    "interpolates differently, which changes pixels by a few hundredths. With both, the centre "
    "crop is one pixel off if the number of columns or rows to cut off is three more than a "
    "multiple of four.\n"
    "- Unlike open_clip's tokenizer, this one does not repair wrongly encoded texts, and replaces "
    "only common HTML entities; clean such texts with `ftfy.fix_text` and `html.unescape`.",
)


def transformers_readme(exported: Exported, folder: str) -> str:
    """Return the README for an export to transformers."""
    members = exported.adapted.members
    is_ensemble = len(members) > 1
    backbone = exported.adapted.backbones[0]
    is_sigmoid = backbone.logit_bias is not None
    family = "Auto"
    further_sections: tuple[str, ...] = ()
    if not backbone.saves_transformers:
        family = "Siglip" if is_sigmoid else "CLIP"
        text_code = _TEXTS.format(
            padding=repr("max_length") if is_sigmoid else True,
            probabilities="sigmoid()" if is_sigmoid else "softmax(1)",
        )
        further_sections = (_OTHER_CLASSES, f"```python\n{text_code}```", *_LIMITS)
    model, processor = f"{family}Model", f"{family}Processor"
    folder_note = " (a folder for each learner)" if is_ensemble else ""
    code = _TRANSFORMERS.format(
        folder=folder,
        opened=OPENED,
        below=" / learner" if is_ensemble else "",
        classes=f"{model}, {processor}",
        model=model,
        processor=processor,
    )
    sections = (
        f"A model for transformers{folder_note}, and the class prototypes that belong to it.",
        f"```python\n{code}```",
        f"{_INSTALL.format(packages='transformers torch safetensors pillow numpy')} {READING}",
    )
    return _page(exported, *sections, *further_sections)


def onnx_readme(exported: Exported, folder: str, resize_modes: Sequence[str]) -> str:
    """Return the README for an export to ONNX, whose inputs have the given `resize_modes`."""
    modes = [*dict.fromkeys(resize_modes)]
    resize = _RESIZE[modes[0]]
    if len(modes) > 1:
        resize = "\n".join(
            f'    if preprocessing["resize"] == "{mode}":\n{indent(_RESIZE[mode], "    ")}'
            for mode in modes
        )
    code = _ONNX.format(folder=folder, opened=OPENED, resize=resize)
    return _page(
        exported,
        "`model.onnx` turns pixels into class probabilities and image features; `metadata.json` "
        "says how pixels are made and what the classes are called.",
        f"```python\n{code}```",
        f"{_INSTALL.format(packages='onnxruntime pillow numpy')} {READING}",
    )


def _page(exported: Exported, *sections: str) -> str:
    calibration_sentence = (
        "Probabilities are calibrated on unlabelled images: they are closer to the accuracy than "
        "CLIP's own, without a guarantee."
        if exported.calibration
        else "Probabilities follow CLIP's logit scale, and are often overconfident."
    )
    head, *other_sections = sections
    if exported.adapted.knows_none:
        calibration_sentence += f" {NAMES_EVERY_IMAGE}"
    page = (f"# {escaped(exported.name)}", f"{head} {calibration_sentence}", *other_sections)
    return "\n\n".join(page) + "\n"
