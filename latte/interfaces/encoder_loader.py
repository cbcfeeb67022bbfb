"""Interface of components of kind `encoder`, which load an image-only model beside the CLIP."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from latte.interfaces.component import OptionsT
from latte.interfaces.encoder import Encoder
from latte.interfaces.model_loader import ModelLoader


class EncoderLoader(ModelLoader[OptionsT]):
    """Loads an encoder that a recipe names, and encoders that runs saved.

    Example:
        >>> from collections.abc import Mapping
        >>> from pathlib import Path
        >>> from typing import Any
        >>> import torch
        >>> from torch import nn
        >>> from latte.api import EncoderLoader, ModuleEncoder, NoOptions, PixelFormat
        >>> class TinyEncoder(EncoderLoader[NoOptions]):
        ...     licence = "Apache-2.0"
        ...
        ...     def load(self) -> ModuleEncoder:
        ...         grey, architecture = (0.5, 0.5, 0.5), {"width": 32}
        ...         with torch.random.fork_rng():
        ...             torch.manual_seed(0)
        ...             module = self.build(architecture).to(self.context.device)
        ...         return ModuleEncoder(module, PixelFormat(32, grey, grey), architecture)
        ...
        ...     @staticmethod
        ...     def build(architecture: Mapping[str, Any]) -> nn.Module:
        ...         pooled = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
        ...         return nn.Sequential(pooled, nn.Linear(48, int(architecture["width"])))
        ...
        ...     @classmethod
        ...     def load_saved(cls, folder: Path, device: str) -> ModuleEncoder:
        ...         return ModuleEncoder.load(folder, cls.build, device)
    """

    @property
    def licence(self) -> str | None:
        """Licence of the weights, such as `Apache-2.0`; None if unknown, as by default.

        Do not import torch here.
        """
        return None

    @property
    def seconds(self) -> float | None:
        """Seconds in which one CPU core encodes an image; None if unknown, as by default."""
        return None

    def is_cached(self) -> bool:
        """Return True if `load` needs no download; latte then proposes the encoder to users.

        Do not import torch here. The default returns False.
        """
        return False

    @abstractmethod
    def load(self) -> Encoder:
        """Return the encoder, frozen, in fp32, on `context.device`.

        Raises `LatteError` if the model does not exist or cannot be used.
        """

    @classmethod
    @abstractmethod
    def load_saved(cls, folder: Path, device: str) -> Encoder:
        """Return the encoder that `Encoder.save` wrote to `folder`, with an equal fingerprint.

        It is frozen, in fp32, on `device`. `folder` must contain everything that the model needs,
        because it may be on another machine. Raises `LatteError` if the folder is damaged.
        """
