"""Training-free methods that latte does not ship, written from their papers' formulas.

Each function takes a folder and returns labels of its own images and of unseen images.
"""

from __future__ import annotations

import torch
from latte_benchmarks.folder_cells import Folder
from torch import Tensor
from torch.nn.functional import normalize

Labels = tuple[Tensor, Tensor]
"""Labels of own images (N,) and of unseen images (M,)."""

_NEIGHBOURS = 5
_TEXT_POWER = 2.0
_ALPHA = 0.5
_ZLAP_ROUNDS = 30
"""Number of terms of the series for the inverse; further terms vanish in fp32."""
_STATA_ROUNDS, _STATA_STEPS, _STATA_NEIGHBOURS = 10, 5, 3
_STATA_LIKELIHOOD = 1 / 50
_MIXTURE_ROUNDS, _MIXTURE_STEPS, _MIXTURE_NEIGHBOURS, _MIXTURE_ANCHORS = 10, 5, 10, 8
_MIXTURE_LIKELIHOOD, _MIXTURE_SMOOTHING = 0.1, 10.0
_SMALLEST_VARIANCE = 1e-7
_SINKHORN_ROUNDS, _INMAP_SOFTER = 20, 4.0


def label_propagation(folder: Folder) -> Labels:
    """ZLaP (Kalantidis et al. 2024, arXiv 2404.04072) with stronger text edges.

    Scores are (I - alpha S)^-1 Y over a graph of class texts and images, S = D^-1/2 W D^-1/2. An
    image is linked to its nearest images and, by powers of cosines, to its nearest texts. The
    scores of an unseen image are those of its neighbours in the graph.
    """
    texts, images = folder.texts, folder.own.features
    classes, nodes = len(texts), len(texts) + len(images)
    near, cosines = _nearest_others(images, _NEIGHBOURS - 1)
    text_indices, affinities = _nearest_texts(images, texts)
    text_nodes = torch.arange(classes, nodes)
    rows = torch.cat(
        [
            text_nodes.repeat_interleave(near.shape[1]),
            text_nodes.repeat_interleave(text_indices.shape[1]),
        ]
    )
    columns = torch.cat([near.flatten() + classes, text_indices.flatten()])
    values = torch.cat([cosines.flatten(), affinities.flatten()])
    weights = _symmetric(rows, columns, values, nodes)
    degrees = torch.zeros(nodes).index_add(0, weights.indices()[0], weights.values())
    scale = degrees.clamp_min(1e-12).rsqrt()
    rows, columns = weights.indices()
    graph = _csr(weights.indices(), weights.values() * scale[rows] * scale[columns], nodes)
    seeds = torch.eye(nodes, classes)
    scores = seeds
    for _ in range(_ZLAP_ROUNDS):
        scores = seeds + _ALPHA * (graph @ scores)
    return scores[classes:].argmax(dim=1), _propagated(folder, scores).argmax(dim=1)


def stata(folder: Folder) -> Labels:
    """StatA (Zanella et al. 2025, arXiv 2501.03729): Gaussians, anchored at the class texts."""
    texts, images, count = folder.texts, folder.own.features, len(folder.own)
    prior = (folder.logit_scale * images @ texts.T).log_softmax(dim=1)
    prior_probabilities = prior.exp()
    anchor_spread = _spread(images, prior_probabilities, texts).sum(dim=0, keepdim=True) / count
    means, variances, shares = texts, anchor_spread.expand_as(texts), prior_probabilities
    near, cosines = _nearest_others(images, _STATA_NEIGHBOURS)
    rows = torch.arange(count).repeat_interleave(near.shape[1])
    graph = _symmetric(rows, near.flatten(), cosines.flatten(), count)
    graph = _csr(graph.indices(), graph.values() / (2 * _STATA_NEIGHBOURS), count)
    for _ in range(_STATA_ROUNDS):
        fixed = prior + _STATA_LIKELIHOOD * _log_densities(images, means, variances)
        for _ in range(_STATA_STEPS):
            shares = (fixed + graph @ shares).softmax(dim=1)
        hard = shares.argmax(dim=1).bincount(minlength=len(texts)).float()
        weight = (hard / (1 + hard)).unsqueeze(1)
        centres = normalize(shares.T @ images, dim=1)
        means = normalize(torch.lerp(texts, centres, weight), dim=1)
        held = anchor_spread + (texts - means).square()
        counts = shares.sum(dim=0).unsqueeze(1).clamp_min(1e-12)
        variances = torch.lerp(held, _spread(images, shares, means) / counts, weight)
        variances = variances.clamp_min(_SMALLEST_VARIANCE)
    unseen = (folder.logit_scale * folder.test.features @ texts.T).log_softmax(dim=1)
    unseen += _STATA_LIKELIHOOD * _log_densities(folder.test.features, means, variances)
    return shares.argmax(dim=1), unseen.argmax(dim=1)


