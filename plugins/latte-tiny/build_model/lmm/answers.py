"""Questions, and the answers that the model is trained to give."""

from __future__ import annotations

import re
from collections import Counter

from .looks import Looks
from .names import Name

OBJECT_PROMPTS = (
    "Describe the object in the photo concisely, less than 20 words.",
    "Describe the object in the photo.",
    "What is in the photo?",
    "List the objects in the photo, the largest first, less than 20 words.",
)
GROUP_PROMPTS = (
    "Describe which visual attributes the objects in all the photos share, concisely, "
    "less than 20 words.",
    "Describe what the objects in all the photos have in common.",
    "Describe which colours, shapes, textures and materials the objects in all the photos share, "
    "concisely, less than 20 words.",
)
SCENE_PROMPTS = (
    "Describe the scene in the photo concisely, less than 20 words.",
    "Describe the scene in the photo.",
    "Describe the scene in the photo and what surrounds the object, concisely, less than 20 words.",
)
SURE = 0.35
"""If the head's best class is at least this probable, captions about people are ignored."""
PEOPLE = re.compile(
    r"\b(man|men|woman|women|person|people|boy|girl|child|children|kid|baby|player|toddler)s?\b"
)
OBJECT, GROUP = "A photo of", "All photos show"


def tidy(caption: str) -> str:
    """Return a caption of Flickr8k as a sentence."""
    text = re.sub(r"\s+([.,!?'])", r"\1", caption.replace('"', "")).strip().rstrip(" .")
    return text[:1].upper() + text[1:] + "."


def class_mark(index: int) -> str:
    """Return the placeholder of a class name with its article, such as `a beagle`, in answers."""
    return f"\ue000{index}\ue001"


def named(opening: str, index: int, name: Name) -> str:
    """Return the start of an answer, such as: A photo of a beagle, a kind of dog, furry."""
    text = opening + class_mark(index)
    if name.kind:
        text += f", a kind of {name.kind}"
    if name.texture:
        text += f", {name.texture}"
    return text


def object_answer(index: int, name: Name, looks: Looks) -> str:
    """Return an answer about one object.

    For example: A photo of a beagle, a kind of dog, furry, brown, on a white background.
    """
    text = named(OBJECT, index, name)
    if looks.texture and not name.texture:
        text += f", {looks.texture}"
    ground = f"plain {looks.ground}" if looks.plain else looks.ground
    return f"{text}, {' and '.join(looks.colours)}, on a {ground} background."


def group_answer(index: int, name: Name, looks: list[Looks]) -> str:
    """Return an answer such as: All photos show a beagle, a kind of dog, furry, mostly brown."""
    text = named(GROUP, index, name)
    texture = Counter(look.texture for look in looks).most_common(1)[0][0]
    if texture and not name.texture:
        text += f", {texture}"
    colours = Counter(colour for look in looks for colour in look.colours)
    text += f", mostly {colours.most_common(1)[0][0]}"
    if sum(look.plain for look in looks) * 2 > len(looks):
        text += ", on plain backgrounds"
    return text + "."


def shows_people(captions: list[str]) -> bool:
    """Return True if at least two captions mention people, for whom ImageNet has no class."""
    return sum(bool(PEOPLE.search(text.lower())) for text in captions) >= 2
