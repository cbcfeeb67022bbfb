"""Stage `train`: build the learners and train them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.data.views import TrainingView
from latte.describe.bank import DescriptionBank
from latte.evaluate.similarities import agreement, diagnose
from latte.interfaces import (
    Classifier,
    CutTexts,
    Describer,
    ImageAugmentation,
    LatteError,
    Posterior,
    PseudoLabeler,
    Trainable,
    TrainingStart,
)
from latte.interfaces.progress import SilentProgress
from latte.interfaces.record import EncoderFacts
from latte.interfaces.settings import AugmentSettings
from latte.io.memory import return_freed_memory
from latte.models.adapted import Adapted, Member
from latte.models.posterior import check_posterior
from latte.models.zero_shot import ZeroShot
from latte.run.corrections import CorrectedLabeler
from latte.run.describing import build_descriptions, training_set
from latte.run.from_learners import from_learners
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import Images
from latte.run.questions import StoredQuestions
from latte.run.ready import naming_line
from latte.run.workspace import Workspace, description_folder
from latte.run.zero_shot import encode_images, encode_names
from latte.train.caching import LARGEST_STATES, state_bytes
from latte.train.encoding import ImagesFromStates
from latte.train.features import StepInputs
from latte.train.learner import Learner, build_learner
from latte.train.loop import own_posterior, train
from latte.train.training import Evaluate, Training

_TEXTS_PER_COUNT = 1024


def train_learners(
    workspace: Workspace,
    images: Images,
    zero_shot: ZeroShot,
    bank: DescriptionBank,
    *,
    refit: bool = False,
) -> tuple[Adapted, Posterior | None]:
    """Train the recipe's learners to the end, from the newest checkpoint if there is one.

    If `refit` is true, a run without training steps is fitted again in silence, and labelers ask
    no describer; only stored answers of describers are used.

    Returns the adapted classifier, and the posterior (class probabilities of the training images)
    or None if no labeler returns one.
    """
    recipe = workspace.recipe
    trainables: list[Trainable[Any]] = [
        workspace.build(choice.trainable) for choice in recipe.learners
    ]
    learners = [
        _learner(workspace, number, trainable) for number, trainable in enumerate(trainables)
    ]
    texts = FrozenTexts(workspace, bank)
    labelers: list[PseudoLabeler[Any]] = [
        workspace.build(choice, silent=refit) for choice in recipe.labels
    ]
    noted = [*zip(recipe.labels, labelers, strict=True)]
    if images.corrections is not None:
        labelers = [CorrectedLabeler(labeler, images.corrections.given) for labeler in labelers]
    inputs = StepInputs(
        labelers=labelers,
        bank=bank,
        descriptions=[choice.label for choice in recipe.descriptions],
        class_texts=images.class_texts,
        seed=workspace.seed,
    )
    questions = build_questions(workspace, images, zero_shot, ask=not refit)
    progress = SilentProgress() if refit else workspace.progress
    view = TrainingView(workspace.frozen_clip.pixel_format, _augment(workspace), workspace.seed)
    training = Training(
        settings=recipe.train,
        inputs=inputs,
        start=training_start(workspace, images, zero_shot, questions, texts),
        images=images.training.cache,
        view=view,
        learners=learners,
        folder=workspace.folder.path,
        evaluation_batch_size=recipe.evaluate.batch_size,
        evaluate=_evaluation(workspace, images, zero_shot) if images.labels else None,
        bank_features=texts.every,
        image_states=partial(encode_images, workspace, images.training, "encode training images"),
        listen=workspace.listeners.rows,
    )
    if recipe.train.precision == "tf32" and any(
        learner.arithmetic == "fp32" for learner in learners
    ):
        workspace.progress.say("train: this device has no TF32, so `precision: tf32` is fp32 here")
    try:
        encoder_classifiers = train(training, progress)
    finally:
        if questions is not None:
            questions.close()
    for choice, labeler in [] if refit else noted:
        workspace.note_extras(choice, labeler)
    for learner_choice, learner in [] if refit else zip(recipe.learners, learners, strict=True):
        workspace.note_extras(learner_choice.prototypes, learner.aggregator)
    if questions is not None and not refit and not workspace.folder.asked_questions.exists():
        questions.save()
    if recipe.train.takes_steps:
        for trainable, learner in zip(trainables, learners, strict=True):
            trainable.merge(learner.backbone)
    encoders = _encoder_members(workspace, images, training, encoder_classifiers)
    adapted = from_learners(learners, images.class_names, encoders)
    return adapted, _posterior(workspace, images, training)


def _encoder_members(
    workspace: Workspace,
    images: Images,
    training: Training,
    classifiers: Mapping[str, Classifier],
) -> list[Member]:
    """Return the encoders for which labelers returned a classifier.

    Raises `LatteError` if a classifier does not fit the encoder's features.
    """
    members = []
    for choice in workspace.recipe.encoders:
        if (classifier := classifiers.get(choice.label)) is None:
            continue
        rows, width = classifier.weights, training.start.encoder_features[choice.label].shape[1]
        is_sane = rows.ndim == 2 and rows.shape[1] == width and bool(rows.isfinite().all())
        classes = sorted({*classifier.owners.tolist()})
        if not is_sane or classes != [*range(len(images.class_names))]:
            raise LatteError(
                f"a labeler returned a classifier {tuple(rows.shape)} of {len(classes)} classes "
                f"for this encoder, and not finite rows of {width} numbers for "
                f"{len(images.class_names)} classes",
                where=f"encoder {choice.label}",
                hint="report it to the author of the labeler's plugin",
            )
        encoder = workspace.encoders[choice.label]
        arithmetic = workspace.arithmetic
        members.append(Member(choice.label, encoder, classifier, arithmetic, choice.full_name))
    return members


def encoder_facts(workspace: Workspace, adapted: Adapted) -> tuple[EncoderFacts, ...]:
    """Return facts about the recipe's encoders; report those that the classifier does not use."""
    facts = []
    for name, loader in workspace.encoder_loaders.items():
        weights = workspace.encoders[name].state().values()
        classifies = name in adapted.names
        facts.append(
            EncoderFacts(
                name=name,
                model=loader.title,
                licence=loader.licence,
                parameters=sum(weight.numel() for weight in weights),
                bytes=sum(weight.nbytes for weight in weights),
                classifies=classifies,
            )
        )
        if not classifies:
            workspace.progress.say(
                f"train: the classifier does not use the encoder {name}, so `predict` does not "
                "load it"
            )
    return tuple(facts)


