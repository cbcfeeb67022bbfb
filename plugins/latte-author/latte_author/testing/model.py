"""Contract of models that plugins provide."""

from __future__ import annotations

from typing import ClassVar

from latte.api import LatteError
from latte.api.plugins import load_registry
from latte_author.testing.component import HOOK_IMPORTS_TORCH, listing_imports_torch

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


class ModelContract:
    """Tests of a plugin that provides a model folder, which recipes name as `plugin:NAME`.

    open_clip must be able to open the folder as `local-dir:FOLDER`.

    Example:
        >>> from latte_author.testing import ModelContract
        >>> class TestTiny(ModelContract):
        ...     component = "tiny"
    """

    component: ClassVar[str]
    """Name of the model, which follows `plugin:` in recipes."""

    def test_its_folder_holds_a_model(self) -> None:
        """The folder must hold a configuration file and weights in the safetensors format."""
        try:
            folder = load_registry().model_folder(self.component)
        except LatteError as error:
            raise AssertionError(str(error)) from None
        for name in (CONFIG, WEIGHTS):
            assert (folder / name).is_file(), f"{folder} has no {name}"

    def test_listing_does_not_import_torch(self) -> None:
        """Listing the plugin's components must not import torch, so that the list appears fast."""
        package = load_registry().get("model", self.component).distribution
        assert not listing_imports_torch(package), HOOK_IMPORTS_TORCH
