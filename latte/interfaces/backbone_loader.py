"""Interface of components of kind `backbone`, which load the model that a recipe names."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from latte.interfaces.backbone import Backbone
from latte.interfaces.component import OptionsT
from latte.interfaces.model_loader import ModelLoader


class BackboneLoader(ModelLoader[OptionsT]):
    """Loads the pretrained backbone that a recipe names, and adapted backbones that runs saved.

    Example:
        >>> from collections.abc import Mapping, Sequence
        >>> from pathlib import Path
        >>> import torch
        >>> from torch import Tensor, nn
        >>> from torch.nn.functional import normalize
        >>> from latte.api import (
        ...     BackboneLoader,
        ...     LatteError,
        ...     ModuleBackbone,
        ...     NoOptions,
        ...     PixelFormat,
        ...     TrainableGroup,
        ... )
        >>> class TwoTowers(nn.Module):
        ...     def __init__(self) -> None:
        ...         super().__init__()
        ...         pooled = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten())
        ...         self.image = nn.Sequential(pooled, nn.LayerNorm(48), nn.Linear(48, 32))
        ...         self.characters = nn.Embedding(256, 32)
        ...         self.text = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32))
        ...         self.logit_scale = nn.Parameter(torch.tensor(2.7))
        >>> class TinyBackbone(ModuleBackbone):
        ...     model: TwoTowers
        ...
        ...     def __init__(self, model: TwoTowers) -> None:
        ...         grey = (0.5, 0.5, 0.5)
        ...         super().__init__(model, PixelFormat(size=32, mean=grey, std=grey), 32)
        ...
        ...     def architecture(self) -> str:
        ...         return "two-towers-1"
        ...
        ...     def encode_images(self, pixels: Tensor) -> Tensor:
        ...         self.choose_mode()
        ...         return normalize(self.model.image(pixels.to(self.device)), dim=1)
        ...
        ...     def encode_distinct_texts(self, texts: Sequence[str]) -> Tensor:
        ...         self.choose_mode()
        ...         codes = [torch.tensor([0, *text.encode()]) for text in texts]
        ...         words = [self.model.characters(code.to(self.device)).mean(0) for code in codes]
        ...         return normalize(self.model.text(torch.stack(words)), dim=1)
        ...
        ...     def parameters_of(self, group: TrainableGroup) -> Mapping[str, nn.Parameter]:
        ...         starts = {
        ...             "all": ("",),
        ...             "visual_layer_norms": ("image.1.",),
        ...             "text_layer_norms": ("text.0.",),
        ...             "projections": ("image.2.", "text.1."),
        ...         }.get(group, ())
        ...         every = self.model.named_parameters()
        ...         return {name: weight for name, weight in every if name.startswith(starts)}
        ...
        ...     def save(self, folder: Path) -> None:
        ...         folder.mkdir(parents=True, exist_ok=True)
        ...         torch.save(self.state(), folder / "weights.pt")
        >>> class TinyLoader(BackboneLoader[NoOptions]):
        ...     def load(self) -> TinyBackbone:
        ...         with torch.random.fork_rng():
        ...             torch.manual_seed(0)
        ...             return TinyBackbone(TwoTowers().to(self.context.device))
        ...
        ...     @classmethod
        ...     def load_saved(cls, folder: Path, device: str) -> TinyBackbone:
        ...         model, path = TwoTowers(), folder / "weights.pt"
        ...         try:
        ...             model.load_state_dict(torch.load(path, "cpu", weights_only=True))
        ...         except (OSError, RuntimeError) as error:
        ...             raise LatteError("this model is damaged", where=str(folder)) from error
        ...         return TinyBackbone(model.to(device))
    """

    @abstractmethod
    def load(self) -> Backbone:
        """Return the pretrained backbone, frozen, in fp32, on `context.device`.

        Raises `LatteError` if the model does not exist or cannot be used.
        """

    @classmethod
    @abstractmethod
    def load_saved(cls, folder: Path, device: str) -> Backbone:
        """Return the backbone that `Backbone.save` wrote to `folder`, with equal outputs.

        It is frozen, in fp32, on `device`. `folder` must contain everything that the model needs,
        because it may be on another machine. Raises `LatteError` if the folder is damaged.
        """
