"""ReCLIP (Hu et al., WACV 2024), sections 3.1 to 3.4: the whole method, equations first.

Two learners are copies of the CLIP: `text` trains the layer norms of the text tower, `visual` those
of the image tower. At the start of every epoch, each labels all N images from its features v_i and
C class texts t_c, all of unit length:

    U       = left singular vectors 2 to cut_dim of (t_1 ... t_C)      3.1: directions in which the
    x       = U^T t_c and U^T v_i, scaled to unit length                    texts differ; n = C + N
    A_ij    = (<x_i, x_j> + 1) / 2 for the k neighbours j of i         3.2: graph of all x
    S       = D^-1/2 W D^-1/2,  W = (A + A^T) / 2,  D = row sums of W
    (I - alpha S) y_c = e_c                                            e_c: 1 at the text of class c
    label_i = argmax_c y_ic                                            for texts and images
    w_i     = 1 if both learners give image i the same label, else 0   3.3: agreement
    mu_c    = unit mean of all t and v with label c                    classifier of `visual`
    loss    = sum_i w_i CE(s f_i P^T, label_i) / sum_i w_i            P: t of `text`, mu of `visual`

f_i is the image's feature in the step, s = 100. The adapted model averages the similarities of both
learners (3.4); latte does so in every recipe with several learners, and has the prototypes of both:
`templates` with `refresh: step` (P = t), and `from-labeler` (P = mu).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from latte.api import (
    Classifier,
    JointLabeler,
    JointLabels,
    LatteError,
    Loss,
    Options,
    PrototypeAggregator,
    Supervision,
    nearest_neighbours,
    symmetric_graph,
)

COLUMN_BYTES = 2**26
"""Largest size in bytes of a (nodes, classes) matrix; the solver holds five such matrices."""


class LabelPropagationOptions(Options):
    """Options of label propagation; the defaults are those of ReCLIP."""

    neighbours: int = Field(default=20, ge=1, description="nearest neighbours per node")
    alpha: float = Field(
        default=0.99, ge=0.0, lt=1.0, description="share of a node's score from its neighbours"
    )
    iterations: int = Field(
        default=20,
        ge=1,
        description="largest number of conjugate gradient steps, and of links over which a class "
        "spreads",
    )
    tolerance: float = Field(
        default=1e-6, ge=0.0, description="length of the residual at which the solver stops"
    )
    projection: bool = Field(
        default=True, description="leave out the direction that all class texts share"
    )
    cut_dim: int = Field(
        default=768,
        ge=2,
        description="number of directions of the class texts that are used, including the shared "
        "one; ReCLIP's authors use 250 for more than 500 classes",
    )
    agreement: bool = Field(
        default=True,
        description="true: images that learners label differently have weight 0; false: each "
        "learner uses its own labels",
    )


class MaskedCrossEntropyOptions(Options):
    """Options of the loss `masked-cross-entropy`: logit scale and normalisation."""

    logit_scale: float | None = Field(
        default=100.0,
        gt=0.0,
        description="fixed factor of the cosine similarities; none: the backbone's learned one",
    )
    normalization: Literal["weights", "published"] = Field(
        default="weights",
        description="weights: the mean, weighted by image; published: the mean over the batch, "
        "divided again by the sum of weights, as in the released code for the visual learner; "
        "its gradient is then smaller by the batch size",
    )


# 1. Projection (section 3.1)


def class_directions(class_features: Tensor, cut_dim: int) -> Tensor:
    """Return an orthonormal basis (D, R) of the directions in which the class texts (C, D) differ.

    These are the left singular vectors 2 to `cut_dim` of the class texts; the first vector is a
    direction that all texts share. R = min(D, C, cut_dim) - 1.
    """
    left_vectors: Tensor = torch.linalg.svd(class_features.T, full_matrices=False).U
    return left_vectors[:, 1:cut_dim]


def project(features: Tensor, directions: Tensor) -> Tensor:
    """Return the coordinates (N, R) of features (N, D) in an orthonormal basis (D, R).

    The coordinates have the same lengths and angles as the projected features `features @
    directions @ directions.T` (N, D), and take less memory and time. If the basis is empty (a
    single class), the features are returned unchanged.
    """
    return features @ directions if directions.shape[1] else features


# 2. Label propagation (section 3.2)


@dataclass(frozen=True)
class Propagated:
    """Labels of n = C + N nodes: the nodes of the C class texts, then those of N images."""

    labels: Tensor
    """(n,) int64: the class with the highest score; the first of equal classes."""
    reached: Tensor
    """(n,) bool: True if any class has a score above 0."""


def propagate(texts: Tensor, images: Tensor, options: LabelPropagationOptions) -> Propagated:
    """Label unit vectors `images` (N, D) and `texts` (C, D), starting from one text per class."""
    nodes = torch.cat([texts, images])
    if options.projection:
        nodes = project(nodes, class_directions(texts, options.cut_dim))
    nodes = normalize(nodes, dim=1)
    matrix = propagation_matrix(*nearest_neighbours(nodes, options.neighbours))
    return highest_scores(matrix, len(texts), options)


def propagation_matrix(cosines: Tensor, indices: Tensor) -> Tensor:
    """Return the normalised weights of the graph of neighbours as a sparse CSR matrix (n, n).

    The result is S = D^-1/2 W D^-1/2. `cosines` and `indices` (n, k) belong to the nearest
    neighbours of each node. W is the mean of A and its transpose, where A has the entries
    (cosine + 1) / 2 for neighbours. The diagonal matrix D has the row sums of W. Source: ReCLIP,
    section 3.2, after Iscen et al. 2019.
    """
    # Rounding can make the cosine of opposite vectors smaller than -1.
    matrix = symmetric_graph(((cosines + 1) / 4).clamp_min(0), indices)
    values, column = matrix.values(), matrix.col_indices()
    row = torch.arange(len(indices), device=column.device)
    row = row.repeat_interleave(matrix.crow_indices().diff())
    entries = torch.sparse_coo_tensor(
        torch.stack([row, column]), values, matrix.shape, is_coalesced=True, check_invariants=False
    )
    scales = torch.sparse.sum(entries, dim=1).to_dense().rsqrt()
    scales = scales.where(scales.isfinite(), 0.0)
    values.copy_(scales[row] * values * scales[column])
    return matrix


def highest_scores(
    matrix: Tensor, classes: int, options: LabelPropagationOptions, column_bytes: int = COLUMN_BYTES
) -> Propagated:
    """Return the class with the highest score for each node, computed in blocks of classes.

    The first `classes` nodes of the sparse `matrix` (n, n) are the class texts, one per class.
    """
    nodes = matrix.shape[0]
    best_scores = matrix.values().new_zeros(nodes)
    labels = torch.zeros(nodes, dtype=torch.int64, device=best_scores.device)
    size = max(1, column_bytes // (nodes * best_scores.element_size()))
    for start in range(0, classes, size):
        sources = torch.arange(start, min(start + size, classes), device=best_scores.device)
        block_scores, column = class_scores(matrix, sources, options).max(dim=1)
        is_better = block_scores > best_scores
        labels = torch.where(is_better, start + column, labels)
        best_scores = torch.maximum(best_scores, block_scores)
    return Propagated(labels, best_scores > 0)


def class_scores(matrix: Tensor, sources: Tensor, options: LabelPropagationOptions) -> Tensor:
    """Return the scores (n, M) of all n nodes for M classes, by label propagation.

    The scores y of a class solve (I - alpha S) y = e. S is `matrix`, and the vector e is 1 at the
    class text's node, which is in `sources` (M,), and 0 elsewhere.
    Conjugate gradients solve all columns together. A column stops when the length of its residual
    is at most `tolerance`; all columns stop after `iterations` steps, as published. A node that is
    more than `iterations` links away from a source has the score 0 for this source.
    """
    columns = torch.arange(len(sources), device=sources.device)
    residual = matrix.values().new_zeros(matrix.shape[0], len(sources))
    residual[sources, columns] = 1
    solution, direction = torch.zeros_like(residual), residual.clone()
    squares = residual.new_ones(len(sources))
    for _ in range(options.iterations):
        unsolved = squares > options.tolerance**2
        if not bool(unsolved.any()):
            break
        product = torch.addmm(direction, matrix, direction, alpha=-options.alpha)
        step = (squares / (direction * product).sum(dim=0)).where(unsolved, 0.0)
        solution.addcmul_(direction, step)
        residual.addcmul_(product, step, value=-1)
        previous_squares, squares = squares, residual.square().sum(dim=0)
        direction.mul_((squares / previous_squares).where(unsolved, 0.0)).add_(residual)
    return solution


# 3. Labels on which the learners agree, and the loss (section 3.3)


class LabelPropagationLabeler(JointLabeler[LabelPropagationOptions]):
    """Labeler that spreads labels from class texts to all images, at the start of every epoch.

    Labels are propagated once per learner (an adapted copy of the CLIP), with its features. If a
    learner re-encodes class texts (prototypes `templates` with `refresh: step` or `epoch`), labels
    spread from its adapted texts. Otherwise they spread from the zero-shot texts in all epochs.
    As published, ReCLIP trains the text tower of one learner and the image tower of another, so
    only the first of them uses adapted texts. An image that no label reaches has weight 0.
    """

    stream = "propagated"

    def label(
        self, learner: str, features: Tensor, aggregator: PrototypeAggregator[Any]
    ) -> JointLabels:
        """Label all images, and return the class centroids as classifier.

        The centroids are computed from the features before projection. Raises `LatteError` if no
        label reaches an image.
        """
        texts = self._text_nodes(learner, aggregator).to(features)
        nodes, classes = propagate(texts, features, self.options), len(texts)
        is_reached = nodes.reached[classes:]
        if not bool(is_reached.any()):
            raise LatteError(
                f"label-propagation reaches none of the {len(is_reached)} images of learner "
                f"{learner!r}: the nearest neighbours of texts are texts, and of images images",
                hint="raise `neighbours`, or keep `projection: true`",
            )
        node_features = torch.cat([texts, features])
        centroids = class_centroids(node_features, nodes.labels, nodes.reached, texts)
        classifier = Classifier(centroids, torch.arange(classes, device=centroids.device))
        return JointLabels(nodes.labels[classes:], is_reached.float(), classifier)

    def combine(self, labels: Mapping[str, JointLabels]) -> Mapping[str, JointLabels]:
        """Give weight 0 to images that learners label differently, unless `agreement` is false."""
        if not self.options.agreement:
            return labels
        opinions = torch.stack([joint_labels.labels for joint_labels in labels.values()])
        reached_weights = torch.stack([joint_labels.weights for joint_labels in labels.values()])
        agreed = (opinions == opinions[0]).all(dim=0) & (reached_weights > 0).all(dim=0)
        return {
            name: replace(joint_labels, weights=agreed.float())
            for name, joint_labels in labels.items()
        }

    def _text_nodes(self, learner: str, aggregator: PrototypeAggregator[Any]) -> Tensor:
        zero_shot = self.training.class_features
        if aggregator.class_features_refresh == "start":
            return zero_shot.detach()
        classifier = aggregator.classifier()
        if len(classifier.owners) != len(zero_shot):
            raise LatteError(
                f"label-propagation spreads from one text a class, and the prototypes of learner "
                f"{learner!r} have {len(classifier.owners)} for {len(zero_shot)} classes",
                hint="use prototypes with one vector a class, such as `templates`",
            )
        return classifier.weights[classifier.owners.argsort()]


def class_centroids(nodes: Tensor, labels: Tensor, counted: Tensor, texts: Tensor) -> Tensor:
    """Return the centroid (C, D) of each class: the unit mean of its texts and images.

    `nodes` (n, D) are the unit vectors of texts and images, and `labels` (n,) their classes. Only
    nodes with True in `counted` (n,) are averaged. A class without such nodes gets its text from
    `texts` (C, D) as centroid. Source: ReCLIP, section 3.3.
    """
    sums = torch.zeros_like(texts).index_add_(0, labels[counted], nodes[counted])
    lengths = sums.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, sums / lengths, texts)


class MaskedCrossEntropy(Loss[MaskedCrossEntropyOptions]):
    """Cross-entropy of each image over all classes, weighted per image."""

    def __call__(
        self, image_features: Tensor, supervision: Supervision, logit_scale: Tensor
    ) -> Tensor:
        """Return the loss of unit features (B, D), a scalar; 0 if all weights are 0."""
        fixed = self.options.logit_scale
        scale = logit_scale if fixed is None else fixed
        logits = scale * supervision.need_classifier().similarities(image_features)
        image_losses = cross_entropy(logits, supervision.stream.labels, reduction="none")
        weights = supervision.stream.weights.to(image_losses.dtype)
        total_weight = weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)
        mean = (image_losses * weights).sum() / total_weight
        return mean / len(weights) if self.options.normalization == "published" else mean
