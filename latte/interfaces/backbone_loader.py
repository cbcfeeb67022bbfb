"""Interface of components of kind `backbone`, which load the model that a recipe names."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from latte.interfaces.backbone import Backbone
from latte.interfaces.component import Component, OptionsT


class BackboneLoader(Component[OptionsT]):
    """Loads the pretrained backbone that a recipe names, and adapted backbones that runs saved.

    Example:
        >>> from latte.api import BackboneLoader, NoOptions
        >>> from latte.testing import StubClip
        >>> class StubLoader(BackboneLoader[NoOptions]):
        ...     def load(self):
        ...         return StubClip()
        ...     @classmethod
        ...     def load_saved(cls, folder, device):
        ...         return StubClip()
    """

    @property
    def title(self) -> str:
        """Name of the model in messages; the option `model` if it exists, else the class name."""
        return str(getattr(self.options, "model", type(self).__name__))

    def check(self) -> None:
        """Check the model without a download; raise `LatteError` for an error.

        `latte check` calls this method, and so does the default of `fetch`. Do not import torch
        here.
        """

    def fetch(self) -> None:
        """Download the files that `load` needs, unless they are cached.

        Raises `LatteError` if a file is not cached and cannot be downloaded. latte calls `fetch`
        before it reads any image. Do not import torch here, so that a run without a network fails
        at once. The default calls `check`.
        """
        self.check()

    def identity(self) -> str:
        """Return a text that identifies the model; if the text changes, finished stages run again.

        The default is the options as JSON. If options name local files, add digests of these files.
        """
        return self.options.model_dump_json()

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
