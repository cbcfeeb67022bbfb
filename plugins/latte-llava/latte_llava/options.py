"""Options of the describer `llava`, which its model, its checkpoints and its views share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from latte.api import IsPath, Options

DEFAULT_MODEL = "llava-hf/llava-v1.6-mistral-7b-hf"

Resolution = Literal["thumbnail", "full"]
NumberFormat = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["none", "4bit", "8bit"]
GroupImages = Literal["auto", "grid", "separate"]


class LlavaOptions(Options):
    """Options for the model, decoding, views of images, and devices."""

    model: Annotated[str, IsPath(r"(?P<path>[.~/].*)")] = Field(
        default=DEFAULT_MODEL,
        min_length=1,
        description="a folder, relative to the recipe; a model of the Hugging Face hub; or "
        "plugin:NAME, a model that a plugin brings",
    )
    revision: str | None = Field(
        default=None, description="branch, tag or commit of a model of the hub; null: its newest"
    )
    max_new_tokens: int = Field(default=77, ge=1, description="largest number of tokens of a text")
    temperature: float = Field(
        default=0.0, ge=0.0, description="0: the likeliest token each time; above: texts vary"
    )
    top_p: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="above temperature 0: sample among the likeliest tokens whose probabilities "
        "add up to this value",
    )
    resolution: Resolution = Field(
        default="thumbnail",
        description="thumbnail: one small view of the whole image, as in the paper; "
        "full: all tiles or pixels that the model can take",
    )
    dtype: NumberFormat = Field(
        default="auto",
        description="number format; auto: bfloat16 on GPUs that have it, float16 on other GPUs, "
        "float32 on the CPU",
    )
    load_in: Quantization = Field(
        default="none",
        description="4bit or 8bit: quantise the weights with bitsandbytes, to save GPU memory",
    )
    batch_size: int = Field(
        default=16, ge=1, description="questions per batch; halved if memory does not suffice"
    )
    spread: bool = Field(
        default=False,
        description="one model over all GPUs, for models that no single GPU can hold",
    )
    system_prompt: str | None = Field(
        default=None, description="system message, if the chat template has one"
    )
    images: GroupImages = Field(
        default="auto",
        description="how a group is shown. grid: all images in one; separate: each image by "
        "itself; auto: separate for models that were trained on several images",
    )
