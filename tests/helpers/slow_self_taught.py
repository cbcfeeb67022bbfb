"""Self-taught ridge regression as its equations say it, image by image, in float64."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latte.toolkit import self_taught as method


def slow_scores(
    images: Tensor,
    texts: Tensor,
    answers: Tensor,
    reliabilities: Tensor | None = None,
    encoders: Sequence[Tensor] = (),
) -> tuple[Tensor, Tensor]:
    """Return the smoothed scores g (N, C) of the images, and R with TEXT b as last column."""
    count, names = len(images), len(texts)
    trust = [
        0.0 if label < 0 else (1.0 if reliabilities is None else float(reliabilities[image]))
        for image, label in enumerate(answers.tolist())
    ]
    says_none = [i for i in range(count) if answers[i] == names and trust[i] > 0]
    if len(says_none) < method.LEAST_NONE:
        for image in says_none:
            trust[image] = 0.0
    classes = names + (len(says_none) >= method.LEAST_NONE)
    directions, lengths, middles = [], [], []
    for features in [images, *encoders]:
        middle = features.double().mean(dim=0)
        centred = [row - middle for row in features.double()]
        lengths.append(sum(float(row.norm()) for row in centred) / count)
        directions.append([row / row.norm() for row in centred])
        middles.append(middle)
    x = torch.stack([torch.cat([part[image] for part in directions]) for image in range(count)])
    mean_text = texts.double().mean(dim=0)
    start = torch.zeros(classes, x.shape[1], dtype=torch.float64)
    text_positions = torch.zeros(names, dtype=torch.float64)
    for label in range(names):
        direction = texts[label].double() - mean_text
        direction = direction / direction.norm()
        start[label, : len(direction)] = method.TEXT * direction
        text_positions[label] = middles[0] @ direction / lengths[0]
    bias = torch.zeros(classes, dtype=torch.float64)
    bias[:names] = (
        method.TEXT
        * method.KEEP
        * names
        / (names + sum(trust))
        * (text_positions - text_positions.mean())
    )
    graph = slow_graph(x)
    targets = torch.full((count, classes), -1 / classes, dtype=torch.float64)
    for image in range(count):
        if trust[image] > 0:
            targets[image, answers[image]] += 1
    examples = [(image, targets[image], trust[image]) for image in range(count)]
    taught: list[tuple[int, Tensor, float]] = []
    for _ in range(method.ROUNDS + 1):
        square = method.RIDGE * torch.eye(x.shape[1], dtype=torch.float64)
        change = torch.zeros(x.shape[1], classes, dtype=torch.float64)
        for image, target, weight in [*examples, *taught]:
            square += weight * torch.outer(x[image], x[image])
            change += weight * torch.outer(x[image], target - start @ x[image] - bias)
        rows = start + torch.linalg.solve(square, change).T
        scores = torch.stack(
            [
                trust[image] * targets[image] + (1 - trust[image]) * (rows @ x[image] + bias)
                for image in range(count)
            ]
        )
        smooth = scores
        for _ in range(method.SMOOTHINGS):
            smooth = (1 - method.SMOOTH) * scores + method.SMOOTH * graph @ smooth
        taught = slow_examples(smooth, trust)
    return smooth, torch.cat([rows, bias.unsqueeze(1)], dim=1)


def slow_graph(x: Tensor) -> Tensor:
    """Return S (N, N)."""
    unit = x / x.norm(dim=1, keepdim=True)
    graph = torch.zeros(len(x), len(x), dtype=torch.float64)
    for image in range(len(x)):
        cosines = unit @ unit[image]
        cosines[image] = -2
        for neighbour in cosines.topk(min(method.NEIGHBOURS, len(x) - 1)).indices.tolist():
            graph[image, neighbour] += cosines[neighbour].clamp_min(0)
            graph[neighbour, image] += cosines[neighbour].clamp_min(0)
    roots = graph.sum(dim=1).rsqrt()
    return roots.unsqueeze(1) * graph * roots


def slow_examples(smooth: Tensor, trust: Sequence[float]) -> list[tuple[int, Tensor, float]]:
    """Return image, target and weight of each example that the method gives itself."""
    count, classes = smooth.shape
    best = smooth.topk(2, dim=1)
    margins = best.values[:, 0] - best.values[:, 1]
    sure = margins.topk(int(method.SURE * count)).indices.tolist()
    labels = best.indices[:, 0].tolist()
    sizes = [sum(labels[image] == label for image in sure) for label in range(classes)]
    repeated = [size for size in sizes if size > 1]
    mean = sum(repeated) / len(repeated)
    examples = []
    for image in sure:
        target = torch.full((classes,), -1 / classes, dtype=torch.float64)
        target[labels[image]] += 1
        weight = method.TAUGHT * (1 - trust[image]) * min(1.0, mean / sizes[labels[image]])
        examples.append((image, target, weight))
    return examples
