"""Dataset `coop`: images and splits of any CoOp split file."""

from __future__ import annotations

from pydantic import Field

from latte.api import Context, PathText, SourceOptions
from latte.api.sources import (
    SplitDataset,
    existing_file,
    existing_folder,
    read_splits,
)


class CoopOptions(SourceOptions):
    """Options of dataset `coop`: train and val are for training, test is for evaluation."""

    split: PathText = Field(description="split_zhou_*.json")
    root: PathText = Field(description="folder at which the paths of the split start")
    lower: bool = Field(
        default=True, description="lower-case the class names (`_` is always read as a space)"
    )


class CoopDataset(SplitDataset[CoopOptions]):
    """Dataset of images below a folder that a split file lists; the recipe names both."""

    def __init__(self, options: CoopOptions, context: Context) -> None:
        file = existing_file(context.path(options.split), "dataset.split")
        root = existing_folder(context.path(options.root), "dataset.root")
        spell = _lowered if options.lower else _spaced
        super().__init__(options, context, read_splits(file), file=file, root=root, spell=spell)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _lowered(name: str) -> str:
    return _spaced(name).lower()
