"""Corpus of the texts on which the small text tower is trained.

A distilled tower learns only the words that its texts contain, so the corpus is broad: most
concrete nouns of WordNet in several templates, their glosses, captions of everyday scenes, the
ImageNet class names, and composed phrases in the style of image descriptions.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

# Numbers of WordNet's lexicographer files of visible things (act, animal, artifact, body, food,
# group, location, object, person, phenomenon, plant, shape, substance).
VISIBLE_FILES = {4, 5, 6, 8, 13, 14, 15, 17, 18, 19, 20, 25, 27}
TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a bad photo of a {}.",
    "a close-up photo of a {}.",
    "a photo of a small {}.",
    "a photo of a large {}.",
    "a drawing of a {}.",
    "a picture of a {} outdoors.",
    "the image shows a {}.",
    "a {} on a white background.",
    "there is a {} in the scene.",
)
LOOKS_TEXT = (
    "red orange yellow green blue purple pink brown black white grey golden silver dark bright "
    "pale colourful striped spotted shiny dull smooth rough wet dry old new broken round square "
    "long short tall thick thin curved pointed wooden metal plastic glass stone leather paper "
    "fabric rubber ceramic brass furry feathered scaly transparent patterned ornate plain tiny "
    "huge young wild toy vintage modern dusty rusty floral hand-made folded empty full open"
)
PLACES_TEXT = (
    "on a table|on the grass|in the water|in a forest|on a street|on the beach|in a room|"
    "against a white background|in the snow|on a wall|in the sky|in a field|on a shelf|"
    "under a tree|near a building|on the ground|in a garden|on rocks|by the sea|at night|"
    "in front of a blue sky|in a studio|in a kitchen|on a boat|with a blurred background"
)
LOOKS = LOOKS_TEXT.split()
PLACES = PLACES_TEXT.split("|")
PHRASES = (
    "a {look} {noun} {place}.",
    "the photo shows a {look} {noun} {place}.",
    "a {noun} with {look} and {look2} parts.",
    "a {look}, {look2} {noun}.",
    "a {noun} and a {noun2} {place}.",
    "all images show a {look} {noun}, some of them {place}.",
    "a photo of a {noun}, which is {look} and {look2}.",
    "a person holding a {look} {noun} {place}.",
    "an aerial view of a {noun} next to a {noun2}.",
)


def wordnet_nouns(folder: Path) -> tuple[list[str], list[str]]:
    """Return lower-case noun lemmas and `lemma: gloss` sentences from WordNet's `data.noun`."""
    lemmas: dict[str, None] = {}
    glosses: list[str] = []
    for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            continue  # the licence header
        left, _, gloss = line.partition(" | ")
        fields = left.split()
        if int(fields[1]) not in VISIBLE_FILES:
            continue
        count = int(fields[3], 16)
        words = [fields[4 + 2 * i].replace("_", " ") for i in range(count)]
        plain = [word for word in words if word == word.lower()]
        if not plain:
            continue  # skip proper names and Latin genera, which are of little use to a tiny tower
        lemmas.update(dict.fromkeys(plain))
        short = gloss.split(";")[0].split('"')[0].strip()
        if short:
            glosses.append(f"{plain[0]}: {short}" if len(glosses) % 2 else short)
    return list(lemmas), glosses


def read_captions(path: Path) -> dict[str, list[str]]:
    """Return captions by image file name, from a CSV file with the columns image and caption."""
    captions: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            captions.setdefault(row["image"], []).append(row["caption"].strip())
    return captions


def caption_split(captions: dict[str, list[str]], seed: int = 0) -> dict[str, list[str]]:
    """Return image names by part: `dev` and `test` (1,000 each) and `train` (the rest)."""
    names = sorted(captions)
    random.Random(seed).shuffle(names)
    return {"dev": names[:1000], "test": names[1000:2000], "train": names[2000:]}


def compose(nouns: list[str], count: int, draw: random.Random) -> list[str]:
    """Return `count` random descriptions, each of an appearance, an object and a place."""
    texts = []
    for _ in range(count):
        phrase = draw.choice(PHRASES)
        texts.append(
            phrase.format(
                look=draw.choice(LOOKS),
                look2=draw.choice(LOOKS),
                noun=draw.choice(nouns),
                noun2=draw.choice(nouns),
                place=draw.choice(PLACES),
            )
        )
    return texts


def build_corpus(wordnet: Path, captions: dict[str, list[str]], seed: int = 0) -> list[str]:
    """Return all distinct training texts, in an order shuffled by `seed`, without test captions."""
    draw = random.Random(seed)
    lemmas, glosses = wordnet_nouns(wordnet)
    split = caption_split(captions)
    texts = [TEMPLATES[0].format(lemma) for lemma in lemmas]
    texts += draw.sample(lemmas, len(lemmas) // 2)
    texts += [draw.choice(TEMPLATES[1:]).format(lemma) for lemma in lemmas]
    texts += draw.sample(glosses, min(len(glosses), 30_000))
    texts += [text for name in split["train"] for text in captions[name]]
    texts += [template.format(name) for name in IMAGENET_CLASSNAMES for template in TEMPLATES]
    single = [lemma for lemma in lemmas if " " not in lemma]
    texts += compose([*single, *IMAGENET_CLASSNAMES * 10], 50_000, draw)
    texts = list(dict.fromkeys(texts))
    draw.shuffle(texts)
    return texts


def underscored(texts: list[str], every: int = 3) -> tuple[list[str], list[int]]:
    """Return copies of some texts with underscores, and the index of each copy's original.

    An example is `a photo of a grand_piano.`. Class names are often file names, so the tower should
    encode both spellings alike.
    """
    prefix, _, suffix = TEMPLATES[0].partition("{}")
    spelt: list[str] = []
    source: list[int] = []
    for index, text in enumerate(texts):
        noun = text.removeprefix(prefix).removesuffix(suffix)
        if index % every == 0 and text == prefix + noun + suffix and " " in noun:
            spelt.append(prefix + noun.replace(" ", "_") + suffix)
            source.append(index)
    return spelt, source
