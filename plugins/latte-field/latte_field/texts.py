"""Base class of the methods that replace the class texts."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from latte.api import OptionsT, TrainingStart
from latte_field.base import FieldFit, FieldLabeler, FieldProblem


class TextsLabeler(FieldLabeler[OptionsT]):
    """Labeler by zero-shot CLIP with other class texts, which are computed once per run.

    A subclass implements `class_texts`.
    """

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the other inputs."""
        super().start(start)
        self._texts: Tensor | None = None

    @abstractmethod
    def class_texts(self, texts: Tensor) -> Tensor:
        """Return the method's class texts (C, D), from those of zero-shot CLIP (C, D)."""

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the probabilities by the class texts, and these as classifier."""
        if self._texts is None:
            self._texts = self.class_texts(problem.texts)
        rows = problem.scale * self._texts.to(problem.texts)
        return FieldFit((problem.images @ rows.T).softmax(dim=1), problem.linear(rows))
