"""Images and splits of a CoOp split file that lies anywhere."""

from __future__ import annotations

from latte.data.source_options import CoopOptions
from latte.data.sources.splits import SplitDataset, read_splits
from latte.interfaces import Context
from latte.io.paths import existing_file, existing_folder


class CoopDataset(SplitDataset[CoopOptions]):
    """A split file and the folder where its paths start, each given by the recipe."""

    def __init__(self, options: CoopOptions, context: Context) -> None:
        file = existing_file(context.path(options.split), "dataset.split")
        root = existing_folder(context.path(options.root), "dataset.root")
        spell = _lowered if options.lower else _spaced
        super().__init__(options, context, read_splits(file), file=file, root=root, spell=spell)


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _lowered(name: str) -> str:
    return _spaced(name).lower()
