"""Names of the 1,000 ImageNet classes, with their kinds (such as dog) and usual textures."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from timm.data import ImageNetInfo

KINDS_TEXT = (
    "dog cat bird fish shark snake lizard turtle frog crocodile dinosaur spider insect beetle "
    "butterfly crab lobster snail shellfish monkey ape bear wolf fox rabbit squirrel mouse pig "
    "sheep goat cow deer horse camel elephant seal whale weasel duck owl eagle parrot hen "
    "airplane ship boat sailboat car truck bus van train bicycle motorcycle wagon chair table "
    "bed sofa desk cabinet bookcase lamp clock watch guitar piano drum horn flute violin "
    "musical_instrument hat helmet mask shoe dress skirt coat shirt sweater swimsuit glove sock "
    "glasses cup glass bottle jar bowl pot pan plate spoon knife bag box basket barrel bucket "
    "tool saw hammer gun sword ball racket weight computer keyboard screen telephone camera "
    "radio oven stove refrigerator house church temple castle tower bridge fence wall roof door "
    "window store restaurant monument dam fountain pool fruit vegetable flower tree mushroom "
    "bread cake sandwich soup meat drink mountain valley shore ocean lake animal vehicle "
    "aircraft furniture clothing food building toy machine plant"
)
KINDS = set(KINDS_TEXT.split())
"""Everyday words for kinds. A class's kind is the nearest of its WordNet hypernyms in this set."""
TEXTURES = {
    "mammal": "furry",
    "bird": "feathered",
    "reptile": "scaly",
    "fish": "scaly",
    "motor_vehicle": "shiny metal",
    "garment": "soft fabric",
    "furniture": "wooden",
    "stringed_instrument": "wooden",
    "knife": "shiny metal",
    "vessel": "painted",
    "plant": "leafy",
    "insect": "tiny",
    "bottle": "glossy",
    "fruit": "ripe",
}
"""Usual texture by WordNet synset, for all classes that are hyponyms of the synset."""


PEOPLE = 1000
"""Index of the class for people, which is added after the ImageNet classes."""


@dataclass(frozen=True)
class Name:
    """Class with its name in open_clip (`plain`), its `kind` and its usual `texture`."""

    plain: str
    kind: str | None
    texture: str | None

    @property
    def phrase(self) -> str:
        """Return the name with an article: a beagle, an airliner; but people."""
        if self.plain == "people":
            return self.plain
        lower = self.plain.lower()
        return f"{'an' if lower[0] in 'aeiou' else 'a'} {lower}"


def plain_names() -> list[Name]:
    """Return the classes without kinds and textures.

    The classes are in the order of the ImageNet head's outputs; the class for people is last.
    """
    short = [re.sub(r" \(.*?\)", "", plain).strip() for plain in IMAGENET_CLASSNAMES]
    return [Name(plain, None, None) for plain in [*short, "people"]]


def class_names(wordnet: Path) -> list[Name]:
    """Return the classes of `plain_names` with their kinds and textures."""
    lemmas, parents = _taxonomy(wordnet / "data.noun")
    plain = plain_names()
    found = []
    for name, synset in zip(plain, ImageNetInfo().label_names(), strict=False):
        ancestors = list(_ancestors(synset[1:], parents))
        kind = _kind(name.plain, ancestors, lemmas)
        found.append(Name(name.plain, kind, _texture(ancestors, lemmas)))
    return [*found, plain[PEOPLE]]


def _taxonomy(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the lemmas and the hypernyms of each synset in a file of WordNet.

    A synset is identified by its offset in the file.
    """
    lemmas: dict[str, list[str]] = {}
    parents: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue
        fields = line.partition(" | ")[0].split()
        count = int(fields[3], 16)
        lemmas[fields[0]] = [fields[4 + 2 * i] for i in range(count)]
        pointers = fields[4 + 2 * count :]
        parents[fields[0]] = [b for a, b in itertools.pairwise(pointers) if a == "@"]
    return lemmas, parents


def _ancestors(offset: str, parents: dict[str, list[str]]) -> Iterable[str]:
    """Yield the offsets of the synset and of all its hypernyms, nearest first."""
    seen: dict[str, None] = {offset: None}
    queue = [offset]
    while queue:
        current = queue.pop(0)
        yield current
        fresh = [parent for parent in parents[current] if parent not in seen]
        seen.update(dict.fromkeys(fresh))
        queue += fresh


def _kind(plain: str, ancestors: list[str], lemmas: dict[str, list[str]]) -> str | None:
    """Return the nearest hypernym in KINDS; None if there is none, or if `plain` contains it."""
    for offset in ancestors:
        for lemma in lemmas[offset]:
            if lemma in KINDS:
                return None if lemma in plain.lower().split() else lemma.replace("_", " ")
    return None


def _texture(ancestors: list[str], lemmas: dict[str, list[str]]) -> str | None:
    for offset in ancestors:
        for lemma in lemmas[offset]:
            if lemma in TEXTURES:
                return TEXTURES[lemma]
    return None