def transclip(folder: Folder) -> Labels:
    """TransCLIP-ZS (Zanella, Gherin, Ben Ayed, NeurIPS 2024), with the weights named above.

    A class is a Gaussian with shared variances; the prior is the softmax of the text similarities,
    and a term makes neighbours agree. Unseen images are classified by cosine with unit rows.
    """
    texts, images = folder.texts, folder.own.features
    prior = (folder.logit_scale * images @ texts.T).log_softmax(dim=1)
    near, cosines = _nearest_others(images, _MIXTURE_NEIGHBOURS)
    rows = torch.arange(len(images)).repeat_interleave(near.shape[1])
    values = cosines.flatten() / max(2 * near.shape[1], 1)
    graph = _symmetric(rows, near.flatten(), values, len(images))
    graph = _csr(graph.indices(), graph.values(), len(images))
    best, places = prior.topk(min(_MIXTURE_ANCHORS, len(images)), dim=0)
    means = normalize(torch.einsum("kc,kcd->cd", best.softmax(dim=0), images[places]), dim=1)
    variances = torch.full_like(images[0], 1 / images.shape[1])
    shares = prior.exp()
    for _ in range(_MIXTURE_ROUNDS):
        rates = means / variances
        fixed = prior + _MIXTURE_LIKELIHOOD * (images @ rates.T - 0.5 * (means * rates).sum(dim=1))
        for _ in range(_MIXTURE_STEPS):
            shares = (fixed + _MIXTURE_SMOOTHING * (graph @ shares)).softmax(dim=1)
        sums, counts = shares.T @ images, shares.sum(dim=0)
        lengths = sums.norm(dim=1, keepdim=True)
        means = torch.where(lengths > 0, sums / lengths, means)
        squares = images.square().sum(dim=0) - 2 * (sums * means).sum(dim=0)
        variances = (squares + counts @ means.square()) / len(images)
        variances = variances.clamp_min(_SMALLEST_VARIANCE)
    unit = normalize(means * (_MIXTURE_LIKELIHOOD / variances) + folder.logit_scale * texts, dim=1)
    return shares.argmax(dim=1), (folder.test.features @ unit.T).argmax(dim=1)


def inmap(folder: Folder) -> Labels:
    """InMaP (Qian, Xu, Hu, NeurIPS 2023), with temperatures relative to the CLIP's logit scale.

    Labels are balanced by Sinkhorn's iterations. Then proxies W, unit rows, minimise the cross
    entropy between the labels and the softmax of X W^T at four times the CLIP's temperature.
    """
    images, texts = folder.own.features, folder.texts
    shares = (folder.logit_scale * images @ texts.T).softmax(dim=1)
    for _ in range(_SINKHORN_ROUNDS):
        shares = shares / shares.sum(dim=0) * len(images) / len(texts)
        shares = shares / shares.sum(dim=1, keepdim=True)
    proxies = texts.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([proxies], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = folder.logit_scale / _INMAP_SOFTER * images @ normalize(proxies, dim=1).T
        value = -(shares * logits.log_softmax(dim=1)).sum(dim=1).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    rows = normalize(proxies.detach(), dim=1)
    return (images @ rows.T).argmax(dim=1), (folder.test.features @ rows.T).argmax(dim=1)


RIVALS = {
    "inmap": inmap,
    "label-propagation": label_propagation,
    "stata": stata,
    "transclip": transclip,
}


def _propagated(folder: Folder, scores: Tensor) -> Tensor:
    """Return scores (M, C) of unseen images from the `scores` (C + N, C) of their neighbours."""
    texts, images, unseen = folder.texts, folder.own.features, folder.test.features
    near = (unseen @ images.T).topk(min(_NEIGHBOURS, len(images)), dim=1)
    text_indices, affinities = _nearest_texts(unseen, texts)
    by_image = scores[near.indices + len(texts)] * near.values.clamp_min(0).unsqueeze(2)
    return by_image.sum(dim=1) + (scores[text_indices] * affinities.unsqueeze(2)).sum(dim=1)


def _nearest_others(images: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the nearest other images (N, k), and their cosines, at least 0."""
    cosines = (images @ images.T).fill_diagonal_(-torch.inf)
    nearest = cosines.topk(min(count, len(images) - 1), dim=1)
    return nearest.indices, nearest.values.clamp_min(0)


def _nearest_texts(images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the nearest texts (N, k), and the weights of the links to them."""
    nearest = (images @ texts.T).topk(min(_NEIGHBOURS, len(texts)), dim=1)
    return nearest.indices, nearest.values.clamp_min(0) ** _TEXT_POWER


def _symmetric(rows: Tensor, columns: Tensor, values: Tensor, size: int) -> Tensor:
    """Return W + W^T as a coalesced sparse matrix (size, size)."""
    indices = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
    return torch.sparse_coo_tensor(
        indices, values.repeat(2), (size, size), check_invariants=False
    ).coalesce()


def _csr(indices: Tensor, values: Tensor, size: int) -> Tensor:
    """Return a sparse CSR matrix; suppress torch's warning that this layout is in beta."""
    import warnings

    with warnings.catch_warnings(action="ignore"):
        return torch.sparse_coo_tensor(
            indices, values, (size, size), is_coalesced=True, check_invariants=False
        ).to_sparse_csr()


def _spread(images: Tensor, shares: Tensor, means: Tensor) -> Tensor:
    """Return sums (C, D) of the images' squared distances to means, weighted by shares (N, C)."""
    counts = shares.sum(dim=0).unsqueeze(1)
    crossed = 2 * means * (shares.T @ images)
    return (shares.T @ images.square() - crossed + counts * means.square()).clamp_min(0)


def _log_densities(images: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Return log-likelihoods (N, C) of diagonal Gaussians, without the constant."""
    rates = 1 / variances
    constant = (means.square() * rates).sum(dim=1) + variances.log().sum(dim=1)
    return images @ (means * rates).T - 0.5 * (images.square() @ rates.T) - 0.5 * constant
