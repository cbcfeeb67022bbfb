"""Write the files of a new plugin from templates."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from latte.interfaces import LatteError
from latte.io.files import temporary_beside
from latte.registry.registry import INTERFACES
from latte.registry.spec import API_VERSION, Kind
from latte.version import __version__

_DISTRIBUTION = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "latte-"
_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".jinja"


@dataclass(frozen=True)
class Names:
    """Names in a new plugin, all derived from the name of its pip package."""

    distribution: str
    """Name of the pip package, for example `latte-warm-colours`."""

    @property
    def module(self) -> str:
        """Name of the import package and entry point, for example `latte_warm_colours`."""
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        """Name of the component in recipes, for example `warm-colours`."""
        return self.distribution.removeprefix(_PREFIX)

    @property
    def camel(self) -> str:
        """Prefix of the component's class names, for example `WarmColours`."""
        return "".join(word.capitalize() for word in self.component.split("-"))


def plugin_names(text: str) -> Names:
    """Return the names for a package called `text`. Raises `LatteError` for an unusable name."""
    wanted = text.strip().lower().replace("_", "-").replace(" ", "-")
    if not _DISTRIBUTION.fullmatch(wanted):
        raise LatteError(
            f'"{text}" cannot name a package',
            hint="lower-case letters, digits and single hyphens, as in latte-colours",
        )
    names = Names(wanted)
    taken = names.module in sys.stdlib_module_names or keyword.iskeyword(names.module)
    if taken or names.module == "latte" or names.component[0].isdigit():
        raise LatteError(
            f'a package called "{wanted}" would hide another one',
            hint=f"try latte-{names.component.lstrip('0123456789') or 'colours'}-plugin",
        )
    return names


SUMMARIES: dict[Kind, str] = {
    "backbone": "an image-text model with random weights, to be replaced",
    "dataset": "photos in a folder, with a list of classes",
    "guard": "keeps zero-shot if its labels are uncertain",
    "describer": "describes how bright a photo is",
    "description": "asks what an image's object is made of",
    "gate": "holds back texts with unwanted words",
    "labeler": "labels only images with a clear margin",
    "prototypes": "prototypes that drift towards their images",
    "loss": "one minus the cosine of image and target",
    "trainable": "trains the biases of both towers only",
    "augmentation": "mirrors photos at random",
    "reporter": "writes the result as one line of text",
    "model": "a CLIP with random weights, to be replaced",
}
"""One-line summary of the example component that the templates of each kind contain."""


def contract_of(kind: Kind) -> str:
    """Return the name of the class of contract tests for a kind, such as `DescriberContract`."""
    name = "Model" if kind == "model" else INTERFACES[kind].__name__
    return f"{name.removesuffix('Loader')}Contract"


def write_plugin(names: Names, kind: Kind, folder: Path) -> list[Path]:
    """Write a package with one component to `folder`; return its files, relative to `folder`.

    Writes all files or none. Raises `LatteError` if `folder` exists.
    """
    if folder.exists():
        raise LatteError(
            "this folder exists already", where=str(folder), hint="choose another name or --output"
        )
    temporary = temporary_beside(folder)
    try:
        for name, text in _files(names, kind):
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _files(names: Names, kind: Kind) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the plugin.

    If this kind of component has its own template of a file, the common template is not used.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    major, minor, *_ = __version__.split(".")
    series = f">={major}.{minor},<{major}.{int(minor) + 1}"
    values = {
        "names": names,
        "kind": kind,
        "noun": "Loader" if kind == "backbone" else kind.capitalize(),
        "contract": contract_of(kind),
        "summary": SUMMARIES[kind],
        "latte": series,
        "api_version": API_VERSION,
    }
    found = {
        path.relative_to(_TEMPLATES / part).as_posix(): path.relative_to(_TEMPLATES).as_posix()
        for part in ("common", kind)
        for path in sorted((_TEMPLATES / part).rglob(f"*{_SUFFIX}"))
    }
    for name, template in found.items():
        target = name.removesuffix(_SUFFIX).replace("MODULE", names.module)
        yield target, environment.get_template(template).render(values)
