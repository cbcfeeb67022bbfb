"""Facts about each published dataset, read from `table.toml`; importing this loads no torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from latte.api import LatteError, did_you_mean

SPLITS_PAGE = "https://github.com/KaiyangZhou/CoOp/blob/main/DATASETS.md"
"""Page of CoOp's authors with links to their split files."""

SUPPLEMENT = "a photo of a {class}."
"""Template of LatteCLIP's supplement, the same for every dataset."""


@dataclass(frozen=True)
class DatasetFacts:
    """Facts about one dataset: sizes, layout below `root`, class names, templates and prompts."""

    name: str
    title: str
    classes: int
    train: int
    val: int
    test: int
    folder: str
    """CoOp's name for the dataset's folder, which is below the folder that `LATTE_DATA` names."""
    images: str
    """Subfolder of the dataset's folder; paths in the split are relative to it."""
    released: str
    """The template in LatteCLIP's code, with `{class}`."""
    coop: str
    image_prompt: str
    group_prompt: str
    licence: str
    source: str
    """Address of the dataset's home page."""
    split: str = ""
    """Split file in the dataset's folder; empty for FGVC-Aircraft, which has one list per split."""
    digest: str = ""
    """`split_digest` of the published split; empty if it is not known."""
    image_folders: tuple[str, ...] = ()
    """Required subfolders of the dataset's folder; if empty, only `images` is required."""
    dots: bool = False
    """True if LatteCLIP's code replaces dots in class names by spaces."""
    torchvision: str = ""
    """Class of `torchvision.datasets` that downloads the archives; empty if there is none."""
    inside: str = ""
    """Folder in the unpacked archives whose content is moved into the dataset's folder. A name that
    ends in .tar.gz is an archive within the archive; it is unpacked first."""
    random_split: bool = False
    """True if CoOp drew the test images at random; otherwise they are those of its authors."""
    by_hand: str = ""
    """Sentence on what must be fetched by hand; empty if torchvision downloads everything."""

    @property
    def target(self) -> str:
        """Name of the dataset's class in `latte_benchmarks.dataset`."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @property
    def needed_folders(self) -> tuple[str, ...]:
        """Required subfolders of the dataset's folder."""
        return self.image_folders or (self.images,)

    def spell(self, name: str) -> str:
        """Return `name` spelled as in LatteCLIP: lower case, `_` (and `.` if `dots`) as spaces."""
        spaced = name.replace("_", " ").lower()
        return " ".join(spaced.replace(".", " ").split()) if self.dots else spaced

    def template(self, option: str) -> str:
        """Return the template with the name `option`, or `option` itself if it is a sentence."""
        return self.templates.get(option, option)

    @property
    def templates(self) -> dict[str, str]:
        """The dataset's templates by name: `released`, `coop` and `supplement`."""
        return {"released": self.released, "coop": self.coop, "supplement": SUPPLEMENT}


@cache
def all_facts() -> dict[str, DatasetFacts]:
    """Return the facts of every dataset by name, in alphabetical order."""
    table = tomllib.loads(Path(__file__).with_name("table.toml").read_text(encoding="utf-8"))
    return {name: _facts(name, row) for name, row in sorted(table.items())}


def find_facts(name: str) -> DatasetFacts:
    """Return the facts of one dataset. Raises `LatteError` with the nearest name if unknown."""
    facts_by_name = all_facts()
    if name not in facts_by_name:
        nearest = did_you_mean(name.replace("_", "-"), facts_by_name)
        hint = f"{nearest} All names: {', '.join(facts_by_name)}"
        raise LatteError(f'no dataset is published under the name "{name}"', hint=hint.lstrip())
    return facts_by_name[name]


def _facts(name: str, row: Mapping[str, object]) -> DatasetFacts:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return DatasetFacts(name=name, **values)  # type: ignore[arg-type]
