"""Settings of a recipe as pydantic models: types, defaults and descriptions."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

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

    batch_size: PositiveInt | Literal["auto"] = Field(
        default=PUBLISHED_BATCH_SIZE,
        description="images per step, or all images if there are fewer. auto: the published 512, "
        "in micro-batches that fit into memory, as with `micro_batch_size: auto`",
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
    views: PositiveInt | None = Field(
        default=None,
        description="number of random views per image, which are used in turn: epoch 5 of `views: "
        "4` has the views of epoch 1. Outputs of frozen layers are then computed once per view. "
        "none: new views in every epoch",
    )
    augment_on: Literal["auto", "device", "cpu"] = Field(
        default="auto",
        description="processor that augments images. cpu: by Pillow, or bit-identical to it. "
        "device: in batches, from images kept in the memory of `device`, equal up to rounding. "
        "auto: device if it is a CUDA GPU whose memory holds the images, else cpu",
    )
    precision: Precision = Field(
        default="auto",
        description="arithmetic of the two towers; weights, labels, prototypes and losses stay "
        "fp32. tf32: fp32 with less precise products on Nvidia GPUs since Ampere, fp32 elsewhere. "
        "bf16, fp16: autocast; fp16 scales the loss and skips steps that overflow. auto: tf32, as "
        "bf16 rounds features by more than the published learning rate changes them",
    )
    micro_batch_size: PositiveInt | Literal["auto"] | None = Field(
        default=None,
        description="images or texts that pass through a tower at once, if a batch does not fit "
        "into memory. Labels, loss and prototypes still use the whole batch, and each tower runs "
        "forward twice. none: the whole batch. auto: the whole batch if it fits, else the largest "
        "of half, quarter and so on that fits, found by trying before the first step",
    )
    gradient_checkpointing: bool | Literal["auto"] = Field(
        default="auto",
        description="keep only the inputs of each block, and recompute its activations in the "
        "backward pass: less memory, one more forward pass. auto: only if the micro-batch size is "
        "found by trying, and one image at a time does not fit",
    )
    refresh_captions: PositiveInt | None = Field(
        default=None,
        description="number of steps for which features of texts about images and groups are used. "
        "These texts are encoded without gradient; class texts keep their gradient. none: all "
        "texts are encoded in each step, with gradient, as published",
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

    def view_of(self, epoch: int) -> int:
        """Return the index (from 0) of the random view that each image gets in `epoch`."""
        return epoch if self.views is None else epoch % self.views

    @property
    def takes_steps(self) -> bool:
        """True if the recipe has training steps; without steps, no weight of the model changes."""
        return self.max_steps > 0 and self.max_epochs > 0

    @property
    def images_a_step(self) -> int:
        """Batch size in images; `auto` means 512, the published size."""
        return PUBLISHED_BATCH_SIZE if self.batch_size == "auto" else self.batch_size

    @property
    def fits_by_trying(self) -> bool:
        """True if latte tries micro-batch sizes to find the largest one that fits into memory."""
        auto = self.batch_size == "auto" and self.micro_batch_size is None
        return auto or self.micro_batch_size == "auto"

    @property
    def part_size(self) -> int | None:
        """Micro-batch size in images or texts, or None if it is `auto` or not set."""
        return None if self.micro_batch_size == "auto" else self.micro_batch_size


class EvaluateSettings(Options):
    """Settings for encoding and classifying images outside training."""

    batch_size: PositiveInt = Field(default=64, description="images per forward pass")
    top_k: PositiveInt = Field(default=5, description="number of classes per prediction")


ASSUMED_TOKENS = (3000.0, 80.0)
"""Input and output tokens that a question is assumed to use, until a describer has counted some.
LLaVA-NeXT reads an image of 672 x 672 pixels as 2,880 tokens, and `latte-openai` writes at most 77.
"""


class Price(Options):
    """Price of a million tokens, in any currency."""

    input: float = Field(ge=0.0, allow_inf_nan=False, description="tokens of prompts and images")
    output: float = Field(ge=0.0, allow_inf_nan=False, description="tokens of answers")


class Budget(Options):
    """Limit of a labeler's questions: a number of questions, of tokens, or an amount of money.

    A labeler assigns pseudo-labels, and may ask a model that looks at images. Exactly one of the
    three limits must be set.
    """

    questions: int | None = Field(default=None, ge=0, description="distinct questions")
    tokens: int | None = Field(default=None, ge=0, description="input and output tokens together")
    money: float | None = Field(
        default=None, ge=0.0, allow_inf_nan=False, description="in the currency of `price`"
    )
    price: Price | None = Field(
        default=None, description="price of a million tokens; needed with `money`"
    )

    @model_validator(mode="after")
    def _is_one_limit(self) -> Self:
        limits = [self.questions, self.tokens, self.money]
        if sum(one is not None for one in limits) != 1:
            raise ValueError("must have exactly one of `questions`, `tokens` and `money`")
        if self.money is not None and not self.cost(ASSUMED_TOKENS):
            raise ValueError("needs a price above 0, as in price: {input: 0.15, output: 0.60}")
        if any(limits) and not self.allowed(ASSUMED_TOKENS):
            raise ValueError("is too small for one question, which counts as 3,080 tokens at first")
        return self

    def cost(self, tokens: tuple[float, float]) -> float | None:
        """Return the price of input and output `tokens`; None if the budget names no price."""
        if self.price is None:
            return None
        return (tokens[0] * self.price.input + tokens[1] * self.price.output) / 1e6

    def allowed(self, tokens: tuple[float, float]) -> int:
        """Return the number of allowed questions if each uses these input and output `tokens`."""
        if self.questions is not None:
            return self.questions
        if self.tokens is not None:
            return int(self.tokens / sum(tokens))
        return int(min((self.money or 0.0) / (self.cost(tokens) or 1.0), 1e12))
