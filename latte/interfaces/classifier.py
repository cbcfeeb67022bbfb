"""Linear classifier with one or several rows (prototypes) per class."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from latte.interfaces.returned import check_tensor, is_tensor

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Classifier:
    """Linear classifier: a weight row w with bias b gives an image feature x the score x·w + b.

    The score of a class is the largest score of its rows. A row may have any norm except 0. If all
    rows have norm 1 and there is no bias, scores are cosine similarities, as in CLIP.

    Attributes:
        weights: (C·K, D): one row per prototype; all entries are finite.
        owners: (C·K,) int64: the class of each row; every class has at least one row.
        bias: (C·K,) in the dtype of `weights`, added to the score of each row; None means zeros.
            The logit scale multiplies the sum.
        none: (D + 1,) in the dtype of `weights`: the row of "none of these", and last its bias;
            None if the classifier knows the classes alone. `similarities` leaves it out.

    Example:
        >>> import torch
        >>> from latte.api import Classifier
        >>> three_rows_of_two_classes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> classifier = Classifier(three_rows_of_two_classes, owners=torch.tensor([0, 1, 1]))
        >>> classifier.similarities(torch.tensor([[0.6, 0.8]]))
        tensor([[0.6000, 0.8000]])
    """

    weights: Tensor
    owners: Tensor
    bias: Tensor | None = None
    none: Tensor | None = None

    @property
    def classes(self) -> int:
        """Number of classes C; cached, because reading `owners` waits for the GPU."""
        class_numbers = _known_numbers()
        if self.owners not in class_numbers:
            class_numbers[self.owners] = int(self.owners.max()) + 1
        return class_numbers[self.owners]

    @property
    def directions(self) -> Tensor:
        """Rows of `weights` (C·K, D) scaled to norm 1, to compare prototypes by cosine."""
        from torch.nn.functional import normalize

        return normalize(self.weights, dim=1)

    def similarities(self, image_features: Tensor) -> Tensor:
        """Return the unscaled scores (B, C) of unit features x (B, D).

        The score of a class is the largest x·w + b of its rows w with bias b. Multiply by the logit
        scale to get logits.
        """
        if self.weights.shape[0] == self.classes:
            order = self.owners.argsort()
            scores = image_features @ self.weights.index_select(0, order).T
            return scores if self.bias is None else scores + self.bias.index_select(0, order)
        rows = image_features @ self.weights.T
        if self.bias is not None:
            rows = rows + self.bias
        owners = self.owners.expand_as(rows)
        lowest_score = rows.new_full((rows.shape[0], self.classes), -float("inf"))
        return lowest_score.scatter_reduce(1, owners, rows, "amax", include_self=True)

    def none_similarities(self, image_features: Tensor) -> Tensor | None:
        """Return the unscaled scores (B,) of "none of these"; None without the row `none`."""
        if self.none is None:
            return None
        return image_features @ self.none[:-1] + self.none[-1]

    def scaled(self, factor: float) -> Classifier:
        """Return the classifier whose scores are `factor` times those of this one."""
        optional = (self.bias, self.none)
        scaled_parts = (None if part is None else factor * part for part in optional)
        return Classifier(factor * self.weights, self.owners, *scaled_parts)


def cpu_copy(classifier: Classifier) -> Classifier:
    """Return a copy of the classifier on the CPU, without gradient."""
    optional = (classifier.bias, classifier.none)
    return Classifier(
        classifier.weights.detach().cpu().clone(),
        classifier.owners.cpu().clone(),
        *(None if part is None else part.detach().cpu().clone() for part in optional),
    )


def check_classifier(
    classifier: object,
    classes: int,
    width: int,
    device: torch.device | None = None,
    *,
    reads: bool = True,
) -> None:
    """Raise `ValueError` unless a classifier has rows of `width` numbers for each of `classes`.

    Whether the rows are finite is not checked. If `reads` is false, no number is read from the
    device; the classes of the rows are then not checked.
    """
    import torch

    if not isinstance(classifier, Classifier):
        raise ValueError(f"the classifier is of type {type(classifier).__name__}, not Classifier")
    rows: object = classifier.weights
    shape = tuple(rows.shape) if is_tensor(rows) else ()
    if len(shape) != 2 or shape[0] < classes or shape[1] != width:
        raise ValueError(
            f"rows of the classifier have the shape {shape}, and not {width} numbers for each of "
            f"{classes} classes"
        )
    device = device or classifier.weights.device
    check_tensor("rows of the classifier", rows, shape, device=device)
    check_tensor("owners of the classifier", classifier.owners, shape[:1], torch.int64, device)
    if classifier.bias is not None:
        check_tensor("biases of the classifier", classifier.bias, shape[:1], device=device)
    if classifier.none is not None:
        check_tensor("row of no class", classifier.none, (width + 1,), device=device)
    if reads and {*classifier.owners.tolist()} != {*range(classes)}:
        raise ValueError(f"owners of the classifier are not each of {classes} classes")


@cache
def _known_numbers() -> MutableMapping[Tensor, int]:
    from torch.utils.weak import WeakTensorKeyDictionary

    return WeakTensorKeyDictionary()
