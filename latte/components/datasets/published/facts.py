"""What is known of each published dataset; `table.toml` holds it, nothing here imports torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from latte.api import LatteError

SPLITS_PAGE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
"""Where CoOp's authors link their split files."""

SUPPLEMENT = "a photo of a {class}."
"""The one template that LatteCLIP's supplement gives, for every dataset."""

MadeFrom = Literal["folders", "flowers", "pets", "cars", "scenes", "actions"]
RANDOM_SPLITS: tuple[MadeFrom, ...] = ("folders", "flowers")
"""Splits that CoOp drew from all images of a class; the others keep an official test set."""


@dataclass(frozen=True)
class Facts:
    """One dataset, its layout below `root`, and how its classes and images are put into words."""

    name: str
    """As recipes write it."""
    title: str
    classes: int
    train: int
    val: int
    test: int
    folder: str
    """The name that CoOp gives the dataset's folder below `LATTE_DATA`."""
    images: str
    """Below the dataset's folder: where the paths of the split start."""
    released: str
    """The template in LatteCLIP's code, with `{class}`."""
    coop: str
    """The template in CoOp's code."""
    image_prompt: str
    group_prompt: str
    licence: str
    source: str
    """Home page."""
    split: str = ""
    """The split file below the dataset's folder; empty for lists by variant (FGVC-Aircraft)."""
    digest: str = ""
    """`split_digest` of the published split; empty where the file was not at hand."""
    image_folders: tuple[str, ...] = ()
    """Folders that must be there; empty: `images` alone."""
    dots: bool = False
    """LatteCLIP reads a dot in a class name as a space."""
    torchvision: str = ""
    """The class of `torchvision.datasets` that knows the archives; empty: none does."""
    inside: str = ""
    """What of the unpacked archives goes into the dataset's folder; a name that ends in .tar.gz is
    an archive inside the archive."""
    made_from: MadeFrom | None = None
    by_hand: str = ""
    """What no program can fetch."""
    ignored: tuple[str, ...] = ()
    """Class folders that CoOp leaves out."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Class names by folder, where CoOp changed them."""

    @property
    def target(self) -> str:
        """The name of its class in `latte.components.datasets.published.dataset`."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def needed_folders(self) -> tuple[str, ...]:
        """Image folders below the dataset's folder."""
        return self.image_folders or (self.images,)

    def spell(self, name: str) -> str:
        """A class name as LatteCLIP spells it: lower case, spaces for `_` and perhaps for dots."""
        spaced = name.replace("_", " ").lower()
        return " ".join(spaced.replace(".", " ").split()) if self.dots else spaced

    def template(self, option: str) -> str:
        """What the option means: one of `templates`, or a sentence of one's own."""
        return self.templates.get(option, option)

    @property
    def templates(self) -> dict[str, str]:
        """The named templates."""
        return {"released": self.released, "coop": self.coop, "supplement": SUPPLEMENT}


@cache
def all_facts() -> dict[str, Facts]:
    """Every dataset by its name, in alphabetical order."""
    table = tomllib.loads(Path(__file__).with_name("table.toml").read_text(encoding="utf-8"))
    return {name: _facts(name, row) for name, row in sorted(table.items())}


def find_facts(name: str) -> Facts:
    """The facts of one dataset. Raises `LatteError` with the nearest name."""
    known = all_facts()
    if name not in known:
        near = get_close_matches(name.lower().replace("_", "-"), known, n=1)
        hint = f'Did you mean "{near[0]}"? ' if near else ""
        raise LatteError(
            f'no dataset is published under the name "{name}"',
            hint=f"{hint}All names: {', '.join(known)}",
        )
    return known[name]


def _facts(name: str, row: Mapping[str, object]) -> Facts:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Facts(name=name, **values)  # type: ignore[arg-type]
