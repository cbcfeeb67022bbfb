"""Open a split with the library `datasets`, without decoding images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import datasets
from pydantic import Field, model_validator

from latte.api import LatteError, PathText, SourceOptions

Table = Any
"""Type of a `datasets.Dataset`; `Any`, because the library has no type annotations."""


class HuggingFaceOptions(SourceOptions):
    """Options of the dataset `hf`; exactly one of `path` and `repository` must be set."""

    path: PathText | None = Field(
        default=None,
        description="a folder that save_to_disk wrote, a parquet file, or a folder with parquet "
        "files or images that load_dataset reads",
    )
    repository: str | None = Field(
        default=None, description="a dataset's name on the hub, such as ethz/food101"
    )
    revision: str | None = Field(
        default=None, description="with repository: the commit (or tag) on the hub; needed"
    )
    config: str | None = Field(default=None, description="the configuration, if there are several")
    train: str = Field(default="train", description="the split to adapt to")
    evaluation: str | None = Field(default="test", description="the labelled split, or none")
    image: str = Field(default="image", description="the column with images")
    label: str = Field(
        default="label", description="the column with labels; in train, for reports only"
    )
    files: PathText | None = Field(
        default=None,
        description="folder of images that rows name by path; without it, such images must be "
        "below path or in the library's cache",
    )
    classes: tuple[str, ...] | None = Field(
        default=None,
        description="class names in label order; without them, the label column's own names",
    )

    @model_validator(mode="after")
    def _says_where(self) -> HuggingFaceOptions:
        if (self.path is None) == (self.repository is None):
            raise ValueError("needs either path or repository")
        if self.repository is not None and self.revision is None:
            raise ValueError(
                "repository needs a revision, or the data could change between two runs: take the "
                "commit from the dataset's page (Files and versions)"
            )
        if self.path is not None and self.revision is not None:
            raise ValueError("revision belongs to repository")
        if self.evaluation == self.train:
            raise ValueError("evaluation is train: training would see what it is measured on")
        return self


def open_split(options: HuggingFaceOptions, path: Path | None, split: str, cache: Path) -> Table:
    """Return the rows of `split`, with images as encoded bytes or paths.

    Converted files are stored below `cache`. Raises `LatteError` if the split cannot be opened.
    """
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    where = options.repository or str(path)
    try:
        if path and any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            table = _saved(path, split)
        else:
            table = _loaded(options, path, split, cache)
    except LatteError:
        raise
    except Exception as error:  # `datasets` and its dependencies raise many types
        first_line = next(iter(str(error).strip().splitlines()), "")
        what = f"split {split!r} cannot be opened: {type(error).__name__}: {first_line}"
        raise LatteError(what, where=where) from error
    if options.image not in table.column_names:
        raise LatteError(
            f"split {split!r} has no column {options.image!r}",
            where=where,
            hint=f"Its columns are {', '.join(table.column_names)}: see the option image.",
        )
    return table.cast_column(options.image, datasets.Image(decode=False))


def class_names(table: Table, label: str) -> tuple[str, ...] | None:
    """Return the class names of the column `label`, with spaces for `_`; None if there are none."""
    feature = table.features.get(label)
    if not isinstance(feature, datasets.ClassLabel):
        return None
    return tuple(name.replace("_", " ") for name in feature.names)


def library_cache() -> Path:
    """Return the folder below which the library stores downloaded and unpacked files."""
    return Path(datasets.config.HF_CACHE_HOME)


def _saved(path: Path, split: str) -> Table:
    dataset = datasets.load_from_disk(str(path))
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise LatteError(
                f"no split {split!r}", where=str(path), hint=f"There are {', '.join(dataset)}."
            )
        return dataset[split]
    if split != str(dataset.split or "train"):
        raise LatteError(
            f"holds one split, {dataset.split or 'train'}, and not {split!r}",
            where=str(path),
            hint="Without labelled images: evaluation: null",
        )
    return dataset


def _loaded(options: HuggingFaceOptions, path: Path | None, split: str, cache: Path) -> Table:
    if path is None:
        return datasets.load_dataset(
            options.repository, options.config, split=split, revision=options.revision
        )
    if path.is_file():
        files = {split: str(path)}
        return datasets.load_dataset("parquet", data_files=files, split=split, cache_dir=str(cache))
    return datasets.load_dataset(str(path), options.config, split=split, cache_dir=str(cache))
