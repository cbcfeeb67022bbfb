"""Other wordings of classes, which a describer writes without images.

Questions with the purpose `class-names` ask for other names of a class. Those with the purpose
`differences` ask how two classes differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor
from torch.nn.functional import normalize

from latte.api import DescribeRequest, Questions

NAMES, DIFFERENCES = "class-names", "differences"
_SHARE = 0.1
"""Largest share of the remaining questions that names, and then differences, may use."""
_NAMES = 3
"""Largest number of other names that are used for a class."""
_PAIRS = 24
"""Largest number of pairs of classes to ask about."""
_FEWEST = 3
"""Smallest number of images that are uncertain between two classes, for a question about this
pair."""
_LEAST = 0.1
"""An image is uncertain between its two most probable classes if the second one is more probable
than this."""
_MOST_WORDS = 6
"""Largest number of words in a name."""
_MOST_CHARACTERS = 200
"""Largest number of characters of a description."""
_MARK = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,2}[.):])?\s*")
"""Bullet or number at the start of a line."""

Encode = Callable[[Sequence[str]], Tensor]
"""Function that returns the unit features (K, D) of K names or descriptions."""
WordingsByClass = Mapping[int, Sequence[str]]
"""Other wordings (names or descriptions) by class, for each class that has any."""


def names_prompt(name: str) -> str:
    """Return the question about other names of a class."""
    return (
        f'Write up to {_NAMES} other common names of "{name}", as people who see it in a photo '
        "call it. Write one name per line, and nothing else."
    )


def differences_prompt(name: str, rival: str) -> str:
    """Return the question about what distinguishes two classes."""
    return (
        f'How can one distinguish "{name}" and "{rival}" in a photo? Write two lines, and nothing '
        f'else: first a few words about how "{name}" looks, then a few words about how "{rival}" '
        "looks."
    )


def read_lines(text: str) -> list[str]:
    """Return the lines of an answer without bullets, numbers, quotes and full stops."""
    lines = [_MARK.sub("", line).strip(" \t\"'“”.,;") for line in text.splitlines()]
    return [" ".join(line.split()) for line in lines if line]


def read_names(text: str, names: Sequence[str]) -> list[str]:
    """Return the names in an answer that are short and differ from the C class names."""
    class_names = {name.casefold() for name in names}
    further_names = []
    for line in read_lines(text):
        if line.casefold() not in class_names and len(line.split()) <= _MOST_WORDS:
            class_names.add(line.casefold())
            further_names.append(line)
    return further_names[:_NAMES]


def read_differences(text: str, pair: Sequence[str]) -> list[str]:
    """Return the descriptions of both classes; empty unless `text` is two different short lines."""
    lines = read_lines(text)
    if len(lines) != 2 or len({*lines}) != 2 or max(map(len, lines)) > _MOST_CHARACTERS:
        return []
    return [
        f"{name}, {line.removeprefix(name).lstrip(' :,-')}"
        for name, line in zip(pair, lines, strict=True)
    ]


def ask_names(questions: Questions, names: Sequence[str], posteriors: Tensor) -> WordingsByClass:
    """Ask for other names of the classes that are most uncertain in `posteriors` (N, C)."""
    doubt = (posteriors * (1 - posteriors)).sum(dim=0)
    order = doubt.argsort(descending=True, stable=True)[: _most(questions)].tolist()
    requests = [DescribeRequest((), names_prompt(names[label])) for label in order]
    answers = _ask(questions, NAMES, requests)
    return {
        label: further_names
        for label, text in zip(order, answers, strict=True)
        if (further_names := read_names(text or "", names))
    }


def ask_differences(
    questions: Questions, names: Sequence[str], posteriors: Tensor
) -> WordingsByClass:
    """Ask what distinguishes the classes that `posteriors` (N, C) confuse.

    Returns the texts by class.
    """
    pairs = confused_pairs(posteriors)[: _most(questions)]
    name_pairs = [(names[label], names[rival]) for label, rival in pairs]
    requests = [DescribeRequest((), differences_prompt(*pair)) for pair in name_pairs]
    wordings: dict[int, list[str]] = {}
    answers = _ask(questions, DIFFERENCES, requests)
    for pair, texts, text in zip(pairs, name_pairs, answers, strict=True):
        for label, line in zip(pair, read_differences(text or "", texts), strict=False):
            wordings.setdefault(label, []).append(line)
    return wordings


def mean_texts(texts: Tensor, written: WordingsByClass, encode: Encode) -> Tensor:
    """Return, per class, the unit mean (C, D) of its class text and its other wordings."""
    mixed_texts = texts.clone()
    for label, wordings in written.items():
        mixed_texts[label] = normalize(texts[label] + encode(wordings).to(texts).sum(dim=0), dim=0)
    return mixed_texts


def confused_pairs(posteriors: Tensor) -> list[tuple[int, int]]:
    """Return the pairs of the two likeliest classes of uncertain images, most frequent first."""
    best = posteriors.topk(2, dim=1)
    doubtful = best.values[:, 1] > _LEAST
    pairs = Counter(map(tuple, best.indices[doubtful].sort(dim=1).values.tolist()))
    return [
        (label, confused_label)
        for (label, confused_label), count in pairs.most_common(_PAIRS)
        if count >= _FEWEST
    ]


def _most(questions: Questions) -> int:
    return int(_SHARE * (questions.budget - questions.asked))


def _ask(
    questions: Questions, purpose: str, requests: Sequence[DescribeRequest]
) -> list[str | None]:
    return questions.ask(purpose, requests) if requests else []
