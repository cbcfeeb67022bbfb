"""Write the text of a recipe, with comments that say what users may change."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import jinja2

from latte.data.few_images import quick_look
from latte.data.sources.class_lookup import CLASS_FOLDERS
from latte.data.sources.listed import ListedPaths
from latte.interfaces import LatteError
from latte.interfaces.settings import BRING_WEIGHTS
from latte.io.files import write_atomically
from latte.io.machine import machine_error
from latte.new.choices import Choices
from latte.new.images import Findings
from latte.new.methods import CONTROL
from latte.recipe.dump import dump_yaml
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry

_FARTHEST = 2
"""Maximum number of `..` in a relative path; a path with more is written as absolute."""

_START = """\
{% set classes_number = findings.class_names|length %}
# Adapts CLIP to {{ "{:,}".format(findings.images) }} images of {{ classes_number }} classes.
# In the folder of this recipe:
{% if look %}
#   {{ command }} --limit {{ look }}     a quick look
{% endif %}
#   {{ command }}
{% if choices.requires %}
{{ yaml(requires=choices.requires) }}
{% endif %}
dataset:
{% if findings.listed %}
  use: list
  {{ yaml(images=path(findings.listed)) }}
{% else %}
  use: folder
{% endif %}
  {{ yaml(root=path(findings.root)) }}
  {{ yaml(classes=classes)|indent(2) }}
  # Better with the kind of your classes: "a photo of a {class}, a type of bird."
  template: "a photo of a {class}."
{% if findings.evaluation %}
  # {{ "{:,}".format(findings.labelled) }} labelled images, to measure on; training never sees them
  {{ yaml(evaluation=path(findings.evaluation)) }}
{% else %}
  # A folder of labelled images by class, not those in root, to measure the gain
  # evaluation: labelled
{% endif %}
{% if corrections %}
# Classes that a person gave to images; all of them teach
{{ yaml(corrections=corrections) }}
{% endif %}
{{ yaml(backbone=backbone) }}
{% if choices.encoders %}
# Image-only models beside the CLIP, which are used as far as they help
{{ yaml(encoders=encoders) }}
{% endif %}
{% if choices.guard %}
# Keeps zero-shot CLIP if the class names do not fit the images
{{ yaml(guard=choices.guard) }}
{% endif %}
"""
_DESCRIPTIONS = """\
{% if choices.describer == "llava" %}
describer:
  use: llava
  model: llava-hf/llava-v1.6-mistral-7b-hf
  resolution: thumbnail
  {% if choices.load_in_4bit %}
  load_in: 4bit
  {% endif %}
{% elif choices.describer %}
describer: {{ choices.describer }}
{% endif %}
{% if choices.describer %}
# Both take a prompt: ask about your kind of images
descriptions:
  - class
  - {use: image}
  - {use: group, size: 4}
{% endif %}
"""


def recipe_text(
    findings: Findings, choices: Choices, file: Path, *, runs_beside: bool = False
) -> str:
    """Return the text of a recipe for the path `file`, with paths relative to the file's folder.

    With `runs_beside`, the commands in the comments put the run folder beside the recipe.
    """
    beside = ("--set", "output=.") if runs_beside else ()
    templates = (_START, choices.method.before, _DESCRIPTIONS, choices.method.after)
    template = jinja2.Template(
        "".join(templates), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    text: str = template.render(
        findings=findings,
        choices=choices,
        control=CONTROL,
        command=shlex.join(["latte", "run", file.name, *beside]),
        look=quick_look(findings.images, len(findings.class_names)),
        classes=_classes(findings, file),
        backbone=backbone_keys(choices.model, file),
        corrections=_corrections(findings, file),
        encoders=[_encoder_keys(keys, file) for keys in choices.encoders],
        path=lambda path: _path(path, file),
        yaml=lambda **entry: dump_yaml(entry).rstrip(),
    )
    return text


def _classes(findings: Findings, file: Path) -> str | list[str]:
    """Return the recipe's value of `classes` in the recipe `file`.

    A recipe may not name a file of class names elsewhere, so it lists the names of such a file.
    """
    if findings.classes is None:
        return CLASS_FOLDERS
    if isinstance(findings.classes, Path):
        for folder in (file.absolute().parent, findings.root.absolute()):
            if ListedPaths(folder, absolute=True).stays_inside(findings.classes.absolute()):
                return _path(findings.classes, file)
    return list(findings.class_entries)


def _corrections(findings: Findings, file: Path) -> str | list[str]:
    """Return the recipe's value of `corrections` in the recipe `file`; empty if there is none."""
    paths = [_path(path, file) for path in findings.corrections]
    return paths[0] if len(paths) == 1 else paths


def write_recipe(path: Path, text: str, registry: Registry) -> None:
    """Write the recipe `text` to `path` atomically, if the recipe is valid."""
    try:
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
            load_recipe(temporary, registry)
    except OSError as error:
        fault = machine_error(error)
        hint = fault.hint if fault else None
        what = f"cannot be written ({error.strerror})"
        raise LatteError(what, where=str(path), hint=hint) from error


def backbone_keys(model: str, file: Path) -> dict[str, str]:
    """Return the keys of the recipe section `backbone` for a `model` such as `NAME:TAG`."""
    name, _, tag = model.partition(":")
    if name == "local-dir":
        return {"model": f"{name}:{_path(Path(tag).expanduser(), file)}"}
    if model.startswith(BRING_WEIGHTS) or not tag:
        return {"model": model}
    return {"model": name, "pretrained": tag}


def _encoder_keys(keys: Mapping[str, str], file: Path) -> dict[str, str]:
    """Return the keys of an encoder in the recipe `file`; a model that is a folder is a path."""
    model = keys.get("model", "")
    folder = Path(model).expanduser()
    if not model or not (model.startswith((".", "~", "/")) or folder.is_dir()):
        return {**keys}
    path = _path(folder, file)
    is_path = Path(path).is_absolute() or path.startswith(".")
    return {**keys, "model": path if is_path else f"./{path}"}


def _path(path: Path, file: Path) -> str:
    """Return `path` relative to the recipe's folder, or absolute if that needs too many `..`."""
    absolute = Path(os.path.normpath(path.absolute()))
    try:
        relative = Path(os.path.relpath(absolute, file.absolute().parent))
    except ValueError:
        return str(absolute)
    return str(absolute if relative.parts.count("..") > _FARTHEST else relative)
