"""DCLIP and CuPL: class texts that a language model writes, asked once per class.

Sources: Menon, Vondrick: *Visual Classification via Description from Large Language Models*, ICLR
2023, arXiv 2210.07183, section 2 (`dclip`). Pratt, Covert, Liu, Farhadi: *What does a platypus look
like? Generating customized prompts for zero-shot image classification*, ICCV 2023, arXiv
2209.03320, section 3 (`cupl`).

    dclip: D(c) visual features of c;  score = mean over d in D(c) of x · f("{c}, which has d")
    cupl:  S(c) sentences about c;     score = x · unit(mean over s in S(c) of f(s))

The describer is asked without an image. A class without an answer keeps its text.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import DescribeRequest, Options
from latte_field.texts import TextsLabeler

_MARK = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s*")
_BETWEEN = re.compile(r"[;\n]")
_TEXTS = "texts"


class AskedOptions(Options):
    """Options of the labelers `dclip` and `cupl`."""

    describer: str = Field(default="", description="the describer to ask; empty: the first one")

    @property
    def questions_to(self) -> str:
        """Name of the describer."""
        return self.describer


class AskedTextsLabeler(TextsLabeler[AskedOptions]):
    """Labeler by class texts of a describer's answers."""

    prompts: ClassVar[tuple[str, ...]]

    @abstractmethod
    def class_text(self, name: str, answers: Sequence[str]) -> Tensor:
        """Return the text (D,) of a class from the answers about it, at least one."""

    def class_texts(self, texts: Tensor) -> Tensor:
        """Return the texts of the classes with answers, and `texts` of the others."""
        questions, names = self.training.questions, self.training.class_names
        if questions is None:
            return texts
        requests = [
            DescribeRequest((), prompt.format(name)) for name in names for prompt in self.prompts
        ]
        answers, count = questions.ask("class texts", requests), len(self.prompts)
        questions.close()
        rows = texts.clone()
        for label, name in enumerate(names):
            about = [answer for answer in answers[label * count : (label + 1) * count] if answer]
            if about:
                rows[label] = self.class_text(name, about).to(texts)
        return rows

    def state(self) -> dict[str, Tensor]:
        """Return the labels, and the class texts (C, D)."""
        texts = {} if self._texts is None else {_TEXTS: self._texts.cpu().clone()}
        return {**super().state(), **texts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        super().load_state(state)
        self._texts = state.get(_TEXTS)


class DclipLabeler(AskedTextsLabeler):
    """Labeler by the mean similarity with the visual features of a class."""

    stream = "dclip"
    prompts = (
        "List useful visual features that tell a {} from other things in a photo, by lines.",
    )

    def class_text(self, name: str, answers: Sequence[str]) -> Tensor:
        """Return the mean feature of the class with each feature in the answer."""
        items = (_MARK.sub("", item).strip(" .") for item in _BETWEEN.split(answers[0]))
        ends = [item for item in items if item] or answers
        return self.training.encode_names([f"{name}, which has {end}" for end in ends]).mean(dim=0)


class CuplLabeler(AskedTextsLabeler):
    """Labeler by the mean of sentences about a class."""

    stream = "cupl"
    prompts = (
        "Describe in one sentence what a {} looks like.",
        "How can you identify a {} in a photo? Answer in one sentence.",
        "Describe a photo of a {} in one sentence.",
    )

    def class_text(self, name: str, answers: Sequence[str]) -> Tensor:
        """Return the unit mean feature of the answers."""
        features = self.context.frozen_clip().encode_texts(answers)
        return normalize(features.detach().mean(dim=0), dim=0)
