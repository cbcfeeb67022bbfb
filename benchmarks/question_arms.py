"""Accuracy of the labeler `choices` on a folder of frozen features.

Questions pass through the store and budget of runs.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latte_benchmarks.folder_cells import Folder
from latte_questions.interview import ChoicesOptions, Interview
from latte_questions.labeler import ChoicesLabeler

from benchmarks.folder_methods import (
    FolderAccuracy,
    FolderLabels,
    accuracy,
    classify,
    context_of,
    zero_shot,
)
from benchmarks.measuring import no_descriptions
from benchmarks.question_describer import SimulatedDescriber, training_set
from latte.api import LabelerPrototypes
from latte.interfaces import NoOptions, TrainingStart
from latte.report.progress import make_progress
from latte.run.frozen import LEARNER
from latte.run.questions import StoredQuestions
from latte.train.fit import Method, fit

_OPTIONS = ChoicesOptions()


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


def every_question(folder: Folder) -> int:
    """Return a budget for all questions about the images of `folder`."""
    return 2 * len(folder.own) + 2 * len(folder.names) + 8
