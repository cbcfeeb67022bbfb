"""Read what a finished run says about its own images; importing this loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte.results.run import Run

if TYPE_CHECKING:
    from latte.interfaces import Posterior


def read_posterior(run: Run) -> tuple[tuple[str, ...], Posterior] | None:
    """Return the content keys of a run's training images, and their posterior; None without one.

    The probabilities are not calibrated. With `TrainingStart.image_keys`, a labeler can go on from
    an earlier run. Raises `LatteError` if a file is damaged, or belongs to other images or classes.

    Example:
        from latte.api.runs import open_run, read_posterior

        keys, posterior = read_posterior(open_run(Path("runs/photos-1a2b3c4d")))
    """
    from latte.models.posterior import read_own_images

    own_images = read_own_images(run)
    return None if own_images is None else (own_images.keys, own_images.posterior)
