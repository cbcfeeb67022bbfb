"""Answers of a person that contradict all other answers and the images' neighbours."""

from __future__ import annotations

import math

from torch import Tensor

from latte.interfaces import Posterior

_SHARE = 0.1
"""Largest share of the answers that are doubted: a person looks at few answers again."""
_DOUBT = 0.05
"""An answer is doubted only if its class has a smaller probability."""


def doubtful_answers(posterior: Posterior, given_classes: Tensor) -> Tensor:
    """Return the rows (Q,) of answers that are probably mistakes, the most doubtful first.

    Answers are ranked by the probability of the given class, and among equal ones by the
    probability of the most likely class, the largest first. At most a tenth of the answers are
    returned.

    Args:
        posterior: class probabilities of N answered images, each by a fit that did not know the
            answer about this image. Classes that are not stored have the probability 0.
        given_classes: (N,): the class that the person gave to each image.
    """
    matches = posterior.labels == given_classes.unsqueeze(1)
    given_probability = (posterior.probabilities * matches).sum(dim=1)
    most = posterior.probabilities.amax(dim=1)
    by_most = most.argsort(descending=True, stable=True)
    ranked = by_most[given_probability[by_most].argsort(stable=True)]
    return ranked[given_probability[ranked] < _DOUBT][: math.ceil(_SHARE * len(given_classes))]
