"""Other wordings of classes: names and differences, which a describer writes without images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import DescribeRequest, Questions

NAMES, DIFFERENCES = "class-names", "differences"
import os
_SHARE = float(os.environ.get("SHARE","0.25"))
"""Largest share of the questions that are left, for each of the two purposes."""
_NAMES = 3
"""Largest number of other names of a class."""
_PAIRS = 24
"""Largest number of pairs of classes."""
_FEWEST = 3
"""Smallest number of images that are likely to show either class of a pair."""
_LEAST = 0.1
"""Smallest probability of the second class of an image that is doubtful between two classes."""
_MOST_WORDS = 6
"""Largest number of words in a name."""
_MOST_CHARACTERS = 200
"""Longest description."""
_MARK = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):])?\s*")
"""Bullet or number at the start of a line."""

Encode = Callable[[Sequence[str]], Tensor]


def names_prompt(name: str) -> str:
    """Return the question about other names of a class."""
    return (
        f'Write up to {_NAMES} other common names of "{name}", as people who see it in a photo '
        "call it. Write one name per line, and nothing else."
    )


def differences_prompt(one: str, other: str) -> str:
    """Return the question about what distinguishes two classes."""
    return (
        f'How can one distinguish "{one}" and "{other}" in a photo? Write two lines, and nothing '
        f'else: first a few words about how "{one}" looks, then a few words about how "{other}" '
        "looks."
    )


def read_lines(text: str) -> list[str]:
    """Return the lines of an answer without bullets, numbers, quotes and full stops."""
    lines = [_MARK.sub("", line).strip(" \t\"'“”.,;") for line in text.splitlines()]
    return [" ".join(line.split()) for line in lines if line]


def read_names(text: str, names: Sequence[str]) -> list[str]:
    """Return the names in an answer that are short and differ from the C class names."""
    known = {one.casefold() for one in names}
    found = []
    for line in read_lines(text):
        if line.casefold() not in known and len(line.split()) <= _MOST_WORDS:
            known.add(line.casefold())
            found.append(line)
    return found[:_NAMES]


def read_differences(text: str, pair: Sequence[str]) -> list[str]:
    """Return the descriptions of both classes; none unless the answer has two different lines."""
    lines = read_lines(text)
    if len(lines) != 2 or len({*lines}) != 2 or max(map(len, lines)) > _MOST_CHARACTERS:
        return []
    return [
        f"{name}, {line.removeprefix(name).lstrip(' :,-')}"
        for name, line in zip(pair, lines, strict=True)
    ]


@dataclass
class Wordings:
    """Other wordings of classes from a describer, for class texts that fit the images better.

    Args:
        questions: asks within the budget.
        names: C class names.
        texts: (C, D) unit class texts.
        encode: returns the unit features of names and descriptions.
    """

    questions: Questions
    names: Sequence[str]
    texts: Tensor
    encode: Encode
    written: dict[int, list[str]] = field(default_factory=dict)
    """Wordings of each class that has any."""

    def ask_names(self, posteriors: Tensor) -> None:
        """Ask for other names of the classes that the most doubtful images may show."""
        doubt = (posteriors * (1 - posteriors)).sum(dim=0)
        order = doubt.argsort(descending=True, stable=True)[: self._questions_left()].tolist()
        requests = [DescribeRequest((), names_prompt(self.names[label])) for label in order]
        for label, text in zip(order, self._ask(NAMES, requests), strict=True):
            self._add(label, read_names(text or "", self.names))

    def ask_differences(self, posteriors: Tensor) -> None:
        """Ask what distinguishes the classes between which most images are doubtful."""
        pairs = confused_pairs(posteriors)[: self._questions_left()]
        named = [(self.names[one], self.names[other]) for one, other in pairs]
        requests = [DescribeRequest((), differences_prompt(*pair)) for pair in named]
        for pair, texts, text in zip(pairs, named, self._ask(DIFFERENCES, requests), strict=True):
            for label, line in zip(pair, read_differences(text or "", texts), strict=False):
                self._add(label, [line])

    def fitting(self, fits: Callable[[int, Tensor], bool]) -> Tensor:
        """Return class texts (C, D): the mean of each class's text and its wordings that fit.

        `fits` judges the mean of a class's text and one wording. A class without wordings that fit
        keeps its text.
        """
        texts = self.texts.clone()
        for label, written in self.written.items():
            own = texts[label]
            features = self.encode(written).to(own)
            accepted = [one for one in features if fits(label, normalize(own + one, dim=0))]
            if accepted:
                texts[label] = normalize(own + torch.stack(accepted).sum(dim=0), dim=0)
        return texts

    def _questions_left(self) -> int:
        return int(_SHARE * (self.questions.budget - self.questions.asked))

    def _ask(self, purpose: str, requests: Sequence[DescribeRequest]) -> list[str | None]:
        return self.questions.ask(purpose, requests) if requests else []

    def _add(self, label: int, texts: Sequence[str]) -> None:
        if texts:
            self.written[label] = [*dict.fromkeys([*self.written.get(label, []), *texts])]


def confused_pairs(posteriors: Tensor) -> list[tuple[int, int]]:
    """Return the pairs of classes that are the two most probable ones of the most images."""
    best = posteriors.topk(2, dim=1)
    doubtful = best.values[:, 1] > _LEAST
    pairs = Counter(map(tuple, best.indices[doubtful].sort(dim=1).values.tolist()))
    return [(one, other) for (one, other), count in pairs.most_common(_PAIRS) if count >= _FEWEST]
