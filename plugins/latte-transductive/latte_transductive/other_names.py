"""Mixture with names of other things, and with text logits that use all class names.

**Names of other things.** A folder holds images that show no class, and the list has classes that
no image shows. Both make a Gaussian move to images of something else. So the mixture has further
classes, with ordinary names that are unlike the user's names. They take such images, and are
dropped at the end: the probability that an image lacks is the probability that it shows something
else. The mixture is fitted twice, with two sets of names, and both results are averaged.

**Balance.** A CLIP prefers some class texts whatever the image shows. A quarter of the shifts that
would make all classes equally probable is added to the text logits. The shifts are the column
potentials of Sinkhorn and Knopp (1967), as InMaP uses them (Qian, Xu, Hu: Intra-Modal Proxy
Learning for Zero-Shot Visual Categorization with CLIP, NeurIPS 2023). All of them would assume that
every class has equally many images; a quarter of them loses little where few classes occur.

The number of names and the quarter were chosen on the 23 labelled sets of docs/results.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latte_transductive.mixture import Mixture, fit_mixture
from latte_transductive.options import MixtureOptions
from latte_transductive.spaces import WeightedEncoders

NAMES = (
    *("hammer", "violin", "teapot", "umbrella", "bicycle", "candle", "laptop", "spoon", "sofa"),
    *("pencil", "glove", "ladder", "bridge", "castle", "tractor", "helicopter", "submarine"),
    *("rocket", "clock", "mirror", "pillow", "carpet", "bathtub", "oven", "washing machine"),
    *("frying pan", "bottle", "bucket", "broom", "telephone", "television", "camera"),
    *("newspaper", "coin", "credit card", "suitcase", "hat", "shoe", "sock", "dress", "jacket"),
    *("necklace", "sunglasses", "helmet", "sword", "tent", "campfire", "flag", "kite", "drum"),
    *("piano", "trumpet", "playing cards", "doll", "teddy bear", "tennis racket", "surfboard"),
    *("fishing rod", "car", "bus", "train", "motorcycle", "sailboat", "airplane", "ambulance"),
    *("bulldozer", "shopping cart", "house", "skyscraper", "church", "windmill", "tunnel"),
    *("fountain", "statue", "fence", "door", "staircase", "mountain", "desert", "beach", "lake"),
    *("waterfall", "cave", "forest", "cloud", "rainbow", "moon", "tree", "cactus", "mushroom"),
    *("rose", "leaf", "apple", "strawberry", "watermelon", "carrot", "bread", "cheese", "egg"),
    *("fish", "pizza", "cake", "ice cream", "coffee", "dog", "horse", "cow", "elephant"),
    *("monkey", "whale", "eagle", "parrot", "snake", "frog", "spider", "butterfly", "hand"),
    *("eye", "skeleton", "microscope"),
)
"""Names of ordinary things of many kinds, which most CLIPs know."""
FITS = 2
"""Number of fits, each with other names."""
_UNLIKE = 0.7
"""Share of the names, those least like the class names, that may be used."""
_ROUNDS = 30
MOST_IMAGES = 10_000
"""Largest number of images from which the shifts are computed; more change them little."""


def fit_among_other_names(
    images: Tensor,
    texts: Tensor,
    other_texts: Tensor,
    logit_scale: float,
    options: MixtureOptions,
    *,
    names: int,
    balance: float,
    text_logits: Tensor | None = None,
    encoders: WeightedEncoders | None = None,
) -> Mixture:
    """Return the mean of mixtures that also have classes for other things; see this module.

    The posteriors (N, C) of an image sum to less than 1: the rest is the probability that it shows
    none of the C classes.

    Args:
        images: (N, D): unit features of the images.
        logit_scale: Logit scale of the CLIP.
        options: Options of each mixture.
        texts: (C, D): unit features of the class texts.
        other_texts: (M, D): unit features of the texts of `NAMES`.
        names: Number of other names in each fit; 0 means one fit without other names.
        balance: Share of the balancing shifts that is added to the text logits.
        text_logits: (N, C): logits of the class texts; by default `logit_scale` x_i · t_c.
        encoders: Features of the images by image-only encoders.
    """
    classes = len(texts)
    logits = logit_scale * (images @ texts.T) if text_logits is None else text_logits
    shifts = balance * balancing_shifts(logits)
    mixtures = []
    for others in unlike_texts(other_texts, texts, names):
        all_logits = torch.cat([logits + shifts, logit_scale * (images @ others.T)], dim=1)
        all_texts = torch.cat([texts, others])
        mixtures.append(
            fit_mixture(images, all_texts, logit_scale, options, text=all_logits, encoders=encoders)
        )
    return Mixture(
        mean_of([mixture.posteriors[:, :classes] for mixture in mixtures]),
        mean_of([mixture.rows[:classes] for mixture in mixtures]),
        mean_of([mixture.bias[:classes] for mixture in mixtures]) + shifts,
        {
            name: mean_of([mixture.encoder_rows[name][:classes] for mixture in mixtures])
            for name in mixtures[0].encoder_rows
        },
    )


def unlike_texts(other_texts: Tensor, texts: Tensor, names: int) -> list[Tensor]:
    """Return sets of `names` rows of `other_texts` (M, D) that are least like the `texts` (C, D).

    No row is in two sets. The rows of a set are spread evenly over the share of rows that may be
    used, in the order of their likeness. Without names, there is one empty set.
    """
    if names == 0:
        return [other_texts[:0]]
    order = (other_texts @ texts.T).amax(dim=1).argsort(stable=True)
    usable = order[: max(FITS, int(_UNLIKE * len(order)))]
    step = max(1, len(usable) // FITS // names)
    return [other_texts[usable[fit::FITS][::step][:names]] for fit in range(FITS)]


def balancing_shifts(logits: Tensor) -> Tensor:
    """Return the shifts (C,), with mean 0, that make all classes of `logits` (N, C) as probable.

    Example:
        >>> shifts = balancing_shifts(torch.tensor([[0.0, 2.0], [2.0, 4.0]]))
        >>> shifts.round().tolist()
        [1.0, -1.0]
    """
    sample = logits[:: math.ceil(len(logits) / MOST_IMAGES)].double()
    wanted = math.log(len(sample) / sample.shape[1])
    shifts = sample.new_zeros(sample.shape[1])
    for _ in range(_ROUNDS):
        counts = (sample + shifts).softmax(dim=1).sum(dim=0)
        shifts = shifts + 0.7 * (wanted - counts.clamp_min(1e-12).log())
    return (shifts - shifts.mean()).to(logits)


def mean_of(tensors: list[Tensor]) -> Tensor:
    """Return the mean of tensors of one shape, which are the results of several fits."""
    return torch.stack(tensors).mean(dim=0)
