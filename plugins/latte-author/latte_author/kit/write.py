"""Write the files of a new plugin: templates, and the example of the interface's docstring."""

from __future__ import annotations

import doctest
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from latte import __version__
from latte.api import API_VERSION, Component, Kind, LatteError
from latte.api.plugins import INTERFACES
from latte_author.kit.names import Names

_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".jinja"


SUMMARIES: dict[Kind, str] = {
    "backbone": "an image-text model with random weights, to be replaced",
    "encoder": "an image-only model with random weights, to be replaced",
    "dataset": "photos in a folder, without labels",
    "guard": "keeps zero-shot CLIP if there are few images",
    "describer": "describes how bright a photo is",
    "description": "asks about an image's background",
    "gate": "holds back questions",
    "labeler": "labels images with the nearest class",
    "prototypes": "the class texts, which never change",
    "loss": "one minus the cosine of image and target",
    "trainable": "trains the layer norms of the image tower",
    "augmentation": "mirrors photos at random",
    "reporter": "writes the number of training images",
    "model": "a CLIP with random weights, to be replaced",
}
"""One-line summary of the example in the docstring of each kind's interface."""

_RECIPE = {
    "dataset": "tiny-caltech",
    "backbone": '{model: "plugin:tiny"}',
    "descriptions": "[class]",
    "labels": "[frozen, current]",
    "prototypes": "momentum",
    "loss": "contrastive",
    "trainable": "projections",
}
_WITH_TEXTS = {"describer": "phrases", "descriptions": "[class, image]"}
_USES: dict[Kind, dict[str, str]] = {
    "backbone": {"backbone": "{use: NAME}"},
    "encoder": {"encoders": "[NAME]"},
    "dataset": {"dataset": "NAME"},
    "guard": {"guard": "NAME"},
    "describer": {"describer": "NAME", "descriptions": "[class, image]"},
    "description": {"describer": "phrases", "descriptions": "[class, NAME]"},
    "gate": {**_WITH_TEXTS, "gates": "[NAME]"},
    "labeler": {"labels": "[NAME]"},
    "prototypes": {**_WITH_TEXTS, "prototypes": "NAME"},
    "loss": {"loss": "NAME"},
    "trainable": {"trainable": "NAME"},
    "augmentation": {"augmentation": "NAME"},
    "reporter": {"reporters": "[html, NAME]"},
    "model": {"backbone": '{model: "plugin:NAME"}'},
}
"""Keys of a recipe that uses the component NAME of each kind."""
_JOINT = {"labels": "[NAME]", "prototypes": "from-labeler", "train": "{max_steps: 0}"}
"""Keys of a recipe that uses a joint labeler, without training steps."""
_JOINT_SUMMARY = "labels all images together, here by the nearest class text"
_WHOLE_RUNS: tuple[Kind, ...] = ("backbone", "labeler", "prototypes", "loss")
"""Kinds whose components are also tested in whole runs."""
_CLASS_ENDINGS: dict[Kind, str] = {"backbone": "Loader", "encoder": "Loader"}
"""Ending of the component's class name, for kinds whose name is another interface."""


def contract_of(kind: Kind) -> str:
    """Return the name of the class of contract tests for a kind, such as `DescriberContract`."""
    name = "Model" if kind == "model" else INTERFACES[kind].__name__
    return f"{name.removesuffix('Loader')}Contract"


def class_name_of(kind: Kind, camel: str) -> str:
    """Return the name of a component's class, such as `WarmColoursLoss` for `WarmColours`."""
    return f"{camel}{_CLASS_ENDINGS.get(kind, kind.capitalize())}"


def recipe_keys(kind: Kind, name: str) -> dict[str, str]:
    """Return the keys of a recipe that uses the component `name`, with values as YAML text."""
    return {**_RECIPE, **{key: value.replace("NAME", name) for key, value in _USES[kind].items()}}


