"""Write the text of a recipe, with comments that say what users may change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from latte.data.few_images import quick_look
from latte.data.sources.classes import CLASS_FOLDERS
from latte.interfaces import LatteError
from latte.interfaces.settings import BRING_WEIGHTS
from latte.io.files import write_atomically
from latte.new.choices import Choices, Method
from latte.new.images import Findings
from latte.recipe.dump import dump_yaml
from latte.recipe.load import load_recipe
from latte.registry.registry import Registry

_FARTHEST = 2
"""Maximum number of `..` in a relative path; a path with more is written as absolute."""


def recipe_text(found: Findings, chosen: Choices, file: Path) -> str:
    """Return the text of the recipe `file`, with paths relative to its folder."""
    return "".join(f"{line}\n" for line in _lines(found, chosen, file))


def write_recipe(path: Path, text: str, registry: Registry) -> None:
    """Write `text` to a temporary file, and rename the file if it is a valid recipe.

    Raises `LatteError` if it is not valid or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
            load_recipe(temporary, registry)
    except OSError as error:
        raise LatteError(f"cannot be written ({error.strerror})", where=str(path)) from error


def _lines(found: Findings, chosen: Choices, file: Path) -> Iterator[str]:
    yield f"# Adapts CLIP to {found.images:,} images of {len(found.class_names)} classes:"
    look = quick_look(found.images, len(found.class_names))
    if look:
        yield f"#   latte run {file.name} --limit {look}     a quick look"
    yield f"#   latte run {file.name}"
    if chosen.requires:
        yield from _entry("requires", chosen.requires)
    yield from _dataset(found, file)
    yield "# latte choose compares models on your images"
    yield from _entry("backbone", backbone_keys(chosen.model, file))
    if chosen.guard:
        yield "# Keeps plain CLIP where the evidence that adapting helps is weak"
        yield from _entry("guard", chosen.guard)
    yield from _METHODS[chosen.method](chosen)


def _dataset(found: Findings, file: Path) -> Iterator[str]:
    yield "dataset:"
    yield "  use: folder"
    yield from _entry("root", _path(found.root, file), "  ")
    yield from _entry("classes", _classes(found, file), "  ")
    yield '  # Better with the kind of your classes: "a photo of a {class}, a type of bird."'
    yield '  template: "a photo of a {class}."'
    if found.evaluation:
        yield f"  # {found.labelled:,} labelled images, to measure on; training never sees them"
        yield from _entry("evaluation", _path(found.evaluation, file), "  ")
    else:
        yield "  # A folder of labelled images by class, not those in root, to measure the gain"
        yield "  # evaluation: labelled"


def backbone_keys(model: str, file: Path) -> dict[str, str]:
    """Return the section `backbone` of the recipe `file` for a `model` such as `NAME:TAG`."""
    name, _, rest = model.partition(":")
    if name == "local-dir":
        return {"model": f"{name}:{_path(Path(rest).expanduser(), file)}"}
    if model.startswith(BRING_WEIGHTS) or not rest:
        return {"model": model}
    return {"model": name, "pretrained": rest}


def _zero_shot(chosen: Choices) -> Iterator[str]:
    yield "# The frozen CLIP as it is"
    yield "labels: [frozen]"
    yield "prototypes: templates"
    yield "train: {max_steps: 0}"


def _mixture(chosen: Choices) -> Iterator[str]:
    yield "# All images are labelled jointly; nothing is trained"
    yield "labels: [transductive]"
    yield "prototypes: from-labeler"
    yield "train: {max_steps: 0}"


def _free(chosen: Choices) -> Iterator[str]:
    yield "# Prototypes are re-estimated from texts about the images, and from the images"
    yield from _descriptions(chosen)
    yield "prototypes: re-estimated"
    yield "train: {max_steps: 0}"


def _latteclip(chosen: Choices) -> Iterator[str]:
    yield from _descriptions(chosen)
    yield "labels: [current, frozen]"
    yield "# A lower momentum suits few steps: prototypes follow the texts faster"
    yield "prototypes: {use: momentum, momentum: 0.99}"
    yield "loss: contrastive"
    yield "train:"
    yield f"  batch_size: {chosen.batch_size}"
    if chosen.micro_batch_size:
        yield f"  micro_batch_size: {chosen.micro_batch_size}"
    yield "  # Whichever comes first"
    yield "  max_steps: 2000"
    yield f"  max_epochs: {chosen.max_epochs}"
    rate = dump_yaml(chosen.learning_rate).strip()
    yield f"  optimizer: {{learning_rate: {rate}}}"
    yield "# For comparison: the same training without any text about images"
    yield "controls:"
    yield "  without-descriptions: {descriptions: [class], describer: null}"


_METHODS: Mapping[Method, Callable[[Choices], Iterator[str]]] = {
    "zero-shot": _zero_shot,
    "mixture": _mixture,
    "training-free": _free,
    "latteclip": _latteclip,
}


def _descriptions(chosen: Choices) -> Iterator[str]:
    if chosen.describer == "llava":
        yield "describer:"
        yield "  use: llava"
        yield "  model: llava-hf/llava-v1.6-mistral-7b-hf"
        yield "  resolution: thumbnail"
        if chosen.load_in_4bit:
            yield "  load_in: 4bit"
    else:
        yield f"describer: {chosen.describer}"
    yield "# Both take a prompt: ask about your kind of images"
    yield "descriptions:"
    yield "  - class"
    yield "  - {use: image}"
    yield "  - {use: group, size: 4}"


def _entry(key: str, value: object, indent: str = "") -> Iterator[str]:
    yield from (indent + line for line in dump_yaml({key: value}).splitlines())


def _classes(found: Findings, file: Path) -> object:
    if found.classes is None:
        return CLASS_FOLDERS
    return _path(found.classes, file) if isinstance(found.classes, Path) else list(found.classes)


def _path(path: Path, file: Path) -> str:
    """Return `path` relative to the recipe's folder, or absolute if it would need too many `..`."""
    whole = Path(os.path.normpath(path.absolute()))
    try:
        relative = Path(os.path.relpath(whole, file.absolute().parent))
    except ValueError:
        return str(whole)
    return str(whole if relative.parts.count("..") > _FARTHEST else relative)
