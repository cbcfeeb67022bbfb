"""Accuracy of the labeler `choices` with other names of classes and with differences.

The describer is that of `questions`, which also writes wordings from `names.yaml` of this folder,
one by one good with probability p. With p `chance`, half of the wordings are poor ones, and half
are good ones of another class. The text tower is that of the CLIP, so the effect of a wording is
real.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from latte_questions.labeler import FEWEST_QUESTIONS
from latte_questions.options import ChoicesOptions
from latte_questions.wordings import Encode, differences_prompt, mean_texts, names_prompt
from torch import Tensor

from benchmarks.folder_cells import Folder, cells_called, drawn_folders
from benchmarks.folder_methods import Accuracy
from benchmarks.folder_sets import TEMPLATE, load_clip, load_sets, set_parser
from benchmarks.measuring import say, table, table_row
from benchmarks.question_arms import answered, fitted
from benchmarks.question_describer import CHANCE, SimulatedDescriber, right_of
from latte.backbone.encode import ClassTexts, encode_class_texts
from latte.interfaces import DescribeRequest
from latte.registry.registry import load_registry

_FILE = Path(__file__).with_name("names.yaml")
_ARMS = {
    "choices": ChoicesOptions(),
    "names": ChoicesOptions(names=True),
    "differences": ChoicesOptions(differences=True),
    "both": ChoicesOptions(names=True, differences=True),
}
Wordings = Mapping[str, Mapping[str, Any]]
"""For each class: lists `good` and `poor`, and the text `looks`."""


class NamingDescriber(SimulatedDescriber):
    """Simulated describer that also writes names and differences of a set's classes."""

    def __init__(self, folder: Folder, wordings: Wordings, right: float | None, seed: int) -> None:
        super().__init__(folder, right, seed)
        self._written: dict[str, Callable[[], list[str]]] = {}
        for name in folder.names:
            self._written[names_prompt(name)] = lambda name=name: self._names(wordings, name)
            for other in folder.names:
                prompt = differences_prompt(name, other)
                self._written[prompt] = lambda pair=(name, other): self._looks(wordings, pair)

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return the wordings that the request asks for, one per line."""
        return ["\n".join(self._written[one.prompt]()) for one in requests]

    def _names(self, wordings: Wordings, name: str) -> list[str]:
        written = []
        for place, good in enumerate(wordings[name]["good"]):
            right, kind, other, _ = self.draws("names", name, str(place))
            if right < (self.right or 0):
                written.append(good)
            elif kind < 0.5:
                written.append(wordings[name]["poor"][place])
            else:
                written.append(wordings[_other(wordings, other)]["good"][place])
        return written

    def _looks(self, wordings: Wordings, pair: tuple[str, str]) -> list[str]:
        own = [self.draws("looks", name, *pair) for name in pair]
        return [
            wordings[name if right < (self.right or 0) else _other(wordings, other)]["looks"]
            for name, (right, _, other, _) in zip(pair, own, strict=True)
        ]


def _other(wordings: Wordings, chance: float) -> str:
    return [*wordings][int(chance * len(wordings))]


def main(arguments: Sequence[str]) -> None:
    """Draw folders, ask, fit, and print. Raises `LatteError` for a mistake in the arguments."""
    options = _arguments(arguments)
    loaded = load_sets(options)
    clip = load_clip(options.model, load_registry())

    def encode(names: Sequence[str]) -> Tensor:
        return encode_class_texts(clip, ClassTexts.of([TEMPLATE], [(name,) for name in names]))

    wordings = yaml.safe_load(_FILE.read_text())
    (cell,) = cells_called(["all names"])
    for name, share in product(options.right, options.shares):
        say(f"\np = {name}, {100 * share:g} %: own / unseen (lowest gain over choices)")
        say(table(["set", "no questions", "texts", *_ARMS]))
        for whole, folders in drawn_folders(loaded, cell, options.seeds):
            found = []
            for seed, one in enumerate(folders):
                describer = NamingDescriber(one, wordings[whole.source], right_of(name), seed)
                found.append(_arms(one, describer, share, encode))
            say(table_row([whole.name, *_cells(found)]))


def _arms(
    folder: Folder, describer: NamingDescriber, share: float, encode: Encode
) -> dict[str, Accuracy]:
    """Return the accuracies of all arms; the arm `texts` takes all names and asks nothing else."""
    budget = max(FEWEST_QUESTIONS, int(2 * share * len(folder.own)))
    asked = describer.describe([DescribeRequest((), names_prompt(name)) for name in folder.names])
    written = {label: text.split("\n") for label, text in enumerate(asked)}
    found = {
        "no questions": fitted(folder),
        "texts": fitted(replace(folder, texts=mean_texts(folder.texts, written, encode))),
    }
    for name, options in _ARMS.items():
        found[name] = answered(folder, describer, budget, options=options, encode_names=encode)
    return found


def _cells(found: Sequence[Mapping[str, Accuracy]]) -> Iterator[str]:
    for arm in found[0]:
        lowest = min(one[arm].own - one["choices"].own for one in found)
        yield f"{Accuracy.mean([one[arm] for one in found])} ({lowest:+.1f})"


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = set_parser("names", __doc__)
    add = parser.add_argument
    add("--model", default="plugin:tiny", help="a CLIP (%(default)s)")
    add("--seeds", type=int, default=3, help="draws of each folder (%(default)s)")
    add("--right", nargs="+", default=[CHANCE, "0.5", "0.8"], help="values of p")
    add("--shares", nargs="+", type=float, default=[0.05], help="of images asked about")
    return parser.parse_args(arguments)
