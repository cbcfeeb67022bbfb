"""A recipe's method and what it starts from; the adapted classifier of a run without steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

from latte.describe.bank import DescriptionBank
from latte.interfaces import Describer, ModelAnswers, Posterior, TrainingStart
from latte.models.adapted import Adapted, Member
from latte.models.zero_shot import ZeroShot
from latte.results.metrics_log import MetricsLog
from latte.run.describing import build_descriptions, spending_of, training_set
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import Images
from latte.run.questions import StoredQuestions
from latte.run.workspace import Workspace, description_folder
from latte.run.zero_shot import encode_names
from latte.train.fit import Fit, Method, fit


def build_method(workspace: Workspace, *, silent: bool = False) -> Method:
    """Build the labelers and prototypes of the recipe. If `silent`, they show no progress."""
    recipe = workspace.recipe
    return Method(
        {choice.label: workspace.build(choice, silent=silent) for choice in recipe.labels},
        {
            learner.name: workspace.build(learner.prototypes, silent=silent)
            for learner in recipe.learners
        },
    )


def note_facts(workspace: Workspace, method: Method) -> None:
    """Add the facts that labelers and prototypes found to the run's record."""
    for choice in workspace.recipe.labels:
        workspace.note_extras(choice, method.labelers[choice.label])
    for learner in workspace.recipe.learners:
        workspace.note_extras(learner.prototypes, method.prototypes[learner.name])


def fit_frozen(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, bank: DescriptionBank
) -> tuple[Adapted, Posterior | None]:
    """Fit the method of a recipe without training steps to the frozen features.

    Returns the adapted classifier, and the posterior (class probabilities of the training images)
    or None if no labeler returns one.
    """
    MetricsLog(workspace.folder.metrics, last_step=0)  # a run without steps has no rows
    for note in workspace.frozen_clip.notes:
        workspace.progress.say(f"train: {note}")
    questions = build_questions(workspace, images, zero_shot)
    method, texts = build_method(workspace), FrozenTexts(workspace, bank)
    try:
        fitted = fit(method, training_start(workspace, images, zero_shot, questions, texts))
    finally:
        if questions is not None:
            questions.close()
    note_facts(workspace, method)
    save_questions(workspace, questions)
    return adapted_of(workspace, fitted, images.class_names), fitted.posterior


def fit_again(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, bank: DescriptionBank
) -> Fit:
    """Fit the method again, in silence and only with stored answers of describers."""
    questions = build_questions(workspace, images, zero_shot, ask=False)
    texts = FrozenTexts(workspace, bank)
    try:
        start = training_start(workspace, images, zero_shot, questions, texts)
        return fit(build_method(workspace, silent=True), start)
    finally:
        if questions is not None:
            questions.close()


def adapted_of(workspace: Workspace, fitted: Fit, class_names: Sequence[str]) -> Adapted:
    """Return the classifier of a fit, with the frozen CLIP and the encoders that it uses."""
    arithmetic, clip = workspace.arithmetic, workspace.frozen_clip
    components = {choice.label: choice.full_name for choice in workspace.recipe.encoders}
    return Adapted(
        tuple(class_names),
        tuple(
            Member(name, workspace.encoders[name], classifier, arithmetic, components[name])
            if name in components
            else Member(name, clip, classifier, arithmetic)
            for name, classifier in fitted.classifiers.items()
        ),
    )


def frozen_start(images: Images, zero_shot: ZeroShot, device: str) -> TrainingStart:
    """Return the frozen features of the images, their zero-shot labels, and given classes.

    The text feature of an image is the feature of its zero-shot class.
    """
    classes, labels = zero_shot.class_features, zero_shot.zero_shot_labels
    answers = images.corrections
    none = None if answers is None else answers.given_none
    return TrainingStart(
        class_names=images.class_names,
        class_features=classes.to(device),
        image_features=zero_shot.clip.training.to(device),
        zero_shot_labels=labels.to(device),
        description_features=lambda name: classes[labels].to(device),
        corrections=None if answers is None else answers.given.to(device),
        shows_none=None if none is None else none.to(device),
        model_answers=_model_answers(images, device),
        encoder_features={
            name: features.training.to(device) for name, features in zero_shot.encoders.items()
        },
        image_keys=tuple(images.training.keys),
    )


def _model_answers(images: Images, device: str) -> ModelAnswers | None:
    answers = None if images.corrections is None else images.corrections.model_answers
    if answers is None:
        return None
    return ModelAnswers(answers.classes.to(device), answers.reliabilities.to(device))


def training_start(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    questions: StoredQuestions | None,
    texts: FrozenTexts | None = None,
) -> TrainingStart:
    """Return the data that labelers and aggregators receive before training.

    If `texts` is None, the text feature of an image is the feature of its zero-shot class.
    """
    start = replace(
        frozen_start(images, zero_shot, workspace.device),
        questions=questions,
        encode_names=partial(encode_names, workspace, images),
    )
    if texts is None:
        return start
    kinds = build_descriptions(workspace, images.template)
    return replace(
        start,
        description_features=texts.named,
        texts=texts.of,
        description_weights={label: kind.weight for label, kind in kinds.items()},
    )


def build_questions(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, *, ask: bool = True
) -> StoredQuestions | None:
    """Build the object that passes a labeler's questions to a describer; None if no labeler asks.

    If `ask` is false, only stored answers are returned.
    """
    choice = workspace.recipe.questioned
    if choice is None:
        return None
    return StoredQuestions(
        lambda: cast("Describer[Any]", workspace.build(choice)),
        training_set(workspace, images, zero_shot),
        workspace.recipe.budget or 0,
        description_folder(),
        workspace.progress,
        workspace.folder.asked_questions if ask else None,
        workspace.folder.model_answers if ask else None,
        ask=ask,
        meter=lambda describer: spending_of(workspace, describer, workspace.recipe.budget or 0),
    )


def save_questions(workspace: Workspace, questions: StoredQuestions | None) -> None:
    """Write the counts of questions, unless a labeler's questions have written them."""
    if questions is not None and not workspace.folder.asked_questions.exists():
        questions.save()
