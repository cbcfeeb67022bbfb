"""Describer `phrases`: joins the phrases that the frozen CLIP ranks highest into a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import (
    Context,
    Describer,
    DescribeRequest,
    LatteError,
    Options,
    Refusal,
    did_you_mean,
    digest,
)
from latte.api.sources import read_text

VERSION = 1
"""Part of the fingerprint; increase it if a code change gives other sentences for equal inputs."""

STANDS_OUT = 2.2
"""A phrase is used if its similarity to the image has at least this z-score within its section."""


class PhraseOptions(Options):
    """Options of describer `phrases`: the file of phrases, and the length of the sentences."""

    bank: Path | None = Field(
        default=None,
        description="text file with the sections [objects], [materials], [colours], [textures], "
        "[scenes] and one phrase per line; none: the built-in bank",
    )
    words: int = Field(default=20, ge=8, le=50, description="longest sentence, in words")
    top: int = Field(default=3, ge=1, le=5, description="largest number of objects in a sentence")


class PhraseDescriber(Describer[PhraseOptions]):
    """Describer without a language model: writes the phrases nearest to the image feature.

    The prompt does not change the text. Images are not decoded; a group is described by the mean of
    its image features. Use it only if no LMM (large multimodal model) is available.
    """

    def __init__(self, options: PhraseOptions, context: Context) -> None:
        super().__init__(options, context)
        path = options.bank
        self._bank = built_in_bank() if path is None else read_bank(context.path(path))

    @property
    def max_images(self) -> int:
        """Largest number of images per group; the features of a group's images are averaged."""
        return 16

    @property
    def batch_size(self) -> int:
        """Largest number of requests per batch; each batch is one write to the disk."""
        return 256

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the frozen CLIP, the phrases and the options, on which the texts depend."""
        clip = self.context.frozen_clip().fingerprint
        shape = f"words={self.options.words} top={self.options.top}"
        return f"phrases-{VERSION}:{digest(clip, self._bank.digest, shape)}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str | Refusal]:
        """Return one sentence per request; refuse a request without images."""
        return [
            self._describe(torch.stack([image.features for image in request.images]).float())
            if request.images
            else Refusal("it needs images")
            for request in requests
        ]

    def _describe(self, features: Tensor) -> str:
        feature = normalize(features.mean(0), dim=0)
        phrase_counts = {"objects": self.options.top, "textures": 2}
        best_phrases = {
            section: self._standing_out(section, feature, phrase_counts.get(section, 1))
            for section in self._bank.sections
        }
        return sentence(best_phrases, self.options.words)

    def _standing_out(self, section: str, feature: Tensor, at_most: int) -> list[str]:
        phrases = self._bank.sections[section]
        if not phrases:
            return []
        # Score one image at a time, because rounding in a batched product depends on the batch.
        # Round the scores, so that kernels and machines rarely rank phrases differently.
        scores = standard_scores(self._phrase_features[section] @ feature).round(decimals=4)
        ranked_scores = scores.sort(descending=True, stable=True)
        threshold = threshold_score(len(phrases))
        top_scores = zip(
            ranked_scores.values[:at_most].tolist(),
            ranked_scores.indices[:at_most].tolist(),
            strict=True,
        )
        names = [phrases[row] for score, row in top_scores if score >= threshold]
        return names or ([phrases[int(ranked_scores.indices[0])]] if section == "objects" else [])

    @cached_property
    def _phrase_features(self) -> Mapping[str, Tensor]:
        """Text features (P, D) of each section's P phrases, as `distinctive` returns them."""
        clip = self.context.frozen_clip()
        prompts = {name: texts for name, texts in _prompts(self._bank).items() if texts}
        with torch.inference_mode():
            section_features = {name: clip.encode_texts(texts) for name, texts in prompts.items()}
        return {
            name: distinctive(features.float().cpu()) for name, features in section_features.items()
        }


def distinctive(features: Tensor) -> Tensor:
    """Return unit features (P, D) of phrases without their component along the mean feature.

    With this component, phrases near the mean of all phrases would rank first for every image.
    """
    common_direction = normalize(features.mean(0), dim=0)
    return normalize(features - (features @ common_direction)[:, None] * common_direction, dim=1)


def standard_scores(similarities: Tensor) -> Tensor:
    """Return similarities (P,) as z-scores: the number of standard deviations above the mean."""
    standard_deviation = similarities.std(correction=0).clamp_min(1e-6)
    return (similarities - similarities.mean()) / standard_deviation


def threshold_score(phrases: int) -> float:
    """Return the threshold for z-scores in a section of `phrases` phrases.

    The largest of n z-scores is at most sqrt(n - 1), so small sections need a lower threshold.
    """
    return float(min(STANDS_OUT, 0.5 * (phrases - 1) ** 0.5))


def _prompts(bank: PhraseBank) -> dict[str, list[str]]:
    texts = {
        name: [f"a photo of {with_article(f'{phrase} thing')}." for phrase in bank.sections[name]]
        for name in ("materials", "colours", "textures")
    }
    texts["objects"] = [f"a photo of {with_article(name)}." for name in bank.sections["objects"]]
    texts["scenes"] = [f"a photo of something {scene}." for scene in bank.sections["scenes"]]
    return texts