def _augment(workspace: Workspace) -> AugmentSettings | ImageAugmentation[Any] | None:
    """Return what makes training views: settings of the built-in views, or a component."""
    choice = workspace.recipe.augmentation
    if choice is None:
        return None
    if isinstance(choice.options, AugmentSettings):
        return choice.options
    return cast("ImageAugmentation[Any]", workspace.build(choice))


def _posterior(workspace: Workspace, images: Images, training: Training) -> Posterior | None:
    """Return the posterior of a labeler, if any. Raises `LatteError` if it is invalid."""
    numbered_posterior = own_posterior(training)
    if numbered_posterior is None:
        return None
    number, posterior = numbered_posterior
    try:
        check_posterior(posterior, len(images.class_names))
        if (rows := len(posterior.labels)) != len(images.training.images):
            raise ValueError(f"it is about {rows} and not {len(images.training.images)} images")
    except ValueError as error:
        raise LatteError(
            f"its posterior cannot be used: {error}",
            where=f"labeler {workspace.recipe.labels[number].label}",
            hint="report it to the author of the plugin, or use another labeler",
        ) from error
    return posterior


def count_cut(workspace: Workspace, bank: DescriptionBank) -> tuple[CutTexts, ...]:
    """Count and report the texts that are too long for the text tower, for each description."""
    counts = []
    for choice in workspace.recipe.descriptions:
        rows = bank.distinct_rows(choice.label)
        cut = sum(
            workspace.frozen_clip.count_cut([bank.unique_texts[row] for row in block.tolist()])
            for block in torch.split(rows, _TEXTS_PER_COUNT)
        )
        counts.append(CutTexts(choice.label, len(rows), cut))
    counts = [count for count in counts if count.cut]
    for count in counts:
        workspace.progress.say(
            f"warning: {count.cut:,} of {count.texts:,} texts of {count.description} are longer "
            "than the text tower reads, and are cut; ask for shorter ones in their prompt, or hold "
            "them back with the gate length"
        )
    return tuple(counts)


