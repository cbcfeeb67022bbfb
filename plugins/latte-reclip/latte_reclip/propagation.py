"""Projection and label propagation (ReCLIP, sections 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import nearest_neighbours, symmetric_graph
from latte_reclip.options import LabelPropagationOptions

COLUMN_BYTES = 2**26
"""Largest size in bytes of a (nodes, classes) matrix; the solver holds five such matrices."""


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


def class_directions(class_features: Tensor, cut_dim: int) -> Tensor:
    """Return an orthonormal basis (D, R) of the directions in which the class texts (C, D) differ.

    These are the left singular vectors 2 to `cut_dim` of the class texts; the first vector is a
    direction that all texts share. R = min(D, C, cut_dim) - 1.
    """
    left: Tensor = torch.linalg.svd(class_features.T, full_matrices=False).U
    return left[:, 1:cut_dim]


def project(features: Tensor, directions: Tensor) -> Tensor:
    """Return the coordinates (N, R) of features (N, D) in an orthonormal basis (D, R).

    The coordinates have the same lengths and angles as the projected features `features @
    directions @ directions.T` (N, D), and take less memory and time. If the basis is empty (a
    single class), the features are returned unchanged.
    """
    return features @ directions if directions.shape[1] else features


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
    best = matrix.values().new_zeros(nodes)
    labels = torch.zeros(nodes, dtype=torch.int64, device=best.device)
    size = max(1, column_bytes // (nodes * best.element_size()))
    for first in range(0, classes, size):
        sources = torch.arange(first, min(first + size, classes), device=best.device)
        highest, column = class_scores(matrix, sources, options).max(dim=1)
        better = highest > best
        labels = torch.where(better, first + column, labels)
        best = torch.maximum(best, highest)
    return Propagated(labels, best > 0)


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
        before, squares = squares, residual.square().sum(dim=0)
        direction.mul_((squares / before).where(unsolved, 0.0)).add_(residual)
    return solution
