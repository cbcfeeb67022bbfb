"""Encoder `timm`: the pooled features of a model of timm. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latte.api import LatteError, ModuleEncoder
from latte_encoders.files import EncoderOptions, FolderEncoder

if TYPE_CHECKING:
    from torch import nn

_ORGANISATION = "timm"


class TimmEncoder(FolderEncoder[EncoderOptions]):
    """Loader of a model of timm, such as `vit_small_patch14_dinov2.lvd142m`."""

    @property
    def repository(self) -> str:
        """Name of the repository: for a name of timm, the repository of timm's organisation."""
        model = self.options.model
        return model if "/" in model else f"{_ORGANISATION}/{model}"

    @property
    def licence(self) -> str | None:
        """The licence in the model's configuration, if the model is on this machine."""
        folder = self.local_folder() or self._cached_folder()
        pretrained = {} if folder is None else self.read_config(folder).get("pretrained_cfg", {})
        licence = pretrained.get("license") if isinstance(pretrained, Mapping) else None
        return None if licence is None else str(licence)

    def refuse_other_config(self, config: Mapping[str, Any], path: Path) -> None:
        """Raise `LatteError` if `config` names no architecture of timm."""
        if not isinstance(config.get("architecture"), str):
            what = f"{path} is no configuration of timm: it has no key `architecture`"
            hint = "a model of transformers: encoders: [{use: transformers, model: FOLDER}]"
            raise LatteError(what, where=self.where, hint=hint if "model_type" in config else None)

    def load(self) -> ModuleEncoder:
        """Return the model that the options name."""
        from latte_encoders.timm_checkpoint import open_checkpoint

        folder = self.fetched()
        config, device = self.read_config(folder), self.context.device
        return open_checkpoint(folder, config, device, self.options.size, self.where)

    @staticmethod
    def build(architecture: Mapping[str, Any]) -> nn.Module:
        """Return the model of an architecture, with random weights."""
        from latte_encoders.timm_checkpoint import build

        return build(architecture)

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> ModuleEncoder:
        """Return the encoder that a run saved to `folder`."""
        return ModuleEncoder.load(folder, cls.build, device)
