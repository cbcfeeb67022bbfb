"""The sparse, chunked computation equals the published dense one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_reclip.reclip import (
    LabelPropagationOptions,
    class_directions,
    class_scores,
    highest_scores,
    project,
    propagate,
    propagation_matrix,
)
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import nearest_neighbours

OPTIONS = LabelPropagationOptions()
EXACT = OPTIONS.model_copy(update={"iterations": 2000, "tolerance": 1e-13})

GRAPHS = st.tuples(st.integers(2, 60), st.integers(1, 12), st.integers(0, 2**16))
"""Nodes, neighbours, seed."""


def unit(rows: int, width: int = 24, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=1).to(
        dtype
    )


def clustered(classes: int, images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Texts with a common direction, and images around them, in float64."""
    texts = normalize(unit(classes, seed=seed) + 2 * unit(1, seed=seed + 1), dim=1)
    near = texts[torch.arange(images) % classes]
    return texts, normalize(near + 0.8 * unit(images, seed=seed + 2), dim=1)


def dense_matrix(nodes: Tensor, neighbours: int) -> Tensor:
    """S (n, n) as the released code builds it."""
    affinities = (nodes @ nodes.T + 1) / 2
    affinities.fill_diagonal_(0)
    nearest_affinities = affinities.topk(min(neighbours, len(nodes) - 1), dim=1)
    nearest = torch.zeros_like(affinities).scatter(
        1, nearest_affinities.indices, nearest_affinities.values
    )
    graph = (nearest + nearest.T) / 2
    scales = graph.sum(dim=1).rsqrt()
    return scales[:, None] * graph * scales[None, :]


def dense_gradients(matrix: Tensor, source: int, iterations: int) -> Tensor:
    """Textbook conjugate gradients for one class."""
    system = torch.eye(len(matrix), dtype=matrix.dtype) - OPTIONS.alpha * matrix
    solution, residual = torch.zeros(len(matrix), dtype=matrix.dtype), torch.zeros(len(matrix))
    residual = residual.to(matrix.dtype)
    residual[source] = 1
    direction = residual.clone()
    for _ in range(iterations):
        if residual.norm() <= OPTIONS.tolerance:
            break
        step = residual.dot(residual) / direction.dot(system @ direction)
        solution = solution + step * direction
        old, residual = residual, residual - step * (system @ direction)
        direction = residual + residual.dot(residual) / old.dot(old) * direction
    return solution


@pytest.mark.parametrize(("classes", "images", "seed"), [(5, 60, 0), (20, 280, 1), (37, 200, 2)])
def test_twenty_sparse_steps_equal_twenty_dense_steps(classes: int, images: int, seed: int) -> None:
    texts, photos = clustered(classes, images, seed)
    nodes = torch.cat([texts, photos])
    dense = dense_matrix(nodes, 20)
    expected = torch.stack([dense_gradients(dense, label, 20) for label in range(classes)], dim=1)
    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        sparse = propagation_matrix(*nearest_neighbours(nodes.to(dtype), 20))
        scores = class_scores(sparse, torch.arange(classes), OPTIONS)
        assert torch.allclose(scores.double(), expected, rtol=0, atol=tolerance)
        labels = highest_scores(sparse, classes, OPTIONS).labels
        assert torch.equal(labels, expected.argmax(dim=1))


def test_many_sparse_steps_equal_the_direct_solution() -> None:
    texts, photos = clustered(12, 250, 3)
    nodes = torch.cat([texts, photos])
    dense = dense_matrix(nodes, 20)
    system = torch.eye(len(nodes), dtype=torch.float64) - OPTIONS.alpha * dense
    expected = torch.linalg.solve(system, torch.eye(len(nodes), dtype=torch.float64)[:, :12])
    sparse = propagation_matrix(*nearest_neighbours(nodes, 20))
    assert torch.allclose(class_scores(sparse, torch.arange(12), EXACT), expected, atol=1e-9)
    assert torch.equal(highest_scores(sparse, 12, EXACT).labels, expected.argmax(dim=1))


