"""Features that say which training images of a run are similar, for the order of questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from torch import Tensor

from latte.models.zero_shot import ZeroShot, load_zero_shot
from latte.results.run import Run
from latte.toolkit.encoder_agreement import centred_directions, joined_features


def training_features(run: Run) -> Tensor | None:
    """Return `training_with_encoders` of a finished run; None if the run stored no features."""
    path = run.folder.zero_shot
    return training_with_encoders(load_zero_shot(path)) if path.exists() else None


def likeliest_images(run: Run) -> Callable[[int, int], Sequence[int]]:
    """Return a function that returns the K training images that show class c most likely.

    It is called with c and K. Images and class texts are compared by their directions from their
    means, so that an image that is similar to all texts does not come first. The result is empty if
    the run stored no features, and for a class that it did not know.
    """

    @cache
    def directions() -> tuple[Tensor, Tensor]:
        zero_shot = load_zero_shot(run.folder.zero_shot)
        return centred_directions(zero_shot.clip.training), centred_directions(
            zero_shot.class_features
        )

    def likeliest(label: int, count: int) -> Sequence[int]:
        if not run.folder.zero_shot.exists():
            return ()
        images, texts = directions()
        if label >= len(texts):  # a person added the class after the run
            return ()
        scores = images @ texts[label]
        rows: list[int] = scores.topk(min(count, len(scores))).indices.tolist()
        return rows

    return likeliest


def training_with_encoders(zero_shot: ZeroShot) -> Tensor:
    """Return unit rows (N, D + E + ...) whose cosines say which training images are similar.

    They are `zero_shot.clip.training` itself unless an encoder is useful; see `joined_features`.
    """
    features = {name: encoder.training for name, encoder in zero_shot.encoders.items()}
    return joined_features(zero_shot.clip.training, features)
