"""Stage `train`: build the learners and train them, or fit a method without steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from latte.backbone.encode import encode_cached_images
from latte.data.views import TrainingView
from latte.describe.bank import DescriptionBank
from latte.evaluate.similarities import agreement, diagnose
from latte.interfaces import (
    CutTexts,
    LatteError,
    Posterior,
    PrototypeAggregator,
    Trainable,
)
from latte.interfaces.record import EncoderFacts
from latte.io.memory import return_freed_memory
from latte.models.adapted import Adapted
from latte.models.zero_shot import ZeroShot
from latte.run.augmenting import augmentation
from latte.run.fitting import (
    build_method,
    build_questions,
    fit_frozen,
    note_facts,
    save_questions,
    training_start,
)
from latte.run.from_learners import from_learners
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import Images
from latte.run.ready import naming_line
from latte.run.workspace import Workspace
from latte.run.zero_shot import encode_images
from latte.train.caching import LARGEST_STATES, state_bytes
from latte.train.encoding import ImagesFromStates
from latte.train.features import StepInputs
from latte.train.learner import Learner, build_learner
from latte.train.loop import train
from latte.train.training import Evaluate, Training

_TEXTS_PER_COUNT = 1024


def adapt(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, bank: DescriptionBank
) -> tuple[Adapted, Posterior | None]:
    """Adapt the CLIP as the recipe says: train its learners, or fit its method without steps.

    Returns the adapted classifier, and the posterior (class probabilities of the training images)
    or None if no labeler returns one, or if the recipe takes training steps.
    """
    precision, arithmetic = workspace.recipe.train.precision, workspace.arithmetic
    if precision == "tf32" and arithmetic == "fp32":
        workspace.progress.say("train: this device has no TF32, so `precision: tf32` is fp32 here")
    if workspace.recipe.train.takes_steps:
        return train_learners(workspace, images, zero_shot, bank), None
    return fit_frozen(workspace, images, zero_shot, bank)


def train_learners(
    workspace: Workspace, images: Images, zero_shot: ZeroShot, bank: DescriptionBank
) -> Adapted:
    """Train the recipe's learners to the end, from the newest checkpoint if there is one."""
    recipe, method = workspace.recipe, build_method(workspace)
    trainables: list[Trainable[Any]] = [
        workspace.build(choice.trainable) for choice in recipe.learners
    ]
    learners = [
        _learner(workspace, number, trainable, method.prototypes[recipe.learners[number].name])
        for number, trainable in enumerate(trainables)
    ]
    texts = FrozenTexts(workspace, bank)
    inputs = StepInputs(
        labelers=images.correct([*method.labelers.values()]),
        bank=bank,
        descriptions=[choice.label for choice in recipe.descriptions],
        class_texts=images.class_texts,
        seed=workspace.seed,
    )
    questions = build_questions(workspace, images, zero_shot)
    augment = augmentation(recipe, workspace.build)
    view = TrainingView(workspace.frozen_clip.pixel_format, augment, workspace.seed)
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
    try:
        train(training, workspace.progress)
    finally:
        if questions is not None:
            questions.close()
    note_facts(workspace, method)
    save_questions(workspace, questions)
    for trainable, learner in zip(trainables, learners, strict=True):
        trainable.merge(learner.backbone)
    return from_learners(learners, images.class_names)


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


def _learner(
    workspace: Workspace,
    number: int,
    trainable: Trainable[Any],
    aggregator: PrototypeAggregator[Any],
) -> Learner:
    """Build the learner with index `number`; `trainable` selects its trainable parameters."""
    recipe = workspace.recipe
    choice, clip = recipe.learners[number], workspace.frozen_clip
    loss = workspace.build(choice.loss) if choice.loss else None
    with naming_line(recipe, number):
        if loss and loss.sigmoid and clip.logit_bias is None:
            raise LatteError(
                "this loss needs a sigmoid model such as SigLIP: the backbone has no logit bias",
                where="loss",
                hint="loss: contrastive",
            )
        return build_learner(
            choice.name,
            clip,
            trainable.select,
            aggregator,
            loss,
            choice.optimizer or recipe.train.optimizer,
            recipe.train.precision,
            recipe.train.micro_batch_size,
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
            return zero_shot.clip.evaluation
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
