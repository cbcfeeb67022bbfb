"""Images of a finished run, read again where they are now; importing this loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latte.interfaces import ImageReference, LabelledImage, LatteError
from latte.registry.registry import load_registry
from latte.results.run import Run
from latte.run.ready import naming_repair, saved_recipe, unloaded, unloaded_dataset
from latte.run.sampling import sampled

if TYPE_CHECKING:
    from latte.data.views import TrainingView
    from latte.interfaces import PixelFormat


@dataclass(frozen=True)
class RunImages:
    """Images of a finished run.

    Attributes:
        training: The training images, in the order of `run.rows.training_keys`. Their contents may
            have changed since the run: the key is the `digest` of the encoded image.
        labelled: The images of the evaluation split, with their labels; empty if there are none.

    Example:
        >>> from latte.api.runs import RunImages
        >>> len(RunImages(training=(), labelled=()).labelled)
        0
    """

    training: tuple[ImageReference, ...]
    labelled: tuple[LabelledImage, ...]


def run_images(run: Run) -> RunImages:
    """Return the images of a finished run, without loading a model.

    Raises `LatteError` if the dataset no longer lists a training image.

    Example:
        from latte.api.runs import open_run, run_images

        labelled = run_images(open_run(Path("runs/photos-1a2b3c4d"))).labelled
    """
    registry = load_registry()
    with naming_repair():
        dataset = unloaded_dataset(saved_recipe(run, registry), registry)
        references = {image.id: image for image in dataset.training_images()}
        labelled = dataset.evaluation_images()
    limit = run.record.source.limit
    training = tuple(_listed(references, image, run) for image in run.rows.training_ids)
    return RunImages(training, tuple(sampled(labelled, limit, "evaluation")))


def _listed(references: dict[str, ImageReference], image: str, run: Run) -> ImageReference:
    if image not in references:
        raise LatteError(
            "this image of the run is missing",
            where=image,
            hint=f"put it back, or make the run again: {run.repeat_command()}",
        )
    return references[image]


def training_view(run: Run, pixel_format: PixelFormat, *, augmented: bool = True) -> TrainingView:
    """Return what makes a run's random views of training images, for any pixel format.

    Call it with an image (RGB), its index and the epoch: the view (3, S, S) float32, normalised,
    depends on the run's seed, the index and the epoch alone. Without `augmented`, it makes the view
    for evaluation.

    Example:
        from latte.api import PixelFormat, open_image
        from latte.api.runs import Run, run_images, training_view

        def first_view(run: Run, pixel_format: PixelFormat) -> Tensor:
            image = open_image(run_images(run).training[0])
            return training_view(run, pixel_format)(image, index=0, epoch=0)
    """
    from latte.data.views import TrainingView
    from latte.run.augmenting import augmentation

    registry = load_registry()
    recipe = saved_recipe(run, registry)
    augment = None
    if augmented:
        augment = augmentation(recipe, lambda choice: unloaded(recipe, registry, choice))
    return TrainingView(pixel_format, augment, recipe.seed)
