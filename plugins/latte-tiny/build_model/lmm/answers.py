"""Questions and the answers that the model learns to give."""

from __future__ import annotations

import re
from collections import Counter

from torch import Tensor

from .looks import Looks
from .names import Name

OBJECT_PROMPTS = (
    "Describe the object in the photo concisely, less than 20 words.",
    "Describe the object in the photo.",
    "What is in the photo?",
)
GROUP_PROMPTS = (
    "Describe which visual attributes the objects in all the photos share, concisely, "
    "less than 20 words.",
    "Describe what the objects in all the photos have in common.",
)
SCENE_PROMPTS = (
    "Describe the scene in the photo concisely, less than 20 words.",
    "Describe the scene in the photo.",
)
SURE, LIKELY = 0.35, 0.12
"""The head's probability from which its first guess is stated, and from which it is offered."""
PEOPLE = re.compile(
    r"\b(man|men|woman|women|person|people|boy|girl|child|children|kid|baby|player|toddler)s?\b"
)


def tidy(caption: str) -> str:
    """A caption of Flickr8k as a sentence."""
    text = re.sub(r"\s+([.,!?'])", r"\1", caption.replace('"', "")).strip().rstrip(" .")
    return text[:1].upper() + text[1:] + "."


def article(phrase: str) -> str:
    """The phrase after a or an."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def class_mark(index: int) -> str:
    """Stands in an answer for the one token that says class `index` with its article."""
    return f"\ue000{index}\ue001"


def looks_words(texture: str | None, looks: Looks) -> str:
    """For example: brown and furry, on a plain white background."""
    colours = " and ".join(looks.colours)
    words = f"{colours}, {texture}" if texture else colours
    ground = f"plain {looks.ground}" if looks.plain else looks.ground
    return f"{words}, on a {ground} background."


def object_answer(index: int, name: Name, looks: Looks, *, maybe: int | None = None) -> str:
    """For example: The photo shows a beagle, a kind of dog, brown, furry, on a white background."""
    text = f"The photo shows{class_mark(index)}"
    if maybe is not None:
        text += f" or{class_mark(maybe)}"
    elif name.kind:
        text += f", a kind of {name.kind}"
    return f"{text}, {looks_words(name.texture or looks.texture, looks)}"


def from_head(probabilities: Tensor, classes: list[Name], looks: Looks) -> str:
    """What the trunk's own ImageNet head (1000,) says, with as much certainty as it has."""
    values, rows = probabilities.topk(2)
    first, second = rows.tolist()
    unsure = values[0] < SURE and values[1] >= LIKELY / 2
    same_kind = classes[first].kind is not None and classes[first].kind == classes[second].kind
    maybe = second if unsure and not same_kind else None
    return object_answer(first, classes[first], looks, maybe=maybe)


def shows_people(captions: list[str]) -> bool:
    """Whether at least two of the captions speak of people, for whom ImageNet has no class."""
    return sum(bool(PEOPLE.search(text.lower())) for text in captions) >= 2


def people_answer(looks: Looks) -> str:
    """For photos of people, who are no class of ImageNet's."""
    return f"The photo shows people, {looks_words(None, looks)}"


def stamp_answer(name: str, probabilities: Tensor, classes: list[Name], looks: Looks) -> str:
    """The stamp's own name; the head adds kind and texture where it is sure."""
    best = classes[int(probabilities.argmax())]
    sure = float(probabilities.max()) >= SURE
    own = " ".join(name.split()[:4])
    text = f"The photo shows {article(own.lower())}"
    if sure and best.kind and best.kind not in name.split():
        text += f", a kind of {best.kind}"
    return f"{text}, {looks_words(best.texture if sure else looks.texture, looks)}"


def group_answer(index: int, name: Name, looks: list[Looks]) -> str:
    """For example: All photos show a beagle, a kind of dog, furry, mostly brown."""
    text = f"All photos show{class_mark(index)}"
    if name.kind:
        text += f", a kind of {name.kind}"
    texture = name.texture or Counter(look.texture for look in looks).most_common(1)[0][0]
    if texture:
        text += f", {texture}"
    colours = Counter(colour for look in looks for colour in look.colours)
    text += f", mostly {colours.most_common(1)[0][0]}"
    if sum(look.plain for look in looks) * 2 > len(looks):
        text += ", on plain backgrounds"
    return text + "."
