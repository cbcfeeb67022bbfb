"""Valid inputs of each reader, from which fuzzing starts."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from functools import cache
from typing import Any

from PIL import Image

from latte.describe.store import StoredText, request_key
from latte.recipe.schema import recipe_schema
from latte.registry.registry import load_registry

RECIPE = b"""\
name: fuzz
dataset: {use: folder, root: images, classes: [red, "no"], template: "a {class}."}
backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}
describer: phrases
descriptions: [class, image, {use: group, size: 4}]
labels: [current, frozen]
prototypes: {use: momentum, momentum: 0.99}
loss: contrastive
train: {batch_size: 8, max_steps: 10, optimizer: {learning_rate: 1e-6}}
"""
_OTHERS = (
    b"dataset: {use: folder, root: '${NAME:-x}', classes: &c [a, b]}\n"
    b"backbone: {model: 'local-dir:m'}\ntrain: {max_steps: 0}\ngates: [refusal]\n"
    b"controls: {none: {descriptions: [class]}}\n",
    b"extends: [demo]\nseed: 1\n",
    b'dataset:\n  <<: &x {use: list}\n  images: "a.csv"\n  classes: $${x}\n'
    b"backbone: {model: plugin:tiny}\nlearners:\n- {name: a, trainable: all}\n",
)
_LINE = {
    "describer": "d",
    "prompt": "What is it?",
    "images": ["0" * 32],
    "layout": "single",
    "text": "a photo",
}


def recipes() -> Iterator[bytes]:
    """Return complete recipes."""
    yield RECIPE
    yield from _OTHERS


def overrides() -> Iterator[bytes]:
    """Return lines, each a value of `--set`."""
    yield b"train.max_steps=5\ndescriptions.2={use: group, size: 2}\nlabels=[current]"
    yield b"describer.use=phrases\ndataset.root=${NAME}\ncontrols.a.descriptions=[class]"


def splits() -> Iterator[bytes]:
    """Return CoOp's split files."""
    entries: list[list[Any]] = [["cat/1.jpg", 0, "cat"], ["dog/1.jpg", 1, "dog"], ["x.jpg"]]
    yield json.dumps({"train": entries, "val": [], "test": entries[:2]}).encode()


def variants() -> Iterator[bytes]:
    """Return FGVC-Aircraft's four lists, concatenated."""
    yield b"707\nA300 B4\n\0001 707\n\0002 A300 B4\n\0003 707\n"


def csv_tables() -> Iterator[bytes]:
    """Return lists of images."""
    yield b'path,class\na.jpg,cat\n"b, c.jpg",\n'


def jsonl_tables() -> Iterator[bytes]:
    """Return lists of images."""
    yield b'{"path": "a.jpg", "class": "cat"}\n\n{"path": "b.jpg", "class": null}\n'


def tars() -> Iterator[bytes]:
    """Return shards in each tar format."""
    for dialect in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=dialect) as tar:
            members = {"a.jpg": b"jpg", "a.cls": b"1", "b.jpg": b"", "b.json": b'{"label": "cat"}'}
            for name, content in {
                **members,
                "d" * 90 + "/" + "x" * 60 + ".png": "é".encode(),
            }.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        yield file.getvalue()


def stored() -> Iterator[bytes]:
    """Return lines of a description store."""
    key = request_key(["0" * 32], "What is it?", "d", "single")
    text = StoredText(key, "a photo", None, "d", "What is it?", ("0" * 32,), "single")
    refused = StoredText(key, None, "no", "d", "What is it?", ("0" * 32,), "single", refused=True)
    yield text.line()
    yield refused.line() + text.line()
    yield json.dumps({"schema": 1, **_LINE}).encode() + b"\n"


def images() -> Iterator[bytes]:
    """Return a small image in each format."""
    for kind, mode in (
        ("JPEG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("TIFF", "F"),
        ("PPM", "L"),
        ("JPEG2000", "RGB"),
    ):
        file = io.BytesIO()
        Image.new(mode, (5, 4)).save(file, kind)
        yield file.getvalue()


@cache
def validator() -> Any:
    """Validator of recipes with the JSON schema, as in an editor."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(recipe_schema(load_registry()))
