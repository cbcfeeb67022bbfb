"""Labeler that asks a describer to choose between likely classes, and uses the answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from latte.api import (
    Classifier,
    JointLabeler,
    JointLabels,
    LatteError,
    PrototypeAggregator,
    Questions,
    TrainingStart,
)
from latte_questions.interview import ChoicesOptions, Interview
from latte_questions.mixture import Mixture, fit_mixture

_EVIDENCE, _TEXTS = "evidence", "texts"
FEWEST_QUESTIONS = 30
"""Smallest allowed budget, except 0: with fewer answers, a describer that guesses may seem
reliable."""


class ChoicesLabeler(JointLabeler[ChoicesOptions]):
    """Labeler that fits a Gaussian mixture to all images, with a describer's answers.

    It asks the describer once, when the first epoch starts, using the first learner's features.
    Encoders of the recipe are not used.
    """

    stream = "choices"
    interview: ClassVar[type[Interview]] = Interview

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the questions."""
        super().start(start)
        self._evidence: Tensor | None = None
        self._reworded: Tensor | None = None
        budget = 0 if start.questions is None else start.questions.budget
        if 0 < budget < FEWEST_QUESTIONS:
            raise LatteError(
                f"the budget is {budget} questions; fewer than {FEWEST_QUESTIONS} do not show "
                "whether a describer is right",
                where="budget",
                hint=f"allow {FEWEST_QUESTIONS} questions or more, or write budget: 0 to ask none",
            )

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label the images by a mixture; before that, ask the questions unless they were asked."""
        questions = self.training.questions
        if self._evidence is None and questions is not None and len(self.training.class_names) > 1:
            self._ask(questions, features)
        counts = self._evidence is not None and bool(self._evidence.any())
        texts = self._texts(features)
        mixture = self._fit(features, texts, self._evidence if counts else None)
        # The classifier gives similarities: latte multiplies them by the logit scale.
        scale = self._scale(features)
        owners = torch.arange(len(texts), device=texts.device)
        classifier = Classifier(texts + mixture.rows / scale, owners, mixture.bias / scale)
        return JointLabels.from_probabilities(mixture.posteriors, classifier)

    def _ask(self, questions: Questions, images: Tensor) -> None:
        start, texts = self.training, self._texts(images)

        def fit(class_texts: Tensor, evidence: Tensor | None) -> Mixture:
            return self._fit(images, class_texts, evidence)

        interview = self.interview(
            questions,
            start.class_names,
            images,
            start.zero_shot_labels,
            texts,
            start.encode_names,
            self.options,
            fit,
        )
        heard = interview.evidence()
        if questions.asked:
            questions.note_reliability(str(interview.record))
        # Zeros mean that no answer counts; without them later epochs would ask again.
        self._evidence = images.new_zeros(len(images), len(texts)) if heard is None else heard
        if interview.texts is not texts:
            # The expected gain was not calibrated for runs whose class texts change.
            self._reworded = interview.texts
        elif (gain := interview.expected_gain(heard)) is not None:
            questions.note_gain(gain)
        questions.close()

    def _texts(self, images: Tensor) -> Tensor:
        texts = self.training.class_features if self._reworded is None else self._reworded
        return texts.to(images)

    def _scale(self, images: Tensor) -> Tensor:
        return self.context.frozen_clip().logit_scale.to(images)

    def _fit(self, images: Tensor, texts: Tensor, evidence: Tensor | None) -> Mixture:
        scale, corrections = float(self._scale(images)), self.training.corrections
        return fit_mixture(images, texts, scale, self.options, corrections, evidence)

    @property
    def scale(self) -> float:
        """Factor of the stream's loss: the option `weight`."""
        return self.options.weight

    def state(self) -> dict[str, Tensor]:
        """Return the posteriors, the reworded class texts, and the evidence (3, 1 + K).

        The first column of the evidence has N and C. Each of the K other columns has the index of
        an image, a class and a logit.
        """
        if self._evidence is None:
            return super().state()
        texts = {} if self._reworded is None else {_TEXTS: self._reworded.cpu()}
        rows, classes = self._evidence.nonzero(as_tuple=True)
        values = self._evidence[rows, classes].double()
        shape = values.new_tensor([[len(self._evidence)], [self._evidence.shape[1]], [0]])
        packed = torch.cat([shape, torch.stack([rows.double(), classes.double(), values])], dim=1)
        return {**super().state(), **texts, _EVIDENCE: packed.cpu()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        super().load_state(state)
        if (packed := state.get(_EVIDENCE)) is None:
            self._evidence = None
            return
        images = self.training.image_features
        texts = state.get(_TEXTS)
        self._reworded = None if texts is None else texts.to(images)
        rows, classes, values = packed[:, 1:]
        self._evidence = images.new_zeros(int(packed[0, 0]), int(packed[1, 0]))
        self._evidence[rows.long(), classes.long()] = values.to(images)