SECTIONS = ("objects", "materials", "colours", "textures", "scenes")

LONGEST_PHRASE = 7
"""Largest number of words per phrase, so that a phrase with article fits into any sentence."""


@dataclass(frozen=True)
class PhraseBank:
    """Phrases by section, in the order of the file; only the section `objects` is required."""

    sections: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """Digest of phrases, sections and their order, without comments."""
        return digest(*(part for name in SECTIONS for part in (f"[{name}]", *self.sections[name])))


def built_in_bank() -> PhraseBank:
    """Return the built-in phrases: everyday objects, materials, colours, textures and scenes."""
    text = files("latte.components").joinpath("phrase_bank.txt").read_text(encoding="utf-8")
    return parse_bank(text, "phrase_bank.txt")


def read_bank(path: Path) -> PhraseBank:
    """Read a user's file of phrases. Raises `LatteError` with the line of invalid content."""
    return parse_bank(read_text(path), str(path))


def parse_bank(text: str, source: str) -> PhraseBank:
    """Parse `[section]` lines, one phrase per line, and `#` comments; ignore repeated phrases.

    Raises `LatteError` with `source` and line number for invalid content.
    """
    sections: dict[str, dict[str, None]] = {name: {} for name in SECTIONS}
    section: str | None = None
    for number, raw_line in enumerate(text.splitlines(), 1):
        line = " ".join(raw_line.split())
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = _section(line, f"{source}:{number}")
        elif section is None:
            raise LatteError(
                f"{line!r} stands before the first section",
                where=f"{source}:{number}",
                hint="begin with the line [objects]",
            )
        else:
            if len(line.split()) > LONGEST_PHRASE:
                raise LatteError(
                    f"a phrase of more than {LONGEST_PHRASE} words",
                    where=f"{source}:{number}",
                    hint="a phrase is a few words; the describer makes the sentence",
                )
            sections[section][line] = None
    if not sections["objects"]:
        raise LatteError("there is no phrase in [objects]", where=source)
    return PhraseBank({name: tuple(phrases) for name, phrases in sections.items()})


def _section(line: str, where: str) -> str:
    name = line.removeprefix("[").removesuffix("]").strip()
    if line == f"[{name}]" and name in SECTIONS:
        return name
    section_lines = [f"[{section}]" for section in SECTIONS]
    raise LatteError(
        f"unknown section {line}",
        where=where,
        hint=did_you_mean(line, section_lines) or f"sections are {', '.join(section_lines)}",
    )


_DETERMINERS = ("a", "an", "the", "some", "two", "three", "many", "several")

_TAKES_A = ("uni", "use", "eu", "ewe", "uku", "ufo", "one")

_TAKES_AN = ("hour", "heir", "honest", "x-ray")

_SINGULAR_ENDINGS = ("ss", "us", "is", "as", "lens", "ceros")

# If the sentence is too long, sections lose phrases in this order; one object always stays.
_DROPPED_FIRST = (
    *("textures", "objects", "objects", "objects", "textures"),
    *("scenes", "objects", "materials", "colours"),
)


def sentence(best_phrases: Mapping[str, Sequence[str]], words: int) -> str:
    """Return a sentence of at most `words` words from the best phrases of each section.

    For example: "a red metal guitar, like a violin or a cello, smooth, in a concert hall."
    """
    remaining_phrases = {section: list(phrases) for section, phrases in best_phrases.items()}
    text = _render(remaining_phrases)
    for section in _DROPPED_FIRST:
        if len(text.split()) <= words:
            break
        if len(remaining_phrases[section]) > (section == "objects"):
            remaining_phrases[section].pop()
            text = _render(remaining_phrases)
    return text


def with_article(phrase: str) -> str:
    """Return `phrase` with "a" or "an", unless it is a plural or has a determiner."""
    first_word, head = phrase.split()[0].lower(), phrase.split(" of ")[0].split()[-1]
    is_plural = head.endswith("s") and not head.endswith(_SINGULAR_ENDINGS)
    if first_word in _DETERMINERS or is_plural:
        return phrase
    takes_an = first_word.startswith(_TAKES_AN) or (
        first_word[0] in "aeiou" and not first_word.startswith(_TAKES_A)
    )
    return f"{'an' if takes_an else 'a'} {phrase}"


def _render(phrases: Mapping[str, Sequence[str]]) -> str:
    name, *similar_names = phrases["objects"]
    clauses = [with_article(" ".join([*phrases["colours"], *phrases["materials"], name]))]
    if similar_names:
        clauses.append("like " + _either([with_article(name) for name in similar_names]))
    if phrases["textures"]:
        clauses.append(" and ".join(phrases["textures"]))
    return ", ".join([*clauses, *phrases["scenes"]]) + "."


def _either(phrases: Sequence[str]) -> str:
    *earlier_phrases, last_phrase = phrases
    return f"{', '.join(earlier_phrases)} or {last_phrase}" if earlier_phrases else last_phrase
