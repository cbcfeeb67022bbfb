"""UEO: entropy of sure images down, entropy of the mean over unsure images up.

Source: Liang, Sheng, Wang, He, Tan: *Realistic Unsupervised CLIP Fine-tuning with Universal Entropy
Optimization*, ICML 2024, arXiv 2308.12919, section 3.3, equation (4).

    p_i = softmax(scale x_i·t),   w_i = largest zero-shot probability of image i
    L = sum_i w_i H(p_i) / sum_i w_i  -  H( sum_i p_i / w_i  /  sum_i 1 / w_i )

over a batch. The paper trains prompts of the text tower and the norms of the image tower. w_i is
the first probability of the soft labels of the labeler `soft-zero-shot`; without soft labels, all
images are equally sure.
"""

from __future__ import annotations

from torch import Tensor

from latte.api import Loss, NoOptions, Supervision
from latte_field.base import FieldFit, FieldLabeler, FieldProblem

_TINY = 1e-12


class SoftZeroShotLabeler(FieldLabeler[NoOptions]):
    """Labeler by zero-shot CLIP, with probabilities as soft labels."""

    stream = "soft-zero-shot"

    def fit(self, problem: FieldProblem) -> FieldFit:
        """Return the zero-shot probabilities."""
        return FieldFit(problem.log_prior.exp(), problem.linear(problem.scale * problem.texts))


class UniversalEntropy(Loss[NoOptions]):
    """Weighted entropy of the images, minus the entropy of their mean."""

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss of unit features (B, D), a scalar; 0 if all weights are 0.

        Raises `LatteError` if the prototypes give no classifier.
        """
        logits = logit_scale * supervision.need_classifier().similarities(image_features)
        log = logits.log_softmax(dim=1)
        counted = supervision.stream.weights.to(log.dtype)
        posterior = supervision.stream.posterior
        largest = counted.new_ones(()) if posterior is None else posterior.probabilities[:, 0]
        sureness = largest.to(log.dtype).clamp_min(_TINY)
        entropies = -(log.exp() * log).sum(dim=1)
        sure, unsure = counted * sureness, counted / sureness
        mean = (unsure @ log.exp()) / unsure.sum().clamp_min(_TINY)
        spread = -(mean * mean.clamp_min(_TINY).log()).sum()
        return (sure @ entropies) / sure.sum().clamp_min(_TINY) - spread