def write_plugin(names: Names, kind: Kind, folder: Path, *, joint: bool = False) -> list[Path]:
    """Write a package with one component to `folder`; return its files, relative to `folder`.

    If `joint`, the component is a labeler that labels all images together. Writes all files or
    none. Raises `LatteError` if `folder` exists, and for `joint` with another kind.
    """
    if joint and kind != "labeler":
        raise LatteError(f"a {kind} cannot be joint", where="--joint", hint="--kind labeler")
    if folder.exists():
        raise LatteError(
            "this folder exists already", where=str(folder), hint="choose another name or --output"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        written = Path(temporary) / folder.name
        for name, text in _files(names, kind, joint=joint):
            path = written / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        written.rename(folder)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _files(names: Names, kind: Kind, *, joint: bool) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the plugin; empty files are left out."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    major, minor, *_ = __version__.split(".")
    class_name = class_name_of(kind, names.camel)
    recipe = recipe_keys(kind, names.component)
    run_recipe = recipe
    if joint:
        joint_keys = {key: value.replace("NAME", names.component) for key, value in _JOINT.items()}
        run_recipe = recipe | {"prototypes": joint_keys["prototypes"]}
        recipe = {key: _RECIPE[key] for key in ("dataset", "backbone")} | joint_keys
    keys_of_tiny_runs = {"dataset"} if kind == "backbone" else {"dataset", "backbone"}
    values = {
        "names": names,
        "kind": kind,
        "contract": contract_of(kind),
        "joint": joint,
        "summary": _summary(kind, joint=joint),
        "latte": f">={major}.{minor}",
        "api_version": API_VERSION,
        "class_name": class_name,
        "component": "" if kind == "model" else example_module(kind, class_name, joint=joint),
        "recipe": _lines(recipe),
        "rate": "1.0e-2" if kind == "trainable" else "1.0e-3",
        "run": _lines(
            {key: value for key, value in run_recipe.items() if key not in keys_of_tiny_runs}
        )
        if kind in _WHOLE_RUNS
        else "",
    }
    for path in sorted(_TEMPLATES.rglob(f"*{_SUFFIX}")):
        name = path.relative_to(_TEMPLATES).as_posix()
        text = environment.get_template(name).render(values)
        if text:
            yield name.removesuffix(_SUFFIX).replace("MODULE", names.module), text


def _lines(recipe: dict[str, str]) -> str:
    return "\n".join(f"{key}: {value}" for key, value in recipe.items())


def _summary(kind: Kind, *, joint: bool) -> str:
    return _JOINT_SUMMARY if joint else SUMMARIES[kind]


def example_module(kind: Kind, name: str, *, joint: bool = False) -> str:
    """Return the example in the docstring of a kind's interface as the body of a module.

    The component in the example gets the name `name` and a docstring. If `joint`, the example is
    that of `JointLabeler`.
    """
    interface: type[Component[Any]] = INTERFACES[kind]
    if joint:
        from latte.api import JointLabeler

        interface = JointLabeler
    examples = doctest.DocTestParser().get_examples(interface.__doc__ or "")
    imports = [
        example.source for example in examples if example.source.startswith(("import ", "from "))
    ]
    classes = [
        example.source.rstrip("\n") for example in examples if example.source.startswith("class ")
    ]
    origins = groupby(imports, key=lambda line: _origin(line.split()[1].partition(".")[0]))
    head = "\n".join("".join(lines) for _, lines in origins).rstrip("\n")
    code = "\n\n\n".join([head, *classes])
    class_line = re.search(rf"class (\w+)\({interface.__name__}\[.*\n", code)
    assert class_line, f"the docstring of {interface.__name__} has no example"
    summary = _summary(kind, joint=joint)
    docstring = f'    """{summary[0].upper()}{summary[1:]}."""\n\n'
    code_above, code_below = code[: class_line.end()], code[class_line.end() :]
    return docstring.join(
        re.sub(rf"\b{class_line[1]}\b", name, section) for section in (code_above, code_below)
    )


def _origin(package: str) -> int:
    """Return 0 for a package of the standard library, 2 for latte, and 1 for all others."""
    return 0 if package in sys.stdlib_module_names else 1 + (package == "latte")
