"""Settings of a recipe as pydantic models: types, defaults and descriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from latte.interfaces.component import IsPath, Options

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveInt = Annotated[int, Field(gt=0)]
PUBLISHED_BATCH_SIZE = 512
BRING_WEIGHTS = ("local-dir:", "hf-hub:", "plugin:")
"""Prefixes of `backbone.model` for models that include their weights."""
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]


class BackboneSettings(Options):
    """Model and weights of the CLIP to adapt."""

    model: Annotated[str, IsPath("local-dir:(?P<path>.+)")] = Field(
        description="open_clip model name, local-dir:FOLDER, hf-hub:REPO or plugin:NAME"
    )
    pretrained: Annotated[str, IsPath(r"(?!\w+://)(?P<path>.*[/.].*)")] | None = Field(
        default=None,
        description="weight tag or file for an open_clip model name. Models with their own weights "
        "(plugin:, local-dir:, hf-hub:) need none: for them, `TAG` in `${NAME:-TAG}` is ignored",
    )


class AugmentSettings(Options):
    """Random augmentation of training images; defaults are taken from LatteCLIP's released code."""

    crop_scale: tuple[Fraction, Fraction] = Field(
        default=(0.9, 1.0), description="share of the image's area that a random crop keeps"
    )
    jitter: tuple[float, float, float, float] = Field(
        default=(0.5, 0.5, 0.5, 0.1), description="brightness, contrast, saturation, hue"
    )
    jitter_probability: Fraction = Field(
        default=0.8, description="probability of the colour jitter"
    )
    grayscale_probability: Fraction = Field(
        default=0.2, description="probability of conversion to grey"
    )

    @field_validator("crop_scale")
    @classmethod
    def _is_a_range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        low, high = scale
        if not 0 < low <= high:
            raise ValueError("write the smaller share first, above 0, as in [0.9, 1.0]")
        return scale

    @field_validator("jitter")
    @classmethod
    def _is_possible(
        cls, jitter: tuple[float, float, float, float]
    ) -> tuple[float, float, float, float]:
        if min(jitter) < 0 or jitter[3] > 0.5:
            raise ValueError("none may be negative, and hue is at most 0.5")
        return jitter


class OptimizerSettings(Options):
    """Optimiser of the weights. Biases, norm parameters and other vectors get no weight decay."""

    name: Literal["adamw", "sgd"] = Field(default="adamw", description="optimizer")
    learning_rate: float = Field(default=1e-7, ge=0.0, description="peak learning rate")
    weight_decay: float = Field(default=0.2, ge=0.0, description="decoupled for adamw")
    betas: tuple[Fraction, Fraction] = Field(default=(0.9, 0.98), description="adamw only")
    epsilon: float = Field(default=1e-6, gt=0.0, description="adamw only")
    momentum: Fraction = Field(default=0.9, description="sgd only")
    gradient_clip: float | None = Field(
        default=None, gt=0.0, description="largest gradient norm; none: no clipping"
    )


class TrainSettings(Options):
    """Length and method of training; defaults follow LatteCLIP's supplementary material."""

    batch_size: PositiveInt = Field(
        default=PUBLISHED_BATCH_SIZE,
        description="images per step, or all images if there are fewer",
    )
    max_steps: int = Field(
        default=2000,
        ge=0,
        description="stop after this many steps; 0: no training, only labelers and prototypes",
    )
    max_epochs: int = Field(default=50, ge=0, description="stop after this many epochs")
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear warm-up")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="learning rate after the warm-up"
    )
    optimizer: OptimizerSettings = Field(default=OptimizerSettings(), description="optimizer")
    precision: Precision = Field(
        default="auto",
        description="arithmetic of the two towers; weights, labels, prototypes and losses stay "
        "fp32. tf32: fp32 with less precise products on Nvidia GPUs since Ampere, fp32 elsewhere. "
        "bf16, fp16: autocast; fp16 scales the loss and skips steps that overflow. auto: tf32, as "
        "bf16 rounds features by more than the published learning rate changes them",
    )
    micro_batch_size: PositiveInt | None = Field(
        default=None,
        description="images or texts that pass through a tower at once, if a batch does not fit "
        "into memory. Labels, loss and prototypes still use the whole batch, and each tower runs "
        "forward twice. none: the whole batch",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="keep only the inputs of each block, and recompute its activations in the "
        "backward pass: less memory, one more forward pass",
    )
    checkpoint_every: PositiveInt = Field(
        default=50,
        description="steps between checkpoints. A run in one process also saves a checkpoint when "
        "about two minutes have passed since the last one, so that a stopped run loses little "
        "work; less often if saving is slow. Results are bit-identical wherever a run was stopped",
    )
    evaluate_every: int = Field(
        default=1,
        ge=0,
        description="epochs between evaluations on the labelled images; 0: only at the end",
    )

    @property
    def takes_steps(self) -> bool:
        """True if the recipe has training steps; without steps, no weight of the model changes."""
        return self.max_steps > 0 and self.max_epochs > 0


class SeriesSettings(Options):
    """Which images are one series, and so count once; equal files always are."""

    near_copies: bool = Field(
        default=True,
        description="the same picture, cropped by a few percent, brightened, saved or scaled again",
    )
    seconds: float = Field(
        default=2.0,
        ge=0.0,
        le=30.0,
        description="photos of one folder that look alike, and that were taken within this time; "
        "0: dates of photos are not read",
    )


class SpendingSettings(Options):
    """Prices of the tokens of describers, and the largest amount that one run may spend."""

    input: float = Field(gt=0.0, allow_inf_nan=False, description="price of a million input tokens")
    output: float = Field(
        gt=0.0, allow_inf_nan=False, description="price of a million output tokens"
    )
    most: float | None = Field(
        default=None,
        gt=0.0,
        allow_inf_nan=False,
        description="asking ends with an error before a run costs more; none: no limit",
    )


class EvaluateSettings(Options):
    """Settings for encoding and classifying images outside training."""

    batch_size: PositiveInt = Field(default=64, description="images per forward pass")
    top_k: PositiveInt = Field(default=5, description="number of classes per prediction")
    near_copies: Literal["keep", "leave-out"] = Field(
        default="keep",
        description="labelled images that are near-copies of training images: measured as all "
        "others, or left out of all measurements",
    )
