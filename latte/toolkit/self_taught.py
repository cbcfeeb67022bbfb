"""Self-taught ridge regression: one method without answers and with them, on one page.

Given are N unit image features, C unit class texts t_c, and M answers: image i shows class y_i with
the reliability p_i (1 for a person's answer, 0 for an image without answer).

    m, l     = mean feature, mean length of (feature - m)
    x_i      = unit(feature_i - m)                                          centred images
    c_c      = unit(t_c - mean t); 0 for a class without text               centred texts
    b_c      = KEEP C / (C + M) (m . c_c - mean over classes) / l           what centring took
    S        = D^-1/2 (G + G') D^-1/2, G_ij = x_i . x_j >= 0 if j is one of the nearest of i

    f_i      = p_i (y_i - 1/C) + (1 - p_i) (R x_i + TEXT b)                 scores; y_i is one-hot
    g        = f smoothed over S: SMOOTHINGS times  g <- (1 - SMOOTH) f + SMOOTH S g
    R        = argmin  sum_i p_i |y_i - 1/C - R x_i - TEXT b|^2             the answers
                     + sum_i w_i |q_i - 1/C - R x_i - TEXT b|^2             its own labels q
                     + RIDGE |R - TEXT c|^2                                 the texts

In the first of ROUNDS + 1 regressions, all w_i are 0. For each further one, q_i = argmax_c g_i, and

    w_i      = TAUGHT (1 - p_i) min(1, mean size of a class / size of class q_i)

for the share SURE of images with the largest margins in g; sizes count these images, and the mean
leaves out classes with fewer than two. The probabilities are softmax(g / TEMPERATURE). New images
have no neighbours: their scores are R (feature - m) / l + TEXT b.

Further encoders: their centred unit features are appended to x_i, with zeros in c_c. "None of
these" is one more class without text, once two answers say so. Every sum over images is added up
in blocks, and columns of g do not depend on each other: so memory does not grow with N x C, and
blocks do not depend on the number of threads.

Self-training goes back to Scudder (1965) and Lee (2013, Pseudo-Label); ridge regression towards the
texts is the linear form of ProKeR (Bendou et al., CVPR 2025); smoothing over neighbours is that of
Zhou et al. (NIPS 2003). `python -m benchmarks self_taught` chose the constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from latte.interfaces import Posterior, Progress, long_task
from latte.toolkit.blocks import row_blocks
from latte.toolkit.neighbours import nearest_neighbours, symmetric_graph
from latte.toolkit.threads import parallel_map

TEXT, RIDGE, TAUGHT, SURE, KEEP = 0.75, 0.5, 0.25, 0.8, 0.25
NEIGHBOURS, SMOOTH, SMOOTHINGS, ROUNDS = 8, 0.5, 6, 2
TEMPERATURE = 0.2
LEAST_NONE, STORED = 2, 5
"""Least number of answers "none of these" that teach; number of classes per image in results."""
BLOCK_SCORES = 2**24  # largest number of scores of a block of classes


@dataclass(frozen=True)
class ImageAnswers:
    """Answers about N images."""

    classes: Tensor
    """(N,) int64: the class, C for "none of these", or -1 for no answer."""
    reliabilities: Tensor
    """(N,) in [0, 1]: probability that the answer is right; 0 is no answer."""

    @classmethod
    def of(cls, classes: Tensor, reliabilities: Tensor | None, texts: Tensor) -> ImageAnswers:
        """Return the answers that teach; see `LEAST_NONE`."""
        counted = (classes >= 0).to(texts)
        counted = counted if reliabilities is None else counted * reliabilities.to(texts)
        is_none = (classes == len(texts)) & (counted > 0)
        if int(is_none.sum()) < LEAST_NONE:
            counted = counted.masked_fill(is_none, 0.0)
        return cls(classes.where(counted > 0, -1), counted)


@dataclass(frozen=True)
class FeatureMoments:
    """Features of one model, before they are centred and scaled."""

    width: int
    mean: Tensor
    """(D,): mean over all images."""
    length: float
    """Mean length of the centred features."""


@dataclass(frozen=True)
class Taught:
    """Labels of all images; softmax(features @ rows.T + ... + bias) classifies new images.

    Example:
        >>> import torch
        >>> from latte.api import self_taught
        >>> taught = self_taught(torch.eye(8), torch.eye(8)[:2], torch.full((8,), -1))
        >>> [part.shape for part in taught.rows]
        [torch.Size([2, 8])]
    """

    posterior: Posterior
    rows: tuple[Tensor, ...]
    """(C, D) for the CLIP and (C, E) for each encoder; one more row if "none of these" teaches."""
    bias: Tensor


@dataclass(frozen=True)
class _Scores:
    """The best classes of each image after smoothing."""

    values: Tensor
    """(N, K): largest scores g, the largest first."""
    classes: Tensor
    """(N, K): their classes."""
    total: Tensor
    """(N,): log-sum-exp of g / TEMPERATURE over all classes."""
    last: Tensor
    """(N,): scores of the last class."""

    def joined(self, block: _Scores, count: int) -> _Scores:
        """Return the `count` best classes of both blocks; `other` has the last class."""
        values = torch.cat([self.values, block.values], dim=1)
        best = values.topk(min(count, values.shape[1]), dim=1)
        classes = torch.cat([self.classes, block.classes], dim=1).gather(1, best.indices)
        return _Scores(best.values, classes, self.total.logaddexp(block.total), block.last)


def self_taught(
    images: Tensor,
    texts: Tensor,
    answers: Tensor,
    *,
    reliabilities: Tensor | None = None,
    encoders: Sequence[Tensor] = (),
    progress: Progress | None = None,
) -> Taught:
    """Label all images by self-taught ridge regression; see the equations of this module.

    Args:
        images: (N, D): unit features of N > 0 images.
        texts: (C, D): unit features of the class texts.
        answers: (N,) int64: given classes, C for "none of these", and -1 for no answer.
        reliabilities: (N,) in [0, 1]: probability that each answer is right; None: 1.
        encoders: (N, E): unit features of the images by each encoder; see `is_useful_encoder`.
        progress: shows how far long work is; None: nothing is shown.

    Example:
        >>> import torch
        >>> from latte.api import self_taught
        >>> images = torch.eye(8)[[0, 0, 0, 1, 1, 1]]
        >>> nobody = torch.full((6,), -1)
        >>> self_taught(images, torch.eye(8)[:2], nobody).posterior.labels[:, 0].tolist()
        [0, 0, 0, 1, 1, 1]
    """
    work = len(images) * (ROUNDS + 2)
    with long_task(progress, "label images", work, "images") as task:
        return _taught(images, texts, answers, reliabilities, encoders, task.advance)


def _taught(
    images: Tensor,
    texts: Tensor,
    answers: Tensor,
    reliabilities: Tensor | None,
    encoders: Sequence[Tensor],
    advance: Callable[[int], object],
) -> Taught:
    image_answers = ImageAnswers.of(answers, reliabilities, texts)
    features, spaces = centred([images, *encoders])
    names, has_none = len(texts), bool((image_answers.classes == len(texts)).any())
    classes = names + has_none
    directions = normalize(texts - texts.mean(dim=0), dim=1)
    text_positions = (directions @ spaces[0].mean) / spaces[0].length
    text_weight = KEEP * names / (names + float(image_answers.reliabilities.sum()))
    bias = pad(TEXT * text_weight * (text_positions - text_positions.mean()), (0, int(has_none)))
    text_rows = pad(TEXT * directions, (0, features.shape[1] - texts.shape[1], 0, int(has_none)))
    graph = neighbour_graph(features, advance)
    examples = [(image_answers.classes, image_answers.reliabilities)]
    for round_ in range(ROUNDS + 1):
        rows = _regressed(features, text_rows, bias, examples)
        best = STORED + has_none if round_ == ROUNDS else 2
        scores = _scores(features, rows, bias, image_answers, graph, min(best, classes), advance)
        if round_ < ROUNDS:
            examples = [examples[0], _own_examples(scores, image_answers, classes)]
    model_rows = torch.split(rows, [space.width for space in spaces], dim=1)
    return Taught(_posterior(scores, names, classes), *_of_new_images(model_rows, spaces, bias))


def centred(models: Sequence[Tensor]) -> tuple[Tensor, list[FeatureMoments]]:
    """Return x (N, D + E + ...) of the features by each model, side by side, and their spaces."""
    widths = [features.shape[1] for features in models]
    rows = models[0].new_empty(len(models[0]), sum(widths))

    def fill(place: int) -> FeatureMoments:
        part, features = torch.split(rows, widths, dim=1)[place], models[place]
        mean = features.mean(dim=0)
        lengths = torch.sub(features, mean, out=part).norm(dim=1, keepdim=True)
        part /= lengths.clamp_min(torch.finfo(part.dtype).tiny)
        return FeatureMoments(widths[place], mean, float(lengths.mean()) or 1.0)

    return rows, [*parallel_map(fill, range(len(models)))]


def neighbour_graph(features: Tensor, advance: Callable[[int], object]) -> Tensor:
    """Return the graph S (N, N) of rows (N, P) of equal length, as a sparse matrix."""
    cosines, indices = nearest_neighbours(features, NEIGHBOURS, advance=advance)
    weights, edges = cosines.clamp_min(0), indices.flatten()
    degrees = weights.sum(dim=1).index_add(0, edges, weights.flatten())
    roots = degrees.clamp_min(torch.finfo(degrees.dtype).tiny).rsqrt()
    roots = torch.where(degrees > 0, roots, 0.0)
    return symmetric_graph(weights * roots.unsqueeze(1) * roots[indices], indices)


def _regressed(
    features: Tensor, text_rows: Tensor, bias: Tensor, examples: Sequence[tuple[Tensor, Tensor]]
) -> Tensor:
    """Return the rows R (C, P) of the ridge regression; an example is a class and a weight."""
    width, classes = features.shape[1], len(text_rows)
    weights = torch.stack([weight for _, weight in examples]).sum(dim=0)
    used = weights.nonzero().squeeze(1)

    def sums(block: slice) -> tuple[Tensor, Tensor, Tensor]:
        places = used[block]
        rows, weight = features[places], weights[places].unsqueeze(1)
        targets = rows.new_zeros(classes, width)
        for labels, share in examples:
            weighted = rows * share[places].unsqueeze(1)
            targets.index_add_(0, labels[places].clamp_min(0), weighted)
        return (weight * rows).T @ rows, targets, (weight * rows).sum(dim=0)

    square = torch.eye(width, dtype=torch.float64, device=features.device).mul_(RIDGE)
    targets, total = square.new_zeros(classes, width), square.new_zeros(width)
    for block_square, block_targets, block_total in parallel_map(
        sums, row_blocks(len(used), width)
    ):
        square += block_square
        targets += block_targets
        total += block_total
    # With R = TEXT c + B, the square of B alone is penalised.
    right_side = RIDGE * text_rows.double() + targets
    right_side -= torch.outer(1 / classes + bias.double(), total)
    (rows,) = parallel_map(
        lambda right: torch.cholesky_solve(right, torch.linalg.cholesky(square)), [right_side.T]
    )
    return rows.T.to(features)


def _scores(
    features: Tensor,
    rows: Tensor,
    bias: Tensor,
    image_answers: ImageAnswers,
    graph: Tensor,
    best: int,
    advance: Callable[[int], object],
) -> _Scores:
    """Return the `best` largest smoothed scores of each image, computed in blocks of classes."""
    count, classes = len(features), len(rows)
    answered = (image_answers.reliabilities > 0).nonzero().squeeze(1)
    reliabilities, labels = (
        image_answers.reliabilities[answered].unsqueeze(1),
        image_answers.classes[answered],
    )
    size = max(1, BLOCK_SCORES // count)

    def of_block(start: int) -> _Scores:
        numbers = torch.arange(start, min(start + size, classes), device=features.device)
        scores = torch.addmm(bias[numbers], features, rows[numbers].T)
        targets = (labels.unsqueeze(1) == numbers).to(scores) - 1 / classes
        scores[answered] = torch.lerp(scores[answered], targets, reliabilities)
        smooth = scores
        for _ in range(SMOOTHINGS if graph.values().numel() else 0):
            smooth = torch.addmm(scores, graph, smooth, beta=1 - SMOOTH, alpha=SMOOTH)
        top = smooth.topk(min(best, len(numbers)), dim=1)
        total = (smooth / TEMPERATURE).logsumexp(dim=1)
        return _Scores(top.values, top.indices + start, total, smooth[:, -1].clone())

    joined: _Scores | None = None
    starts = range(0, classes, size)
    for block in parallel_map(of_block, starts):
        joined = block if joined is None else joined.joined(block, best)
        advance(count // len(starts))
    assert joined is not None, "there is a class"
    return joined


def _own_examples(
    scores: _Scores, image_answers: ImageAnswers, classes: int
) -> tuple[Tensor, Tensor]:
    """Return the label q (N,) and the weight w (N,) of each image."""
    labels, values = scores.classes[:, 0], scores.values
    margins = values[:, 0] - values[:, -1]
    sure = margins.topk(max(1, int(SURE * len(margins)))).indices
    sizes = labels[sure].bincount(minlength=classes).to(values)
    repeated = sizes[sizes > 1]
    mean = repeated.mean() if len(repeated) else values.new_tensor(1.0)
    weights = (
        TAUGHT * (mean / sizes[labels[sure]]).clamp_max(1) * (1 - image_answers.reliabilities[sure])
    )
    return labels, torch.zeros_like(margins).index_copy(0, sure, weights)


def _posterior(scores: _Scores, names: int, classes: int) -> Posterior:
    """Return the probabilities of the likeliest names, and of "none of these" if it is a class."""
    values = scores.values.masked_fill(scores.classes == names, -torch.inf)
    best = values.topk(min(STORED, names), dim=1)
    probabilities = (best.values / TEMPERATURE - scores.total.unsqueeze(1)).exp()
    none = (scores.last / TEMPERATURE - scores.total).exp().cpu() if classes > names else None
    return Posterior(scores.classes.gather(1, best.indices).cpu(), probabilities.cpu(), none)


def _of_new_images(
    model_rows: Sequence[Tensor], spaces: Sequence[FeatureMoments], bias: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the rows and the bias of a classifier of unit features, from rows for directions."""
    rows, bias = [], bias / TEMPERATURE
    for part, space in zip(model_rows, spaces, strict=True):
        rows.append(part / (space.length * TEMPERATURE))
        bias = bias - rows[-1] @ space.mean
    return (*rows,), bias
