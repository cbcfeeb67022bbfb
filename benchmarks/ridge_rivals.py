"""Linear and kernel methods for a few answers, as rivals of self-taught ridge regression.

Each has its published form. Settings that the papers choose on validation sets are constants here;
they were chosen on all sets of the measurement `self_taught`, in favour of the rivals.
A method gets unit features of own images (N, D), class texts (C, D), answers (N,) with -1 for none,
the logit scale, and unit features of unseen images. It returns labels of own and of unseen images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from benchmarks.answer_rivals import RivalLabels

_KERNEL, _KERNEL_RIDGE = 0.3, 0.01
_GDA_TEXT, _LEAST_TRACE = 1.0, 1e-6
_ROUNDS, _SINKHORN, _TEXT_TEMPERATURE = 3, 10, 0.005

Rival = Callable[[Tensor, Tensor, Tensor, float, Tensor], RivalLabels]


def ridge(
    images: Tensor, texts: Tensor, answers: Tensor, scale: float, unseen: Tensor
) -> RivalLabels:
    """Ridge regression on centred features that starts at half the centred texts."""
    middle = images.mean(dim=0)
    own, new = (normalize(part - middle, dim=1) for part in (images, unseen))
    start = normalize(texts - texts.mean(dim=0), dim=1) / 2
    given = answers >= 0
    rows, targets = own[given], _targets(answers[given], texts) - 1 / len(texts)
    inverse = torch.linalg.inv(rows @ rows.T + torch.eye(len(rows)))
    weights = start + (rows.T @ inverse @ (targets - rows @ start.T)).T
    return RivalLabels((own @ weights.T).argmax(dim=1), (new @ weights.T).argmax(dim=1))


def proker(
    images: Tensor, texts: Tensor, answers: Tensor, scale: float, unseen: Tensor
) -> RivalLabels:
    """ProKeR (Bendou et al., CVPR 2025): kernel ridge regression on the zero-shot residual."""
    given = answers >= 0
    shots = images[given]

    def kernel(rows: Tensor) -> Tensor:
        return (-_KERNEL * (1 - rows @ shots.T)).exp()

    def zero_shot(rows: Tensor) -> Tensor:
        return (scale * rows @ texts.T).softmax(dim=1)

    residual = _targets(answers[given], texts) - zero_shot(shots)
    system = kernel(shots) + _KERNEL_RIDGE * torch.eye(len(shots))
    weights = torch.linalg.solve(system, residual)
    own, new = (zero_shot(rows) + kernel(rows) @ weights for rows in (images, unseen))
    return RivalLabels(own.argmax(dim=1), new.argmax(dim=1))


def gda(
    images: Tensor, texts: Tensor, answers: Tensor, scale: float, unseen: Tensor
) -> RivalLabels:
    """GDA (Wang et al., ICLR 2024): Gaussians with one covariance, plus the zero-shot logits.

    With one answer per class, no covariance is known: it is then that of random unit vectors. A
    class without an answer has the mean of its text, moved by the gap between texts and images.
    """
    given, width = answers >= 0, images.shape[1]
    targets = _targets(answers[given], texts)
    sizes = targets.sum(dim=0).unsqueeze(1)
    moved = normalize(texts + images.mean(dim=0) - texts.mean(dim=0), dim=1)
    means = torch.where(sizes > 0, targets.T @ images[given] / sizes.clamp_min(1), moved)
    residuals = images[given] - means[answers[given]]
    scatter = residuals.T @ residuals
    trace = scatter.trace() / max(1, len(residuals))
    identity = torch.eye(width)
    system = scatter + trace * identity if trace > _LEAST_TRACE else identity
    rows = means @ (width * torch.linalg.inv(system))
    bias = -0.5 * (rows * means).sum(dim=1)
    own, new = (
        part @ rows.T + bias + _GDA_TEXT * scale * part @ texts.T for part in (images, unseen)
    )
    return RivalLabels(own.argmax(dim=1), new.argmax(dim=1))


def ss_text(
    images: Tensor, texts: Tensor, answers: Tensor, scale: float, unseen: Tensor
) -> RivalLabels:
    """SS-Text-U (arXiv 2603.02959): texts plus means of images by balanced labels and of answers.

    Labels are Sinkhorn's, with columns in the shares of the answers; a class without an answer has
    a quarter of the smallest share.
    """
    given = answers >= 0
    targets = _targets(answers[given], texts)
    counts = targets.sum(dim=0)
    smallest = counts[counts > 0].min() if bool(given.any()) else counts.new_tensor(4.0)
    shares = torch.where(counts > 0, counts, smallest / 4)
    shares = shares / shares.sum()
    taught = (counts / 2 / max(1, int(given.sum()))).unsqueeze(1) * (targets.T @ images[given])
    rows = texts
    for _ in range(_ROUNDS):
        logits = scale * images @ normalize(rows, dim=1).T
        labels = _balanced(logits, shares)
        rows = texts + (labels.T @ images / len(images) + taught) / _TEXT_TEMPERATURE
    own, new = ((part @ normalize(rows, dim=1).T).argmax(dim=1) for part in (images, unseen))
    return RivalLabels(own, new)


def _balanced(logits: Tensor, shares: Tensor) -> Tensor:
    """Return Sinkhorn's probabilities (N, C), whose columns have the shares (C,)."""
    labels = logits.softmax(dim=1)
    for _ in range(_SINKHORN):
        labels = labels * (len(labels) * shares / labels.sum(dim=0).clamp_min(1e-9))
        labels = labels / labels.sum(dim=1, keepdim=True)
    return labels


def _targets(labels: Tensor, texts: Tensor) -> Tensor:
    return one_hot(labels, len(texts)).to(texts)


RIVALS: Mapping[str, Rival] = {"ridge": ridge, "ProKeR": proker, "GDA": gda, "SS-Text-U": ss_text}
