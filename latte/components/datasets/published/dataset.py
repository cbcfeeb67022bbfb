"""Published datasets: one class per dataset, created from `table.toml`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from latte.api import Context, PathText, SourceOptions
from latte.api.sources import SplitDataset
from latte.components.datasets.published.facts import Facts, find_facts
from latte.components.datasets.published.location import find_root, read_published, split_files


class PublishedOptions(SourceOptions):
    """Options of the datasets of LatteCLIP's experiments, in CoOp's layout."""

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
        own = [one for one in templates if one not in ("released", "coop", "supplement")]
        if not templates or not all("{class}" in one for one in own):
            raise ValueError(
                'it must be released, coop or supplement, or contain {class}, as in "a {class}."'
            )
        return template


class PublishedDataset(SplitDataset[PublishedOptions]):
    """Dataset in CoOp's layout: train and val are for training, test is for evaluation.

    Class names are spelled as in LatteCLIP's code.
    """

    facts: ClassVar[Facts]

    def __init__(self, options: PublishedOptions, context: Context) -> None:
        chosen = None if options.root is None else context.path(options.root)
        root = find_root(self.facts, chosen, "dataset.root")
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
        """All templates as sentences, also those named `released`, `coop` or `supplement`."""
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
