"""Phrase banks: text files with a phrase a line, by section, which a CLIP ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Context,
    DescribedImage,
    Describer,
    DescribeRequest,
    LatteError,
    Options,
    digest,
)

SECTIONS = ("objects", "materials", "colours", "textures", "scenes")
LONGEST_PHRASE = 7
"""Words. With the article, every phrase fits into the shortest sentence that options allow."""


class PhraseOptions(Options):
    """Which phrases are ranked, and how long the sentence may become."""

    bank: Path | None = Field(
        default=None,
        description=(
            "text file with the sections [objects], [materials], [colours], [textures], [scenes] "
            "and one phrase a line; none: the built-in bank"
        ),
    )
    words: int = Field(default=20, ge=8, le=50, description="longest sentence, in words")
    top: int = Field(default=3, ge=1, le=5, description="objects that a sentence may name")


@dataclass(frozen=True)
class PhraseBank:
    """Phrases by section, in the file's order; only `objects` is sure to have some."""

    sections: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """Changes when a phrase, a section, or their order changes; comments do not matter."""
        return digest(*(part for name in SECTIONS for part in (f"[{name}]", *self.sections[name])))


def built_in_bank() -> PhraseBank:
    """The bank that comes with latte: everyday things, materials, colours, textures, scenes."""
    text = (
        files("latte.components.describers").joinpath("phrase_bank.txt").read_text(encoding="utf-8")
    )
    return parse_bank(text, "phrase_bank.txt")