def test_the_whole_equals_the_published_steps() -> None:
    texts, photos = clustered(15, 240, 4)
    left = torch.linalg.svd(texts.T, full_matrices=False).U
    projector = left[:, 1:768] @ left[:, 1:768].T
    nodes = normalize(torch.cat([texts, photos]) @ projector, dim=1)
    dense = dense_matrix(nodes, 20)
    expected = torch.stack([dense_gradients(dense, label, 20) for label in range(15)], dim=1)
    propagated = propagate(texts, photos, OPTIONS)
    assert torch.equal(propagated.labels, expected.argmax(dim=1))
    assert bool(propagated.reached.all())
    assert (propagated.labels[15:] == torch.arange(240) % 15).float().mean() > 0.5


@given(GRAPHS)
@settings(deadline=None, max_examples=30)
def test_the_graph_is_symmetric_and_its_largest_eigenvalue_is_one(
    graph: tuple[int, int, int],
) -> None:
    count, neighbours, seed = graph
    matrix = propagation_matrix(*nearest_neighbours(unit(count, seed=seed), neighbours)).to_dense()
    assert torch.allclose(matrix, matrix.T, atol=1e-12)
    assert bool((matrix.diagonal() == 0).all())
    assert bool((matrix >= 0).all())
    assert torch.linalg.eigvalsh(matrix)[-1] == pytest.approx(1, abs=1e-9)


def test_solving_in_blocks_of_classes_changes_nothing() -> None:
    texts, photos = clustered(11, 90, 5)
    matrix = propagation_matrix(*nearest_neighbours(torch.cat([texts, photos]), 1))
    in_one_block = highest_scores(matrix, 11, OPTIONS)
    assert 0 < int(in_one_block.reached.sum()) < 101
    assert bool((in_one_block.labels[~in_one_block.reached] == 0).all())
    for column_bytes in (1, 3000):
        blocks = highest_scores(matrix, 11, OPTIONS, column_bytes)
        assert torch.equal(in_one_block.labels, blocks.labels)
        assert torch.equal(in_one_block.reached, blocks.reached)


def test_propagation_repeats_to_the_bit() -> None:
    texts, photos = (rows.float() for rows in clustered(9, 120, 6))
    propagated, repeated = propagate(texts, photos, OPTIONS), propagate(texts, photos, OPTIONS)
    assert torch.equal(propagated.labels, repeated.labels)


def test_opposite_rows_do_not_break_the_graph() -> None:
    """With two classes, one direction is left, and every cosine is 1 or -1."""
    texts, photos = (rows.float() for rows in clustered(2, 30, 7))
    propagated = propagate(texts, photos, OPTIONS)
    assert propagated.labels[:2].tolist() == [0, 1]
    matrix = propagation_matrix(*nearest_neighbours(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), 20))
    assert bool(matrix.to_dense().isfinite().all())


@given(st.integers(2, 12), st.integers(2, 8), st.integers(2, 16), st.integers(0, 2**16))
@settings(deadline=None, max_examples=30)
def test_projection_drops_what_all_classes_share(
    classes: int, width: int, cut_dim: int, seed: int
) -> None:
    texts, images = unit(classes, width, seed), unit(5, width, seed + 1)
    directions = class_directions(texts, cut_dim)
    count = min(classes, width, cut_dim) - 1
    assert directions.shape == (width, count)
    identity = torch.eye(count, dtype=torch.float64)
    assert torch.allclose(directions.T @ directions, identity, atol=1e-9)
    shared = torch.linalg.svd(texts.T).U[:, 0]
    assert float((directions.T @ shared).abs().max()) < 1e-9
    projected, published = project(images, directions), images @ directions @ directions.T
    assert torch.allclose(projected @ projected.T, published @ published.T, atol=1e-9)


def test_a_single_class_is_not_projected_away() -> None:
    texts, images = unit(1), unit(4, seed=1)
    assert torch.equal(project(images, class_directions(texts, 768)), images)
