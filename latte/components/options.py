"""Options of components whose modules import torch; this module does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latte.api import ClassFeatureRefresh, Options

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Mixer = Annotated[
    Literal["dynamic", "mean"],
    Field(
        description="how texts are averaged. dynamic: by the description's weight times the text's "
        "margin between its two nearest classes; mean: by the description's weight alone"
    ),
]


class FrozenOptions(Options):
    """Options of labeler `frozen`: the weight of the zero-shot labels."""

    weight: float = Field(
        default=1.0,
        ge=0.0,
        description="multiplies this stream's loss (lambda_zs); 0: no such stream, neither for the "
        "loss nor for the prototypes",
    )


class CurrentOptions(Options):
    """Options of labeler `current`: the weight of labels from the current prototypes."""

    weight: float = Field(
        default=1.0,
        ge=0.0,
        description="multiplies this stream's loss (lambda_ft); 0: no such stream, neither for the "
        "loss nor for the prototypes",
    )


class TemplateOptions(Options):
    """Options of the prototypes `templates`: how often the class texts are encoded again."""

    refresh: ClassFeatureRefresh = Field(
        default="start",
        description="start: never again; epoch: before every epoch, without gradient; "
        "step: before every step, with gradient into the text tower",
    )


class MomentumOptions(Options):
    """Options of the prototypes `momentum`; defaults are taken from LatteCLIP."""

    momentum: Share = Field(
        default=0.99,
        description="weight of the old prototype in a target (1 - alpha in the paper)",
    )
    mixer: Mixer = "dynamic"
    margins: Literal["current", "epoch_start"] = Field(
        default="current",
        description="prototypes for the margins: the current ones, or those at the start of the "
        "epoch as in the released code",
    )


class ReEstimatedOptions(Options):
    """Options of the prototypes `re-estimated`, which are computed before the first step."""

    rounds: int = Field(
        default=10,
        ge=1,
        description="largest number of updates over the whole training set; stops at a fixed point",
    )
    momentum: Share = Field(
        default=0.5,
        description="weight of the old prototype in a target; it changes how fast prototypes "
        "move, but not the fixed point",
    )
    mixer: Mixer = "dynamic"
    image_weight: Share = Field(
        default=0.4,
        description="weight of the images themselves, shifted to the texts, beside their "
        "descriptions; 0: descriptions only",
    )


class LastBlocksOptions(Options):
    """Options of `last_blocks`: the number of trained blocks."""

    blocks: int = Field(default=2, ge=1, description="trained blocks at the end of each tower")


class LoraOptions(Options):
    """Options of `lora`: the rank of the low-rank updates."""

    rank: int = Field(default=8, ge=1, description="rank of the update of each linear layer")


class PromptsOptions(Options):
    """Options of `prompts`: the words whose token embeddings are trained."""

    words: str = Field(
        default="a photo of a",
        min_length=1,
        description="the token embeddings of these words are trained",
    )


class PhraseOptions(Options):
    """Options of describer `phrases`: the file of phrases, and the length of the sentences."""

    bank: Path | None = Field(
        default=None,
        description="text file with the sections [objects], [materials], [colours], [textures], "
        "[scenes] and one phrase per line; none: the built-in bank",
    )
    words: int = Field(default=20, ge=8, le=50, description="longest sentence, in words")
    top: int = Field(default=3, ge=1, le=5, description="largest number of objects in a sentence")


class HtmlOptions(Options):
    """Options of reporter `html`: number and size of the images in the report's gallery."""

    gallery: int = Field(default=60, ge=0, description="training images in the gallery")
    thumbnail: int = Field(
        default=160, ge=32, le=1024, description="longer side of a gallery image, in pixels"
    )
