"""Published datasets of LatteCLIP's experiments: find their files, read splits, define classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from latte.api import Context, LatteError, PathText, SourceOptions
from latte.api.sources import (
    Entry,
    SplitDataset,
    Splits,
    existing_file,
    is_file,
    is_folder,
    read_splits,
    read_text,
    some,
)
from latte_benchmarks.facts import SPLITS_PAGE, DatasetFacts, find_facts

DATA_VARIABLE = "LATTE_DATA"
VARIANTS = "variants.txt"


def default_root(facts: DatasetFacts) -> Path | None:
    """Return the dataset's folder below `LATTE_DATA`, or None if the variable is not set."""
    data = os.environ.get(DATA_VARIABLE)
    return (Path(data).expanduser() / facts.folder).absolute() if data else None


def find_root(facts: DatasetFacts, folder: Path | None, where: str) -> Path:
    """Return the dataset's folder: `folder`, or by default the one below `LATTE_DATA`.

    Raises `LatteError` if neither is set, or if the folder does not exist.
    """
    root = folder or default_root(facts)
    if root is None:
        raise LatteError(
            "LATTE_DATA is not set",
            where=where,
            hint=f"Set it, or run `latte datasets get {facts.name} --root DIR`.\n"
            f"  It is the folder that holds {facts.folder}/; DIR is the option root.",
        )
    if not is_folder(root):
        raise LatteError(
            f"no such folder: {root}",
            where=where,
            hint=f"To get the dataset: latte datasets get {facts.name} --root {root}\n"
            f"  What the folder holds: latte datasets show {facts.name}",
        )
    return root


def missing(facts: DatasetFacts, root: Path, split: str | None = None) -> list[str]:
    """Return the required folders (ending in `/`) and files that `root` lacks.

    Single images are not checked.
    """
    folders = [f"{name}/" for name in facts.needed_folders if not is_folder(root / name)]
    files = [path.relative_to(root) for path in split_files(facts, root, split)]
    return [*folders, *(path.as_posix() for path in files if not is_file(root / path))]


def split_files(facts: DatasetFacts, root: Path, split: str | None = None) -> list[Path]:
    """Return the files that list the images: `split` if it is set, else CoOp's file.

    FGVC-Aircraft has several files: a list of class names, and one list of images per split.
    """
    name = split or facts.split
    if name:
        return [root / name]
    return [root / VARIANTS, *(_list_of(root, split_name) for split_name in Splits.NAMES)]


def read_published(facts: DatasetFacts, root: Path, split: str | None = None) -> Splits:
    """Read the dataset's splits. Raises `LatteError` for missing or malformed files."""
    absent = missing(facts, root, split)
    if absent:
        page = f"CoOp's authors publish {facts.split}: {SPLITS_PAGE}\n  "
        raise LatteError(
            f"{facts.name} lacks {', '.join(absent)}",
            where=str(root),
            hint=(page if facts.split in absent else "")
            + f"What is wrong: latte datasets check {facts.name} --root {root}",
        )
    name = split or facts.split
    return read_splits(root / name) if name else read_variants(root)


def read_variants(root: Path) -> Splits:
    """Read FGVC-Aircraft's splits; a label is the index of a class name in `variants.txt`."""
    names = read_text(existing_file(root / VARIANTS, "dataset.root")).split("\n")
    labels = {name: label for label, name in enumerate(filter(None, map(str.strip, names)))}
    return Splits({split: list(_entries(_list_of(root, split), labels)) for split in Splits.NAMES})


def _list_of(root: Path, split: str) -> Path:
    return root / f"images_variant_{split}.txt"


def _entries(file: Path, labels: Mapping[str, int]) -> Iterator[Entry]:
    lines = read_text(existing_file(file, "dataset.root")).split("\n")
    for number, line in enumerate(lines, start=1):
        image, _, name = line.strip().partition(" ")
        if not image:
            continue
        if name not in labels:
            raise LatteError(
                f"{name!r} is no variant",
                where=f"{file}:{number}",
                hint=f"{VARIANTS} names {some([*labels])}.",
            )
        yield Entry(f"{file}:{number}", f"{image}.jpg", labels[name], name)


class PublishedOptions(SourceOptions):
    """Options of the datasets of LatteCLIP's experiments: folder, text template and split file."""

    root: PathText | None = Field(
        default=None,
        description="the dataset's folder; without it, the folder of CoOp's name below the one in "
        "the environment variable LATTE_DATA (latte datasets show NAME)",
    )
    template: str | tuple[str, ...] = Field(
        default="released",
        description="sentence that stands for a class: `released` as LatteCLIP's code has it, "
        "`coop` as CoOp's has it, `supplement` as LatteCLIP's supplement says (a photo of a "
        "{class}.), or your own with {class}; of a list, a class is the mean of all",
    )
    split: str | None = Field(
        default=None,
        description="another split file of CoOp's shape, relative to root; without it, CoOp's",
    )

    @field_validator("template")
    @classmethod
    def _names_the_class(cls, template: str | tuple[str, ...]) -> str | tuple[str, ...]:
        templates = (template,) if isinstance(template, str) else template
        sentences = [text for text in templates if text not in ("released", "coop", "supplement")]
        if not templates or not all("{class}" in text for text in sentences):
            raise ValueError(
                'it must be released, coop or supplement, or contain {class}, as in "a {class}."'
            )
        return template


class PublishedDataset(SplitDataset[PublishedOptions]):
    """Published dataset in CoOp's layout, with class names spelled as in LatteCLIP's code."""

    facts: ClassVar[DatasetFacts]

    def __init__(self, options: PublishedOptions, context: Context) -> None:
        folder = None if options.root is None else context.path(options.root)
        root = find_root(self.facts, folder, "dataset.root")
        super().__init__(
            options,
            context,
            read_published(self.facts, root, options.split),
            file=split_files(self.facts, root, options.split)[-1],
            root=root / self.facts.images,
            spell=self.facts.spell,
        )

    @property
    def templates(self) -> tuple[str, ...]:
        """All templates as sentences; a name such as `released` is replaced by its sentence."""
        return tuple(map(self.facts.template, super().templates))


def _published(name: str) -> type[PublishedDataset]:
    facts = find_facts(name)
    return type(facts.target, (PublishedDataset,), {"facts": facts, "__doc__": facts.title})


Caltech101 = _published("caltech101")
Dtd = _published("dtd")
Eurosat = _published("eurosat")
FgvcAircraft = _published("fgvc-aircraft")
Flowers102 = _published("flowers102")
Food101 = _published("food101")
OxfordPets = _published("oxford-pets")
StanfordCars = _published("stanford-cars")
Sun397 = _published("sun397")
Ucf101 = _published("ucf101")
