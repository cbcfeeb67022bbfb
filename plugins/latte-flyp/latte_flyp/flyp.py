"""FLYP (Goyal et al., CVPR 2023), section 3, on pseudo-labels: the whole method, equations first.

FLYP continues CLIP's own training. For an image x of a batch with the label c:

    f    = image tower(augmented x)                       (D,), unit length
    T    ~ uniform over the templates                     drawn again in each step
    z    = text tower(T with the name of class c)         (D,), unit length, with gradient
    loss = (CE(s f Z^T) + CE(s Z f^T)) / 2                s: logit scale; Z: targets of the batch

The loss is latte's `contrastive`; both towers and s are trained. In latte, c is a pseudo-label of
any labeler, and the templates are the recipe's descriptions of scope `class`. The classifier, which
also gives `current` labels, consists of the class texts, encoded by the current text tower.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from latte.api import (
    Classifier,
    Context,
    LabelStream,
    LatteError,
    Options,
    PrototypeAggregator,
    Supervision,
    TrainingStart,
    did_you_mean,
)


class FlypOptions(Options):
    """Options of `flyp`: the templates to sample from, and when to encode the classifier again."""

    templates: tuple[str, ...] = Field(
        default=(),
        description="names of the descriptions from which texts are drawn; none: all descriptions "
        "of the recipe or, if it has none, the dataset's template",
    )
    refresh: Literal["epoch", "step"] = Field(
        default="step",
        description="when the classifier is encoded again; it gives `current` labels and is "
        "evaluated. epoch: not every step encodes every class",
    )


class FlypPrototypes(PrototypeAggregator[FlypOptions]):
    """Prototypes that give each image the text feature of a random class template as target.

    The texts are the descriptions of the recipe, normally one per class (scope `class`); without
    descriptions, the dataset's template with the class name.
    """

    _features: Tensor
    _owners: Tensor
    _steps: int = 0

    def __init__(self, options: FlypOptions, context: Context) -> None:
        super().__init__(options, context)
        self.class_features_refresh = options.refresh

    def start(self, start: TrainingStart) -> None:
        """Start with the features of the zero-shot classifier."""
        self.refresh_class_features(start.class_features.detach())
        self._owners = torch.arange(len(self._features), device=self.context.device)
        self._steps = 0

    def refresh_class_features(self, class_features: Tensor) -> None:
        """Replace the features of the class texts by new ones (C, D), which may have a gradient."""
        self._features = class_features.to(self.context.device)

    def classifier(self) -> Classifier:
        """Return the current features of the class texts (C, D), without gradient."""
        return Classifier(self._features.detach(), self._owners)

    def supervise(
        self, stream: LabelStream, texts: Mapping[str, Tensor], image_features: Tensor
    ) -> Supervision:
        """Return targets (B, D): for each image, one template's text feature, sampled uniformly.

        Raises:
            LatteError: The option `templates` names a description that the recipe lacks, or the
                recipe has no descriptions and `refresh` is not `step`.
        """
        classifier = Classifier(self._features, self._owners)
        return Supervision(stream, self._targets(stream, texts), classifier)

    def _targets(self, stream: LabelStream, texts: Mapping[str, Tensor]) -> Tensor:
        names = self.options.templates or tuple(texts)
        self._check(names, texts)
        if not names:
            return self._features[stream.labels]
        text_features = torch.stack([texts[name] for name in names])
        images = torch.arange(len(stream.labels), device=text_features.device)
        template_indices = self._draw(stream, len(names)).to(
            text_features.device, non_blocking=True
        )
        return text_features[template_indices, images]

    def _check(self, names: Sequence[str], texts: Mapping[str, Tensor]) -> None:
        for name in names:
            if name not in texts:
                raise LatteError(
                    f"there is no description `{name}` in this recipe",
                    where="prototypes.templates",
                    hint=did_you_mean(name, texts)
                    or f"add {{use: class, name: {name}, template: ...}} to `descriptions`",
                )
        if not names and self.options.refresh != "step":
            raise LatteError(
                "without descriptions the text tower would get no gradient",
                where="prototypes.refresh",
                hint="add class descriptions, or write `refresh: step`",
            )

    def _draw(self, stream: LabelStream, templates: int) -> Tensor:
        """Sample one template index per image (B,), determined by seed, step and label stream."""
        purpose = f"flyp {self.context.seed} {self._steps} {stream.name}".encode()
        seed = int.from_bytes(hashlib.blake2b(purpose, digest_size=7).digest())
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(templates, (len(stream.labels),), generator=generator)

    def update(self, supervisions: Sequence[Supervision]) -> None:
        """Count the step, and detach the class texts' features from the autograd graph."""
        self._features = self._features.detach()
        self._steps += 1

    def state(self) -> dict[str, Tensor]:
        """Return the features of the class texts (C, D) and the number of finished steps."""
        return {
            "class_features": self._features.detach().clone(),
            "steps": torch.tensor(self._steps),
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that `state` returned."""
        self.refresh_class_features(state["class_features"])
        self._steps = int(state["steps"])
