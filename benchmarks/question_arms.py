"""Accuracy of answers about a folder of frozen features: a describer's by `choices`, a person's.

Questions to a describer pass through the store and budget of runs.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from latte_benchmarks.folder_cells import Folder
from latte_questions.interview import Interview
from latte_questions.labeler import ChoicesLabeler
from latte_questions.options import ChoicesOptions
from torch import Tensor

from benchmarks.folder_methods import (
    FolderAccuracy,
    FolderLabels,
    accuracy,
    classify,
    context_of,
    zero_shot,
)
from benchmarks.measuring import no_descriptions
from benchmarks.order_problem import AskingProblem, Order
from benchmarks.question_describer import SimulatedDescriber, training_set
from latte.api import LabelerPrototypes
from latte.interfaces import NoOptions, TrainingStart
from latte.report.progress import make_progress
from latte.run.frozen import LEARNER
from latte.run.questions import StoredQuestions
from latte.toolkit.self_taught import self_taught
from latte.train.fit import Method, fit

_OPTIONS = ChoicesOptions()
_ROUND = 10
"""Number of a person's answers after which all images are labelled again."""


class RandomInterview(Interview):
    """Interview about random images."""

    def choose(self, count: int) -> Tensor:
        """Return random images."""
        seed = int(self.is_asked.sum())
        order = torch.randperm(len(self.is_asked), generator=torch.Generator().manual_seed(seed))
        return order[~self.is_asked[order]][:count]


def answered(
    folder: Folder, describer: SimulatedDescriber, budget: int, **how: Any
) -> FolderAccuracy:
    """Return the accuracies after `budget` questions, through the store and budget of runs.

    `how` are arguments of `fitted`.
    """
    with TemporaryDirectory() as path:
        questions = StoredQuestions(
            lambda: describer,
            training_set(folder),
            budget,
            Path(path),
            make_progress(quiet=True),
        )
        accuracy = fitted(folder, questions=questions, **how)
    return FolderAccuracy(accuracy.own, accuracy.unseen, questions.asked)


def fitted(
    folder: Folder,
    interview: type[Interview] = Interview,
    options: ChoicesOptions = _OPTIONS,
    **start: Any,
) -> FolderAccuracy:
    """Return the accuracies of the labeler with these parts of its `TrainingStart`."""
    context = context_of(folder)
    asking = type("AskingLabeler", (ChoicesLabeler,), {"interview": interview})
    labeler = asking(options, context)
    features = folder.own.features
    inputs = (folder.names, folder.texts, features, zero_shot(folder).own, no_descriptions)
    prototypes = LabelerPrototypes(NoOptions(), context)
    method = Method({"choices": labeler}, {LEARNER: prototypes})
    outcome = fit(method, TrainingStart(*inputs, **start))
    test = classify(outcome.classifiers[LEARNER], folder.test.features)
    return accuracy(folder, FolderLabels(outcome.labels, test))


def person(folder: Folder, number: int, order: Order) -> FolderAccuracy:
    """Return the accuracies after a person's true classes of `number` images."""
    truth, zero_shot_labels = folder.own.labels, zero_shot(folder).own
    given, generator = torch.full_like(truth, -1), torch.Generator().manual_seed(0)
    for asked in range(0, number, _ROUND):
        posterior = self_taught(folder.own.features, folder.texts, given).posterior
        problem = AskingProblem(
            folder.own.features,
            posterior,
            zero_shot_labels,
            given >= 0,
            len(folder.names),
            generator,
        )
        rows = order(problem, min(_ROUND, number - asked))
        given[rows] = truth[rows]
    return fitted(folder, corrections=given)
