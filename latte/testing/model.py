"""Contract of models that recipes load as `plugin:NAME`."""

from __future__ import annotations

from typing import ClassVar

from latte.api import LatteError
from latte.registry.registry import load_registry
from latte.testing.component import imports_torch

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


class ModelContract:
    """Tests that the plugin returns a folder that open_clip opens as `local-dir:FOLDER`.

    Example:
        >>> from latte.testing import ModelContract
        >>> class TestTiny(ModelContract):
        ...     component = "tiny"
    """

    component: ClassVar[str]
    """Name of the model, which follows `plugin:` in recipes."""

    def test_its_folder_holds_a_model(self) -> None:
        """The folder has a configuration, and weights as safetensors, not as a pickle."""
        try:
            folder = load_registry().model_folder(self.component)
        except LatteError as error:
            raise AssertionError(str(error)) from None
        for name in (CONFIG, WEIGHTS):
            assert (folder / name).is_file(), f"{folder} has no {name}"

    def test_listing_does_not_import_torch(self) -> None:
        """Listing the plugin's components does not import torch, so that the list appears fast."""
        package = load_registry().get("model", self.component).distribution
        culprit = imports_torch(package)
        assert not culprit, f"{culprit} imports torch: keep options in a module that does not"
