"""Latte's training step on a `StepProblem`, built from the components of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measuring import no_clip, no_descriptions
from benchmarks.step_problem import LEARNING_RATE, TEMPLATE, StepProblem
from latte.backbone.encode import ClassTexts
from latte.backbone.open_clip import OpenClipBackbone
from latte.components.latteclip import (
    ContrastiveLoss,
    CurrentLabeler,
    FrozenLabeler,
    MomentumOptions,
    MomentumPrototypes,
    StreamOptions,
)
from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.interfaces import (
    Batch,
    Context,
    DescriptionType,
    FeatureBank,
    NoOptions,
    TrainingStart,
)
from latte.interfaces.settings import OptimizerSettings, Precision
from latte.toolkit.descriptions import (
    ClassDescription,
    ClassOptions,
    GroupDescription,
    GroupOptions,
    ImageDescription,
    ImageOptions,
)
from latte.train.features import StepInputs
from latte.train.fit import Method
from latte.train.learner import build_learner
from latte.train.step import training_step


class LatteStep:
    """Training step of latte; the object keeps the learner between steps."""

    def __init__(self, problem: StepProblem, precision: Precision) -> None:
        self.problem = problem
        self.steps = 0
        self.indices = torch.arange(len(problem.pixels))
        device = problem.pixels.device
        context = Context(
            base_dir=Path(), cache_dir=Path(), device=str(device), seed=0, frozen_clip=no_clip
        )
        aggregator = MomentumPrototypes(MomentumOptions(margins="epoch_start"), context)
        self.learner = build_learner(
            "main",
            OpenClipBackbone(problem.twin(), problem.config, problem.tokenizer),
            lambda backbone: backbone.train_only("all"),
            aggregator,
            ContrastiveLoss(NoOptions(), context),
            OptimizerSettings(learning_rate=LEARNING_RATE),
            precision,
        )
        self.inputs = StepInputs(
            labelers=[
                CurrentLabeler(StreamOptions(), context),
                FrozenLabeler(StreamOptions(), context),
            ],
            bank=_bank(problem, context),
            descriptions=["class", "image", "group"],
            class_texts=ClassTexts.of([TEMPLATE], [[name] for name in problem.class_names]),
            seed=0,
        )
        self.start = TrainingStart(
            tuple(problem.class_names),
            problem.prototypes,
            problem.prototypes[problem.zero_shot_labels.to(device)],
            problem.zero_shot_labels.to(device),
            no_descriptions,
        )
        labelers = {str(number): labeler for number, labeler in enumerate(self.inputs.labelers)}
        method = Method(labelers, {"main": aggregator})
        method.start(self.start)
        method.start_epoch(0, lambda learner: FeatureBank(self.start.image_features), self.start)

    @property
    def model(self) -> Any:
        """The trained model."""
        backbone = self.learner.backbone
        assert isinstance(backbone, OpenClipBackbone)
        return backbone.model

    @property
    def prototypes(self) -> Tensor:
        """Current prototypes (C, D)."""
        return self.learner.aggregator.classifier().weights

    def gradients(self) -> dict[str, Tensor]:
        """Return a copy of the gradients of the last step by name."""
        return {
            name: weight.grad.clone()
            for name, weight in self.learner.parameters.items()
            if weight.grad is not None
        }

    def step(self) -> float:
        """Take one step on the problem's batch; return the loss."""
        batch = Batch("main", self.indices, 0, self.steps)
        self.steps += 1
        return training_step(self.learner, self.inputs, batch, self.problem.pixels).loss.item()


def description_types(context: Context, *, redraw: bool = True) -> dict[str, DescriptionType[Any]]:
    """Return LatteCLIP's three description types by name."""
    return {
        "class": ClassDescription(ClassOptions(template=TEMPLATE), context),
        "image": ImageDescription(ImageOptions(), context),
        "group": GroupDescription(GroupOptions(redraw=redraw), context),
    }


def _bank(problem: StepProblem, context: Context) -> DescriptionBank:
    count = len(problem.pixels)
    return DescriptionBank(
        [str(number) for number in range(count)],
        problem.zero_shot_labels,
        problem.class_names,
        TEMPLATE,
        description_types(context, redraw=False),
        {
            "image": Column([(text,) for text in problem.captions]),
            "group": Column([(text,) for text in problem.group_captions]),
        },
    )
