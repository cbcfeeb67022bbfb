"""The published datasets as components: one class each, all made from the table of facts."""

from __future__ import annotations

from typing import ClassVar

from latte.components.datasets.published.facts import Facts, find_facts
from latte.components.datasets.published.location import find_root, read_published, split_files
from latte.data.source_options import PublishedOptions
from latte.data.sources.splits import SplitDataset
from latte.interfaces import Context


class PublishedDataset(SplitDataset[PublishedOptions]):
    """A dataset in CoOp's layout: train and val are training, test is evaluation.

    Class names are spelled as LatteCLIP's code spells them; `facts` says which dataset it is.
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
        """All sentences that stand for a class together, each with `{class}` for its name."""
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
