"""Plain implementation of LatteCLIP's training step, the baseline of latte's speed.

It encodes four batches of texts at the full context length, and mixes descriptions and updates
prototypes sample by sample. Towers and optimiser are those of the libraries, unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.step_problem import LEARNING_RATE, TEMPLATE, StepProblem
from latte.backbone.precision import choose_arithmetic, forward_in
from latte.interfaces.settings import Precision

ALPHA = 0.01
MARGIN_FLOOR = 1e-6


class ReferenceStep:
    """Training step; the object keeps model, optimiser and prototypes between steps."""

    def __init__(self, problem: StepProblem, precision: Precision) -> None:
        self.problem = problem
        self.tokenizer = problem.tokenizer
        self.device = problem.pixels.device
        self.precision = precision
        self.model: Any = problem.twin().train()
        self.prototypes = problem.prototypes.clone()
        self.epoch_start = problem.prototypes.clone()
        parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.2},
                {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=LEARNING_RATE,
            betas=(0.9, 0.98),
            eps=1e-6,
            foreach=False,
            fused=False,
        )

    def step(self) -> float:
        """Take one step on the problem's batch; return the loss."""
        return self.step_on(range(len(self.problem.pixels)), self.problem.pixels)

    def step_on(self, rows: Sequence[int], pixels: Tensor) -> float:
        """Take one step on the images `rows`, whose views are `pixels`; return the loss."""
        problem = self.problem
        with self.autocast():
            images = self.model.encode_image(pixels.to(self.device), normalize=True)
        images = images.float()
        current = (images.detach() @ self.prototypes.T).argmax(dim=1).tolist()
        frozen = problem.zero_shot_labels[list(rows)].tolist()
        current_templates = self.encode([self.template(label) for label in current])
        frozen_templates = self.encode([self.template(label) for label in frozen])
        captions = self.encode([problem.captions[row] for row in rows])
        group_captions = self.encode([problem.group_captions[row] for row in rows])

        current_targets = self.targets(current, [current_templates, captions, group_captions])
        frozen_targets = self.targets(frozen, [frozen_templates, captions, group_captions])
        scale = self.model.logit_scale.exp()
        loss = contrastive(images, current_targets, scale)
        loss = loss + contrastive(images, frozen_targets, scale)

        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.update_prototypes(
            [*current, *frozen], torch.cat([current_targets, frozen_targets]).detach()
        )
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, 4.6052)
        return loss.item()

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass."""
        return forward_in(choose_arithmetic(self.precision, self.device), self.device)

    def template(self, label: int) -> str:
        """Return the class text of a label."""
        return TEMPLATE.replace("{class}", self.problem.class_names[label])

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Encode B texts to unit features (B, D), at the full context length."""
        tokens = self.tokenizer(list(texts)).to(self.device)
        with self.autocast():
            features: Tensor = self.model.encode_text(tokens, normalize=True)
        return features.float()

    def margin(self, text: Tensor) -> Tensor:
        """Return the margin of a text (D,) between its two best classes at the epoch's start."""
        nearest, runner_up = (self.epoch_start @ text.detach()).topk(2).values
        margin: Tensor = nearest - runner_up + MARGIN_FLOOR
        return margin

    def targets(self, labels: Sequence[int], texts: Sequence[Tensor]) -> Tensor:
        """Return targets (B, D): prototypes moved towards the mix of a sample's three texts."""
        rows = []
        for sample, label in enumerate(labels):
            sample_texts = [of_kind[sample] for of_kind in texts]
            weights = [self.margin(text) for text in sample_texts]
            weighted = (w * text for w, text in zip(weights, sample_texts, strict=True))
            mixed = sum(weighted) / sum(weights)
            rows.append(self.prototypes[label] + ALPHA * (mixed - self.prototypes[label]))
        return torch.stack(rows)

    def update_prototypes(self, labels: Sequence[int], targets: Tensor) -> None:
        """Set the prototype of each labelled class to the unit vector along its targets' mean."""
        prototypes = self.prototypes.clone()
        for label in set(labels):
            class_targets = [
                target for target, owner in zip(targets, labels, strict=True) if owner == label
            ]
            prototypes[label] = functional.normalize(torch.stack(class_targets).mean(dim=0), dim=0)
        self.prototypes = prototypes


def contrastive(images: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Return CLIP's symmetric loss, in which image i and target i are the positive pair."""
    logits = scale * images @ targets.T
    pairs = torch.arange(len(images), device=images.device)
    by_image = functional.cross_entropy(logits, pairs)
    by_target = functional.cross_entropy(logits.T, pairs)
    return (by_image + by_target) / 2
