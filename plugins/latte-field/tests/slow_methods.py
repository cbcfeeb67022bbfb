"""Slow references of the methods: their formulas as loops over numbers, in double precision.

Each function takes images (N, D), texts (C, D), the logit scale and answers (N,), and returns class
probabilities (N, C).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy
from numpy.typing import NDArray

Numbers = NDArray[numpy.float64]


def unit(vector: Numbers) -> Numbers:
    return vector / math.sqrt(sum(value * value for value in vector))


def softmax(values: Numbers) -> Numbers:
    powers = [math.exp(value - max(values)) for value in values]
    return numpy.array([power / sum(powers) for power in powers])


def zero_shot(images: Numbers, texts: Numbers, scale: float) -> Numbers:
    return numpy.array([softmax(scale * (texts @ image)) for image in images])


def fixed(rows: Numbers, answers: list[int]) -> Numbers:
    rows = rows.copy()
    for row, answer in enumerate(answers):
        if answer >= 0:
            rows[row] = [float(label == answer) for label in range(rows.shape[1])]
    return rows


def nearest(values: Numbers, count: int) -> list[int]:
    return sorted(range(len(values)), key=lambda place: -values[place])[:count]


def normalised(weights: Numbers) -> Numbers:
    symmetric = weights + weights.T
    degrees = [sum(row) for row in symmetric]
    result = numpy.zeros_like(symmetric)
    for row, column in itertools.product(range(len(degrees)), repeat=2):
        if symmetric[row, column] > 0:
            result[row, column] = symmetric[row, column] / math.sqrt(degrees[row] * degrees[column])
    return result


def zlap(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    classes, nodes = len(texts), len(texts) + len(images)
    weights = numpy.zeros((nodes, nodes))
    for row, image in enumerate(images):
        for near in nearest(images @ image, 5):
            if near != row:
                weights[classes + row, classes + near] = max(0.0, images[near] @ image)
        for near in nearest(texts @ image, 5):
            weights[classes + row, near] = max(0.0, texts[near] @ image) ** 5
    seeds = numpy.eye(nodes, classes)
    for row, answer in enumerate(answers):
        if answer >= 0:
            seeds[classes + row, answer] = 1
    scores = numpy.linalg.solve(numpy.eye(nodes) - 0.3 * normalised(weights), seeds)[classes:]
    sums: Numbers = scores.sum(axis=1, keepdims=True)
    return fixed(scores / sums, answers)


def ecalp(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    classes, nodes = len(texts), len(texts) + len(images)
    answered = [row for row, answer in enumerate(answers) if answer >= 0]
    weights = numpy.zeros((nodes, nodes))
    for row, image in enumerate(images):
        query = unit(image * texts.var(axis=0, ddof=1))
        for near in nearest(images @ query, 8):
            weights[classes + row, classes + near] += (images[near] @ query) ** 10
        for near in nearest(texts @ image, 3):
            weights[classes + row, near] += (texts[near] @ image) ** 10
        if len(answered) > 1:
            query = unit(image / images[answered].var(axis=0, ddof=1))
            for place in nearest(images[answered] @ query, 8):
                cosine = images[answered[place]] @ query
                weights[classes + row, classes + answered[place]] += cosine**10
    graph = normalised(weights)
    scores = fixed(numpy.zeros((len(images), classes)), answers)
    for _ in range(3):
        spread = graph @ numpy.concatenate([numpy.eye(classes), scores])
        scores = fixed(spread[classes:], answers)
    sums: Numbers = scores.sum(axis=1, keepdims=True)
    return scores / sums


def inmap(
    images: Numbers, texts: Numbers, scale: float, answers: list[int], steps: int = 2000
) -> Numbers:
    count, classes = len(images), len(texts)
    targets = zero_shot(images, texts, scale)
    for _ in range(20):
        targets = targets / targets.sum(axis=0) * count / classes
        targets = targets / targets.sum(axis=1, keepdims=True)
    for row in targets:
        if max(row) > 0.6:
            row[:] = [float(label == numpy.argmax(row)) for label in range(classes)]
    rows, rate, previous = texts.copy(), 10.0, math.inf
    temperature = 4 / scale
    for _ in range(steps):
        predicted = numpy.array([softmax(rows @ image / temperature) for image in images])
        gradient = (predicted - targets).T @ images
        norm = math.sqrt((gradient**2).sum())
        rate = rate / 2 if norm > previous else rate
        previous = norm
        rows = rows - rate / (count * temperature) * gradient
        rows = numpy.array([unit(row) for row in rows])
    return numpy.array([softmax(rows @ image / temperature) for image in images])


def otter(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    """Return one-hot rows of the best of all assignments with equally many images per class."""
    logs = numpy.log(zero_shot(images, texts, scale))
    each = len(images) // len(texts)
    best = max(
        (
            labels
            for labels in itertools.product(range(len(texts)), repeat=len(images))
            if all(labels.count(label) == each for label in range(len(texts)))
        ),
        key=lambda labels: sum(logs[row, label] for row, label in enumerate(labels)),
    )
    return numpy.eye(len(texts))[list(best)]


def digamma(value: float) -> float:
    below = 0.0
    while value < 12:
        below -= 1 / value
        value += 1
    inverse = 1 / value**2
    return below + math.log(value) - 0.5 / value - inverse * (1 / 12 - inverse / 120)


def inverse_digamma(target: float) -> float:
    low, high = 1e-6, 1e6
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if digamma(middle) < target else (low, middle)
    return low


def em_dirichlet(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    points = zero_shot(images, texts, 0.3 * scale)
    count, classes = points.shape
    assigned, alphas = fixed(points, answers), numpy.ones((classes, classes))
    for _ in range(20):
        for label in range(classes):
            weights = assigned[:, label] / assigned[:, label].sum()
            means = [sum(weights * numpy.log(points[:, place])) for place in range(classes)]
            for _ in range(30):
                digamma_of_sum = digamma(sum(alphas[label]))
                alphas[label] = [
                    min(max(inverse_digamma(digamma_of_sum + mean), 1e-3), 1e4) for mean in means
                ]
        logits = numpy.zeros((count, classes))
        for row, label in itertools.product(range(count), range(classes)):
            alpha = alphas[label]
            logits[row, label] = math.lgamma(sum(alpha)) - sum(map(math.lgamma, alpha))
            logits[row, label] += sum((alpha - 1) * numpy.log(points[row]))
            logits[row, label] += math.log(sum(assigned[:, label]) / count)
        assigned = fixed(numpy.array([softmax(row) for row in logits]), answers)
    return assigned


def neighbour_weights(images: Numbers, count: int) -> Numbers:
    weights = numpy.zeros((len(images), len(images)))
    for row, image in enumerate(images):
        cosines = images @ image
        cosines[row] = -math.inf
        near_images = nearest(cosines, count)
        for near in near_images:
            weights[row, near] = max(0.0, cosines[near]) / (2 * len(near_images))
    return weights + weights.T


def stata(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    prior = zero_shot(images, texts, scale)
    shares, classes = fixed(prior, answers), len(texts)
    anchor = sum(
        shares[row, label] * (images[row] - texts[label]) ** 2
        for row, label in itertools.product(range(len(images)), range(classes))
    ) / len(images)
    means, variances = texts.copy(), numpy.array([anchor] * classes)
    graph = neighbour_weights(images, 3)
    for _ in range(10):
        densities = numpy.array(
            [
                [
                    -0.5 * sum((image - mean) ** 2 / spread + numpy.log(spread))
                    for mean, spread in zip(means, variances, strict=True)
                ]
                for image in images
            ]
        )
        for _ in range(5):
            logits = numpy.log(prior) + densities / 50 + graph @ shares
            shares = fixed(numpy.array([softmax(row) for row in logits]), answers)
        for label in range(classes):
            hard = sum(numpy.argmax(row) == label for row in shares)
            beta = hard / (1 + hard)
            centre = unit(sum(shares[row, label] * images[row] for row in range(len(images))))
            means[label] = unit(beta * centre + (1 - beta) * texts[label])
            spread = sum(
                shares[row, label] * (images[row] - means[label]) ** 2 for row in range(len(images))
            ) / sum(shares[:, label])
            held = anchor + (texts[label] - means[label]) ** 2
            variances[label] = beta * spread + (1 - beta) * held
    return shares


def transclip(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    prior = zero_shot(images, texts, scale)
    shares, classes = fixed(prior, answers), len(texts)
    means = numpy.zeros_like(texts)
    for label in range(classes):
        near = nearest(shares[:, label], 8)
        weights = softmax(numpy.log(numpy.maximum(shares[near, label], 1e-30)))
        means[label] = unit(weights @ images[near])
    variances = numpy.full(images.shape[1], 1 / images.shape[1])
    graph = neighbour_weights(images, 10)
    for _ in range(10):
        densities = numpy.array(
            [[-0.5 * sum((image - mean) ** 2 / variances) for mean in means] for image in images]
        )
        for _ in range(5):
            logits = numpy.log(prior) + 0.1 * densities + 10 * graph @ shares
            shares = fixed(numpy.array([softmax(row) for row in logits]), answers)
        means = numpy.array([unit(shares[:, label] @ images) for label in range(classes)])
        variances = sum(
            shares[row, label] * (images[row] - means[label]) ** 2
            for row, label in itertools.product(range(len(images)), range(classes))
        ) / len(images)
    return shares


def frolic(images: Numbers, texts: Numbers, scale: float, answers: list[int]) -> Numbers:
    prior = zero_shot(images, texts, scale)
    classes = len(texts)
    columns = numpy.eye(classes)
    for label in range(classes):
        rows = [row for row in prior if numpy.argmax(row) == label]
        if rows:
            columns[:, label] = sum(rows) / len(rows)
    beta = numpy.full(classes, 1 / classes)
    for _ in range(200):
        beta = columns @ beta
    corrected = [[row[label] / beta[label] for label in range(classes)] for row in prior]
    return numpy.array([numpy.array(row) / sum(row) for row in corrected])


def tda(
    images: Numbers, texts: Numbers, scale: float, answers: list[int], order: list[int]
) -> Numbers:
    prior, classes = zero_shot(images, texts, scale), len(texts)
    positive: dict[int, list[tuple[float, int]]] = {}
    negative: dict[int, list[tuple[float, int]]] = {}
    result = numpy.zeros_like(prior)
    for row in order:
        label = int(numpy.argmax(prior[row]))
        entropy = -sum(share * math.log(share) for share in prior[row])
        positive[label] = sorted([*positive.get(label, []), (entropy, row)])[:3]
        if 0.2 < entropy / math.log2(classes) < 0.5:
            negative[label] = sorted([*negative.get(label, []), (entropy, row)])[:2]
        logits = scale * texts @ images[row]
        for cached_label, items in positive.items():
            for _, place in items:
                logits[cached_label] += 2 * math.exp(-5 * (1 - images[row] @ images[place]))
        for items in negative.values():
            for _, place in items:
                weight = 0.117 * math.exp(-(1 - images[row] @ images[place]))
                logits -= [weight * float(0.03 < share < 1) for share in prior[place]]
        result[row] = softmax(logits)
    return result


ReferenceMethod = Callable[[Numbers, Numbers, float, list[int]], Numbers]
METHODS: dict[str, ReferenceMethod] = {
    "zlap": zlap,
    "ecalp": ecalp,
    "inmap": inmap,
    "em-dirichlet": em_dirichlet,
    "stata": stata,
    "transclip": transclip,
    "frolic-bias": frolic,
}
TAKES_ANSWERS = ("zlap", "ecalp", "em-dirichlet", "stata", "transclip")