def _learner(workspace: Workspace, number: int, trainable: Trainable[Any]) -> Learner:
    """Build the learner with index `number`; `trainable` selects its trainable parameters."""
    recipe = workspace.recipe
    choice, clip = recipe.learners[number], workspace.frozen_clip
    loss = workspace.build(choice.loss) if choice.loss else None
    with naming_line(recipe, number):
        if recipe.train.takes_steps and loss and loss.sigmoid and clip.logit_bias is None:
            raise LatteError(
                "this loss needs a sigmoid model such as SigLIP: the backbone has no logit bias",
                where="loss",
                hint="loss: contrastive",
            )
        return build_learner(
            choice.name,
            clip,
            # Without steps nothing is trained, whatever the recipe's `trainable` says.
            trainable.select
            if recipe.train.takes_steps
            else lambda backbone: backbone.train_only("none"),
            workspace.build(choice.prototypes),
            loss,
            choice.optimizer or recipe.train.optimizer,
            recipe.train.precision,
            recipe.train.micro_batch_size,
        )


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
    device = workspace.device
    classes, labels = zero_shot.class_features, zero_shot.zero_shot_labels
    start = TrainingStart(
        class_names=images.class_names,
        class_features=classes.to(device),
        image_features=zero_shot.training.to(device),
        zero_shot_labels=labels.to(device),
        description_features=lambda name: classes[labels].to(device),
        corrections=None if images.corrections is None else images.corrections.given.to(device),
        questions=questions,
        encode_names=partial(encode_names, workspace, images),
        encoder_features={
            name: features.training.to(device) for name, features in zero_shot.encoders.items()
        },
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
        ask=ask,
    )


def _evaluation(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> Evaluate:
    """Return a function that measures the learners together: top-1 accuracy, confidence, margin."""
    labels = torch.tensor(images.labels)
    size = workspace.recipe.evaluate.batch_size
    cached: dict[str, ImagesFromStates | None] = {}

    def from_states(learner: Learner) -> ImagesFromStates | None:
        trunk = learner.backbone.image_trunk()
        if trunk is None or state_bytes(trunk, len(labels)) > LARGEST_STATES:
            return None
        trained = learner.trained_in_backbone
        states = encode_images(workspace, images.evaluation, "evaluate", trunk, trained)
        return ImagesFromStates(trunk, states, learner.arithmetic, learner.device)

    def features_of(learner: Learner) -> Tensor:
        if not learner.images.trains:
            return zero_shot.evaluation
        if learner.name not in cached:
            cached[learner.name] = from_states(learner)
        encoder = cached[learner.name]
        if encoder is not None:
            return encoder.all_features(size)
        split, name = images.evaluation, "evaluate"
        return encode_cached_images(learner.backbone, split.cache, size, workspace.progress, name)

    def evaluate(learners: Sequence[Learner]) -> Mapping[str, float]:
        return_freed_memory()
        with workspace.encoding():
            features = [features_of(learner) for learner in learners]
        return_freed_memory()
        adapted = from_learners(learners, images.class_names)
        similarities = adapted.in_blocks(features)
        diagnosis = diagnose(similarities, adapted.logit_scale)
        top1 = agreement(similarities.labels(), labels)
        return {"top1": top1, "confidence": diagnosis.confidence, "margin": diagnosis.margin}

    return evaluate
