"""Options of the Gaussian mixture."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from latte.api import Options

Images = Annotated[float, Field(ge=0.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class MixtureOptions(Options):
    """Options of the Gaussian mixture, such as the weights of images and class texts."""

    image_weight: float = Field(
        default=1.5,
        gt=0.0,
        description="spread of the Gaussians' logits among classes, relative to the text logits",
    )
    anchor_images: tuple[Images, Images] = Field(
        default=(1.0, 5.0),
        description="images that a class's text counts as in the mean of its class: if all "
        "classes have equally many images, and if few classes have images",
    )
    debias: Share = Field(
        default=1.0,
        description="share of each class's mean similarity over the images that is subtracted if "
        "all classes have equally many images; less otherwise",
    )
    neighbours: int = Field(
        default=10, ge=0, description="nearest images whose classes count for an image; 0: none"
    )
    neighbour_weight: float = Field(
        default=20.0,
        ge=0.0,
        description="weight of the neighbours' mean posterior if all neighbours have the same "
        "zero-shot label; it falls with the square of their agreement beyond chance",
    )
    iterations: int = Field(
        default=10, ge=1, description="updates of the classes' means and variances"
    )
