"""Base class of components that load a model."""

from __future__ import annotations

from latte.interfaces.component import Component, OptionsT


class ModelLoader(Component[OptionsT]):
    """Finds the model that a recipe names; base class of `BackboneLoader` and `EncoderLoader`.

    Example:
        >>> from latte.api import BackboneLoader, EncoderLoader, ModelLoader
        >>> issubclass(BackboneLoader, ModelLoader) and issubclass(EncoderLoader, ModelLoader)
        True
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
