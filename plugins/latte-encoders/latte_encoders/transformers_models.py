"""Encoders of transformers: any image model, and DINOv2 and DINOv3 by short names.

Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field

from latte.api import LatteError, ModuleEncoder
from latte_encoders.files import EncoderOptions, FolderEncoder, ModelName

if TYPE_CHECKING:
    from torch import nn

_LICENCES = {"facebook/dinov2": "Apache-2.0", "facebook/dinov3": "DINOv3 License"}
"""Licence of the weights by the beginning of the model's name on the hub."""

TransformersOptionsT = TypeVar("TransformersOptionsT", bound=EncoderOptions)
_DESCRIPTION = "the model on the Hugging Face hub, or a folder with its files"


class DinoV2SmallOptions(EncoderOptions):
    """Options of the encoder `dinov2-small`."""

    model: ModelName = Field(
        default="facebook/dinov2-small", min_length=1, description=_DESCRIPTION
    )


class DinoV2BaseOptions(EncoderOptions):
    """Options of the encoder `dinov2-base`."""

    model: ModelName = Field(default="facebook/dinov2-base", min_length=1, description=_DESCRIPTION)


class DinoV3SmallOptions(EncoderOptions):
    """Options of the encoder `dinov3-small`."""

    model: ModelName = Field(
        default="facebook/dinov3-vits16-pretrain-lvd1689m", min_length=1, description=_DESCRIPTION
    )


class AnyTransformersEncoder(FolderEncoder[TransformersOptionsT]):
    """Base class of loaders of an image model that `AutoModel` of transformers opens."""

    @property
    def licence(self) -> str | None:
        """Licence of the weights, for DINOv2 and DINOv3; else None."""
        names = [name for name in _LICENCES if self.options.model.startswith(name)]
        return _LICENCES[names[0]] if names else None

    def refuse_other_config(self, config: Mapping[str, Any], path: Path) -> None:
        """Raise `LatteError` if `config` names no model type of transformers."""
        if not isinstance(config.get("model_type"), str):
            what = f"{path} is no configuration of transformers: it has no key `model_type`"
            hint = "a model of timm: encoders: [{use: timm, model: FOLDER}]"
            raise LatteError(
                what, where=self.where, hint=hint if "architecture" in config else None
            )

    def load(self) -> ModuleEncoder:
        """Return the model that the options name."""
        from latte_encoders.transformers_checkpoint import open_checkpoint

        return open_checkpoint(self.fetched(), self.context.device, self.options.size, self.where)

    @staticmethod
    def build(architecture: Mapping[str, Any]) -> nn.Module:
        """Return the model of an architecture, with random weights."""
        from latte_encoders.transformers_checkpoint import build

        return build(architecture)

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> ModuleEncoder:
        """Return the encoder that a run saved to `folder`."""
        return ModuleEncoder.load(folder, cls.build, device)


class TransformersEncoder(AnyTransformersEncoder[EncoderOptions]):
    """Loader of any image model of transformers."""


class DinoV2Small(AnyTransformersEncoder[DinoV2SmallOptions]):
    """Loader of DINOv2 ViT-S/14 (Oquab et al. 2024)."""

    seconds = 0.16  # of `python -m benchmarks encoding`


class DinoV2Base(AnyTransformersEncoder[DinoV2BaseOptions]):
    """Loader of DINOv2 ViT-B/14 (Oquab et al. 2024)."""

    seconds = 0.57  # of `python -m benchmarks encoding`


class DinoV3Small(AnyTransformersEncoder[DinoV3SmallOptions]):
    """Loader of DINOv3 ViT-S/16 (Siméoni et al. 2025), whose weights have their own licence."""