def read_bank(path: Path) -> PhraseBank:
    """A user's own bank. Raises `LatteError` with file and line for what cannot be used."""
    try:
        return parse_bank(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise LatteError(
            f"the phrase bank cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise LatteError("the phrase bank is not UTF-8 text", where=str(path)) from error


def parse_bank(text: str, source: str) -> PhraseBank:
    """Parse a bank: `[section]` lines, a phrase a line, `#` comments; repeated phrases count once.

    `source` is named in errors.
    """
    sections: dict[str, dict[str, None]] = {name: {} for name in SECTIONS}
    current: str | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = " ".join(raw.split())
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            current = _section(line, f"{source}:{number}")
        elif current is None:
            raise LatteError(
                f"{line!r} stands before the first section",
                where=f"{source}:{number}",
                hint="begin with the line [objects]",
            )
        else:
            sections[current][_phrase(line, f"{source}:{number}")] = None
    if not sections["objects"]:
        raise LatteError("there is no phrase in [objects]", where=source)
    return PhraseBank({name: tuple(phrases) for name, phrases in sections.items()})


def _section(line: str, where: str) -> str:
    name = line.removeprefix("[").removesuffix("]").strip()
    if line == f"[{name}]" and name in SECTIONS:
        return name
    near = get_close_matches(name, SECTIONS, n=1)
    known = ", ".join(f"[{section}]" for section in SECTIONS)
    raise LatteError(
        f"unknown section {line}",
        where=where,
        hint=f"did you mean [{near[0]}]?" if near else f"sections are {known}",
    )


def _phrase(line: str, where: str) -> str:
    if len(line.split()) > LONGEST_PHRASE:
        raise LatteError(
            f"a phrase of more than {LONGEST_PHRASE} words",
            where=where,
            hint="a phrase is a few words; the describer makes the sentence",
        )
    return line


# From the phrases that fit an image to one short English sentence.


_DETERMINERS = ("a", "an", "the", "some", "two", "three", "many", "several")
_SAID_WITH_A = ("uni", "use", "eu", "ewe", "uku", "ufo", "one")
_SAID_WITH_AN = ("hour", "heir", "honest", "x-ray")
_SINGULAR_ENDINGS = ("ss", "us", "is", "as", "lens", "ceros")

# What a sentence that is too long loses first; `objects` always keeps one.
_DROPPED_FIRST = (
    *("textures", "objects", "objects", "objects", "textures"),
    *("scenes", "objects", "materials", "colours"),
)


def sentence(found: Mapping[str, Sequence[str]], words: int) -> str:
    """A sentence of at most `words` words about `found`: phrases by section, the best first.

    "a red metal guitar, like a violin or a cello, smooth and glossy, in a concert hall."
    """
    kept = {section: list(phrases) for section, phrases in found.items()}
    text = _render(kept)
    for section in _DROPPED_FIRST:
        if len(text.split()) <= words:
            break
        if len(kept[section]) > (section == "objects"):
            kept[section].pop()
            text = _render(kept)
    return text


def with_article(phrase: str) -> str:
    """`phrase` with "a" or "an", unless it is a plural or brings its own article."""
    first = phrase.split()[0].lower()
    if first in _DETERMINERS or _is_plural(phrase):
        return phrase
    vowel = first.startswith(_SAID_WITH_AN) or (
        first[0] in "aeiou" and not first.startswith(_SAID_WITH_A)
    )
    return f"{'an' if vowel else 'a'} {phrase}"


def _is_plural(phrase: str) -> bool:
    head = phrase.split(" of ")[0].split()[-1]
    return head.endswith("s") and not head.endswith(_SINGULAR_ENDINGS)


def _render(kept: Mapping[str, Sequence[str]]) -> str:
    name, *similar = kept["objects"]
    parts = [with_article(" ".join([*kept["colours"], *kept["materials"], name]))]
    if similar:
        parts.append("like " + _either([with_article(other) for other in similar]))
    if kept["textures"]:
        parts.append(" and ".join(kept["textures"]))
    return ", ".join([*parts, *kept["scenes"]]) + "."


def _either(phrases: Sequence[str]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last


# A describer without a language model: the frozen CLIP ranks phrases and names the best.


VERSION = 1
"""Count up whenever the same bank and the same features would give another sentence."""

STANDS_OUT = 2.2
"""Standard deviations above its section's mean from which a phrase is worth saying."""


class PhraseDescriber(Describer[PhraseOptions]):
    """Names the phrases of a bank that lie nearest to the frozen CLIP's image feature.

    It does not read prompts: whatever is asked, the answer has the same form, and a prompt's only
    effect is that texts are stored under it. It does not decode images either; a group is
    described by the mean of its images' features, that is by what they have in common. It knows
    nothing that the frozen CLIP does not know, so it is a stand-in where no LMM is at hand.
    """

    def __init__(self, options: PhraseOptions, context: Context) -> None:
        super().__init__(options, context)
        path = options.bank
        self._bank = built_in_bank() if path is None else read_bank(context.path(path))

    @property
    def max_images(self) -> int:
        """As many as a built-in group can have; features are averaged."""
        return 16

    @property
    def batch_size(self) -> int:
        """Requests are cheap, and a batch costs one write to the disk."""
        return 256

    @cached_property
    def fingerprint(self) -> str:
        """The frozen CLIP, the bank's content and the options, whatever the bank's file is."""
        clip = self.context.frozen_clip().fingerprint
        shape = f"words={self.options.words} top={self.options.top}"
        return f"phrases-{VERSION}:{digest(clip, self._bank.digest, shape)}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """One sentence for each request, from its images' features alone."""
        return [self._describe(_mean_feature(request.images)) for request in requests]

    def _describe(self, feature: Tensor) -> str:
        wanted = {"objects": self.options.top, "textures": 2}
        found = {
            section: self._standing_out(section, feature, wanted.get(section, 1))
            for section in self._bank.sections
        }
        return sentence(found, self.options.words)

    def _standing_out(self, section: str, feature: Tensor, at_most: int) -> list[str]:
        phrases = self._bank.sections[section]
        if not phrases:
            return []
        # One image at a time: the bits of a batched product depend on who else is in the batch.
        # Rounded, so that other kernels and machines rarely disagree.
        scores = standard_scores(self._phrase_features[section] @ feature).round(decimals=4)
        best = scores.sort(descending=True, stable=True)
        threshold = standing_out(len(phrases))
        picked = zip(best.values[:at_most].tolist(), best.indices[:at_most].tolist(), strict=True)
        names = [phrases[row] for score, row in picked if score >= threshold]
        return names or ([phrases[int(best.indices[0])]] if section == "objects" else [])

    @cached_property
    def _phrase_features(self) -> Mapping[str, Tensor]:
        """(P, D) by section: unit rows without what all phrases of the section have in common."""
        prompts = _prompts(self._bank)
        return {name: distinctive(self._encode(texts)) for name, texts in prompts.items() if texts}

    def _encode(self, texts: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            return self.context.frozen_clip().encode_texts(texts).float().cpu()


def distinctive(features: Tensor) -> Tensor:
    """(P, D) unit features -> (P, D) unit features at right angles to their mean.

    Without this, phrases near the mean of all texts come first for images of every kind, because
    of what an image has in common with texts as such.
    """
    common = normalize(features.mean(0), dim=0)
    return normalize(features - (features @ common)[:, None] * common, dim=1)


def standard_scores(similarities: Tensor) -> Tensor:
    """(P,) -> (P,): how many standard deviations each lies above the mean of all."""
    deviation = similarities.std(correction=0).clamp_min(1e-6)
    return (similarities - similarities.mean()) / deviation


def standing_out(phrases: int) -> float:
    """The score from which one of so many phrases is said.

    The best of P scores is at most sqrt(P - 1), so a small section needs a lower bar.
    """
    return float(min(STANDS_OUT, 0.5 * (phrases - 1) ** 0.5))


def _mean_feature(images: Sequence[DescribedImage]) -> Tensor:
    features = torch.stack([image.features for image in images]).float()
    return normalize(features.mean(0), dim=0)


def _prompts(bank: PhraseBank) -> dict[str, list[str]]:
    adjectives = ("materials", "colours", "textures")
    texts = {
        name: [f"a photo of {with_article(f'{phrase} thing')}." for phrase in bank.sections[name]]
        for name in adjectives
    }
    texts["objects"] = [f"a photo of {with_article(name)}." for name in bank.sections["objects"]]
    texts["scenes"] = [f"a photo of something {scene}." for scene in bank.sections["scenes"]]
    return texts
