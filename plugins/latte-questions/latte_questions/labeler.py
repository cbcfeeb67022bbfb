"""Labeler that asks a describer to choose between likely classes, and uses the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    Taught,
    TrainingStart,
    self_taught,
)
from latte_questions.interview import DescriberAnswers, Interview
from latte_questions.options import ChoicesOptions

_ANSWERS, _TEXTS = "answers", "texts"


class ChoicesLabeler(JointLabeler[ChoicesOptions]):
    """Labeler that labels all images together (`self_taught`), with a describer's answers.

    It asks the describer once, when the first epoch starts, using the first learner's features.
    An answer counts as much as the describer is reliable; one of a person counts fully. Encoders
    of the recipe are not used.
    """

    stream = "choices"
    interview: ClassVar[type[Interview]] = Interview

    def start(self, start: TrainingStart) -> None:
        """Store the zero-shot classifier and the questions."""
        super().start(start)
        self._answers: DescriberAnswers | None = None
        self._is_done = False
        self._reworded: Tensor | None = None
        budget = 0 if start.questions is None else start.questions.budget
        _refuse_equal_names(start.class_names if budget else ())

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label the images; before that, ask the questions unless they were asked."""
        questions = self.training.questions
        if not self._is_done and questions is not None and len(self.training.class_names) > 1:
            self._ask(questions, features)
        taught = self._fit(features, self._texts(features), self._answers)
        # The classifier gives similarities: latte multiplies them by the logit scale.
        scale = float(self.context.frozen_clip().logit_scale)
        rows, posterior = taught.rows[0] / scale, taught.posterior
        owners = torch.arange(len(rows), device=rows.device)
        return JointLabels(
            posterior.labels[:, 0],
            torch.ones_like(posterior.probabilities[:, 0]),
            Classifier(rows, owners, taught.bias / scale),
            posterior,
        )

    def _ask(self, questions: Questions, images: Tensor) -> None:
        start, texts = self.training, self._texts(images)

        def fit(class_texts: Tensor, answers: DescriberAnswers | None) -> Taught:
            return self._fit(images, class_texts, answers)

        interview = self.interview(
            questions,
            start.class_names,
            images,
            texts,
            self._given(images),
            start.encode_names,
            self.options,
            fit,
        )
        self._answers, self._is_done = interview.answers(), True
        if questions.asked:
            questions.note_reliability(str(interview.record))
            self._note_answers(questions)
        if interview.texts is not texts:
            self._reworded = interview.texts
        questions.close()

    def _note_answers(self, questions: Questions) -> None:
        """Save the answers that count, for later runs."""
        answers = self._answers
        if answers is None:
            questions.note_answers([], [], [])
            return
        rows, classes = answers.rows.tolist(), answers.classes.tolist()
        questions.note_answers(rows, classes, answers.reliabilities.tolist())

    def _texts(self, images: Tensor) -> Tensor:
        texts = self.training.class_features if self._reworded is None else self._reworded
        return texts.to(images)

    def _given(self, images: Tensor) -> Tensor:
        """Return the classes (N,) that a person gave, and -1 elsewhere."""
        given = self.training.corrections
        nobody = torch.full((len(images),), -1, device=images.device)
        return nobody if given is None else given.to(images.device)

    def _fit(self, images: Tensor, texts: Tensor, answers: DescriberAnswers | None) -> Taught:
        given = self._given(images)
        is_given = given >= 0
        given, reliabilities = self._with_earlier(given, images)
        if answers is not None:
            is_new = ~is_given[answers.rows]
            rows = answers.rows[is_new]
            given = given.index_copy(0, rows, answers.classes[is_new])
            reliabilities[rows] = answers.reliabilities[is_new].to(images)
        progress = self.context.progress
        return self_taught(images, texts, given, reliabilities=reliabilities, progress=progress)

    def _with_earlier(self, given: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes (N,) with those of a model in an earlier run, and reliabilities (N,)."""
        certain, earlier = (given >= 0).to(images), self.training.model_answers
        if earlier is None:
            return given, certain
        is_given = given >= 0
        classes, reliabilities = earlier.classes.to(given), earlier.reliabilities.to(images)
        return given.where(is_given, classes), certain.where(is_given, reliabilities)

    @property
    def scale(self) -> float:
        """Factor of the stream's loss: the option `weight`."""
        return self.options.weight

    def state(self) -> dict[str, Tensor]:
        """Return the posteriors, the reworded class texts, and the answers (3, K).

        Each column of the answers has the index of an image, a class and a reliability.
        """
        if not self._is_done:
            return super().state()
        texts = {} if self._reworded is None else {_TEXTS: self._reworded.cpu()}
        answers, packed = self._answers, torch.zeros(3, 0, dtype=torch.float64)
        if answers is not None:
            columns = (answers.rows, answers.classes, answers.reliabilities)
            packed = torch.stack([column.double().cpu() for column in columns])
        return {**super().state(), **texts, _ANSWERS: packed}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        super().load_state(state)
        self._answers, packed = None, state.get(_ANSWERS)
        self._is_done = packed is not None
        if packed is None:
            return
        images = self.training.image_features
        texts = state.get(_TEXTS)
        self._reworded = None if texts is None else texts.to(images)
        if packed.shape[1]:
            rows, classes, reliabilities = packed.to(images.device)
            self._answers = DescriberAnswers(rows.long(), classes.long(), reliabilities.to(images))


def _refuse_equal_names(names: Sequence[str]) -> None:
    name, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise LatteError(
            f'{count} classes are called "{name}"; the options of a question must differ',
            where="dataset",
            hint="give each class a name of its own",
        )
