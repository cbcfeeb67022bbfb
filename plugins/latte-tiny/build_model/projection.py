"""Train the projections of both towers into the joint space, on frozen image features.

There are three sources of supervision: captions for scenes, stamps (named cut-outs of objects) for
single objects on a plain background, and the image tower's ImageNet head for object names. No
ImageNet image is used: the head's predictions are soft targets on real crops, on stamps, and on
feature vectors that are synthesised from the head.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from torch import Tensor, nn

log = logging.getLogger(__name__)

FEATURES = 1280


@dataclass(frozen=True)
class Pairs:
    """Images with the texts that describe them."""

    views: Tensor
    """(V, N, 1280): features of V views of each image."""
    texts: Tensor
    """(T, N, W): pooled text vectors of T texts per image, before the text projection."""
    groups: Tensor
    """(N,) int64: images of the same group have the same meaning and are not negatives."""

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, texts and groups of `count` random images."""
        index = torch.randint(self.views.shape[1], (count,))
        view = torch.randint(len(self.views), (count,))
        text = torch.randint(len(self.texts), (count,))
        return self.views[view, index], self.texts[text, index], self.groups[index]


@dataclass(frozen=True)
class Weights:
    """Weights of the terms of the loss."""

    photo_names: float = 4.0
    stamp_names: float = 2.0
    synthetic_names: float = 5.0


class Joint(nn.Module):
    """Trainable part of the model: image projection, text projection and temperature."""

    def __init__(self, text_projection: Tensor, embed: int) -> None:
        super().__init__()
        self.head = Mlp(FEATURES, 2 * embed, embed, drop=(0.0, 0.0), bias=(True, False))
        self.text_projection = nn.Parameter(text_projection.clone())
        self.logit_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))

    def images(self, features: Tensor) -> Tensor:
        """Return unit-length image embeddings."""
        return F.normalize(self.head((features - self.mean) / self.deviation), dim=-1)

    def texts(self, pooled: Tensor) -> Tensor:
        """Return unit-length text embeddings."""
        return F.normalize(pooled @ self.text_projection, dim=-1)

    def folded_head(self) -> dict[str, Tensor]:
        """Return the weights of the image projection.

        The standardisation of the features is merged into the first layer.
        """
        state = {key: value.detach().clone() for key, value in self.head.state_dict().items()}
        weight = state["fc1.weight"] / self.deviation
        state["fc1.bias"] = state["fc1.bias"] - weight @ self.mean
        state["fc1.weight"] = weight
        return state


class Synthesiser:
    """Generator of feature vectors of ImageNet classes, from the head and real features.

    In a linear discriminant, the mean of a class is its weight vector multiplied by the covariance.
    Adding this direction to a real feature vector and clipping at zero gives a plausible feature
    vector of the class, without an image of the class.
    """

    def __init__(self, real: Tensor, weight: Tensor, bias: Tensor) -> None:
        covariance = torch.cov(real.T)
        means = (weight - weight.mean(0)) @ covariance
        self.real = real
        self.means = means / means.norm(dim=1, keepdim=True) * real.std(0).norm()
        self.weight, self.bias = weight, bias

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Return `count` random features and the ImageNet head's logits for them."""
        base = self.real[torch.randint(len(self.real), (count,))]
        label = torch.randint(len(self.means), (count,))
        strength = 0.6 + 1.2 * torch.rand(count, 1)
        keep = 0.3 + 0.5 * torch.rand(count, 1)
        center = self.real.mean(0)
        mixed = center + keep * (base - center) + strength * self.means[label]
        features = mixed.clamp_min(0)
        return features, features @ self.weight.T + self.bias


def soft_names(logits: Tensor, images: Tensor, names: Tensor, scale: Tensor) -> Tensor:
    """Return the KL divergence from the ImageNet head's predictions to zero-shot predictions."""
    given = (scale * images @ names.T).log_softmax(-1)
    return F.kl_div(given, logits.softmax(-1), reduction="batchmean")


def contrast(images: Tensor, texts: Tensor, groups: Tensor, scale: Tensor) -> Tensor:
    """Return the symmetric contrastive loss, in which all pairs of one group are positives."""
    logits = scale * images @ texts.T
    same = (groups[:, None] == groups[None, :]).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def train(
    photos: Pairs,
    stamps: Pairs,
    names: Tensor,
    head: dict[str, Tensor],
    text_projection: Tensor,
    *,
    steps: int,
    batch: int = 256,
    rate: float = 2e-3,
    text_rate: float = 3e-4,
    weights: Weights | None = None,
    seed: int = 2,
) -> Joint:
    """Return the projections trained on cached features.

    `names` (templates, 1000, W) are pooled text vectors of the ImageNet class names.
    """
    weights = weights or Weights()
    torch.manual_seed(seed)
    weight, bias = head["weight"], head["bias"]
    joint = Joint(text_projection, text_projection.shape[1])
    flat = torch.cat([photos.views.flatten(0, 1), stamps.views.flatten(0, 1)])
    joint.mean.copy_(flat.mean(0))
    joint.deviation.copy_(flat.std(0) + 1e-3)
    synthesiser = Synthesiser(flat, weight, bias)
    optimizer = torch.optim.AdamW(
        [
            {"params": joint.head.parameters(), "lr": rate, "weight_decay": 0.05},
            {"params": [joint.text_projection], "lr": text_rate, "weight_decay": 0.0},
            {"params": [joint.logit_scale], "lr": 1e-3, "weight_decay": 0.0},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [rate, text_rate, 1e-3], total_steps=steps, pct_start=0.1
    )
    for step in range(steps):
        scale = joint.logit_scale.exp().clamp(max=100)
        named = joint.texts(names[int(torch.randint(len(names), ()))])
        made, opinion = synthesiser.draw(batch // 2)
        loss = weights.synthetic_names * soft_names(opinion, joint.images(made), named, scale)
        for pairs, count, part in (
            (photos, batch, weights.photo_names),
            (stamps, batch // 2, weights.stamp_names),
        ):
            pixels, texts, groups = pairs.draw(count)
            images = joint.images(pixels)
            loss = loss + contrast(images, joint.texts(texts), groups, scale)
            loss = loss + part * soft_names(pixels @ weight.T + bias, images, named, scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            log.info("joint %d/%d loss %.4f scale %.1f", step + 1, steps, loss.item(), scale.item())
    return joint.eval()
