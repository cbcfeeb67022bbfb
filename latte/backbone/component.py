"""The component `open_clip`, which loads the built-in backbone. Its import loads no torch."""

from __future__ import annotations

from pathlib import Path

from latte.interfaces import Backbone, BackboneLoader, LatteError
from latte.interfaces.settings import BackboneSettings
from latte.io.files import digest
from latte.io.model_files import check_model_file


class OpenClip(BackboneLoader[BackboneSettings]):
    """Loads models of open_clip: by name, from a folder, from the hub, or from a plugin."""

    def check(self) -> None:
        """Check the options without a download. Raises `LatteError` if they are invalid."""
        from latte.backbone.source import check_model

        context = self.context
        check_model(self.options, base_dir=context.base_dir, model_folder=context.model_folder)

    def fetch(self) -> None:
        """Download the model unless it is cached. Raises `LatteError` if there is no such model."""
        from latte.backbone.source import find_model

        context = self.context
        find_model(self.options, base_dir=context.base_dir, model_folder=context.model_folder)

    def identity(self) -> str:
        """Return a digest of the options and, for a model folder, of the files in it."""
        scheme, _, location = self.options.model.partition(":")
        contents = [self.options.model_dump_json()]
        if scheme == "local-dir":
            contents += _contents(self.context.path(location))
        elif scheme == "plugin":
            contents = [*_contents(self.context.model_folder(location))]
        return digest(*contents)

    def load(self) -> Backbone:
        """Return the model that the options name."""
        from latte.backbone.load import load_backbone

        context = self.context
        return load_backbone(
            self.options,
            device=context.device,
            base_dir=context.base_dir,
            model_folder=context.model_folder,
        )

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> Backbone:
        """Load the model from `folder`, a model folder of open_clip."""
        from latte.backbone.load import load_backbone

        return load_backbone(
            BackboneSettings(model=f"local-dir:{folder}"),
            device=device,
            base_dir=folder,
            model_folder=lambda name: folder,
        )


def _contents(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise LatteError(f"there is no model folder {folder}", where="backbone.model")
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
    for path in files:
        check_model_file(path, "backbone.model")
    return [part for path in files for part in (path.name, digest(path.read_bytes()))]
