"""Find the files of a model: in a folder, in the cache of the Hugging Face hub, or on the hub."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field

from latte.api import (
    EncoderLoader,
    IsPath,
    LatteError,
    Options,
    check_model_file,
    check_weight_shards,
    digest,
    fetch_repository,
    json_numbers,
    read_model_json,
)

CONFIG = "config.json"
_WEIGHTS = "*.safetensors"
_FILES = ("*.json", _WEIGHTS)
"""Patterns of the files that determine a model's outputs."""
_MOST_LAYERS = 1000
_LARGEST = 2**20
"""Largest allowed number in a configuration; with a larger one, an untrusted file could fill the
memory."""
_LARGEST_WEIGHTS = 2**35
"""Largest number of bytes of a file with weights: twice those of the largest published encoder."""
_LAYERS = ("num_hidden_layers", "depth", "depths")

ModelName = Annotated[str, IsPath(r"(?P<path>[.~/].*)")]
"""A folder, or the name of a model of the hub."""


class EncoderOptions(Options):
    """Options of all encoders: the model, its revision, and the size of images."""

    model: ModelName = Field(
        min_length=1,
        description="a folder with config.json and weights as safetensors, relative to the recipe; "
        "or a model of the Hugging Face hub",
    )
    revision: str | None = Field(
        default=None, description="branch, tag or commit of a model of the hub; null: its newest"
    )
    size: int | None = Field(
        default=None,
        ge=1,
        le=2048,
        description="side of the images that the model takes, in pixels; null: as its files say",
    )


OptionsT = TypeVar("OptionsT", bound=EncoderOptions)


class FolderEncoder(EncoderLoader[OptionsT]):
    """Loader of an encoder whose files are in one folder, or in one repository of the hub."""

    @property
    def where(self) -> str:
        """The option in error messages."""
        return f"encoders: model {self.options.model}"

    @property
    def repository(self) -> str:
        """Name of the model's repository on the hub."""
        return self.options.model

    @abstractmethod
    def refuse_other_config(self, config: Mapping[str, Any], path: Path) -> None:
        """Raise `LatteError` if `config`, the JSON in the file `path`, is of another library."""

    def check(self) -> None:
        """Raise `LatteError` if a local model lacks files."""
        folder = self.local_folder()
        if folder is not None:
            self.check_folder(folder)

    def fetch(self) -> None:
        """Download the model, unless it is cached. Raises `LatteError` if it is missing."""
        self.fetched()

    def identity(self) -> str:
        """Return a digest of the options and, for a local model, of its files."""
        folder = self.local_folder()
        contents = [] if folder is None else [*self._contents(folder)]
        return digest(self.options.model_dump_json(), *contents)

    def is_cached(self) -> bool:
        """Return True if the model is a complete folder, or in the cache of the hub."""
        return (self.local_folder() or self._cached_folder()) is not None

    def local_folder(self) -> Path | None:
        """Return the folder that the options name; None for a model of the hub."""
        model = self.options.model
        path = self.context.path(model)
        return path if model.startswith((".", "~", "/")) or path.is_dir() else None

    def fetched(self) -> Path:
        """Return the folder with the model's files; download them unless they are cached."""
        folder = self.local_folder()
        if folder is None:
            repository = self.repository
            try:
                folder = fetch_repository(
                    repository, _FILES, self._is_complete, self.options.revision
                )
            except OSError as error:
                raise LatteError(
                    f"cannot download {repository}: {error}",
                    where=self.where,
                    hint=f"on a machine with network: hf download {repository} --local-dir FOLDER; "
                    "then name the folder: latte adapt PHOTOS --encoder NAME:FOLDER, or in a "
                    "recipe: encoders: [{use: NAME, model: ./FOLDER}]",
                ) from error
        self.check_folder(folder)
        return folder

    def read_config(self, folder: Path) -> dict[str, Any]:
        """Return `config.json`. Raises `LatteError` if it is missing, damaged or absurd."""
        path = folder / CONFIG
        if not path.exists():
            what = f"{folder} is no model folder: {CONFIG} is missing"
            raise LatteError(what, where=self.where)
        config = read_model_json(path, self.where)
        if not isinstance(config, dict):
            raise LatteError(f"{path} describes no model", where=self.where)
        refuse_absurd(config, self.where)
        self.refuse_other_config(config, path)
        return config

    def check_folder(self, folder: Path) -> None:
        """Raise `LatteError` if files are missing in `folder`."""
        if not folder.is_dir():
            raise LatteError(f"there is no folder {folder}", where=self.where)
        self.read_config(folder)
        if not any(folder.glob(_WEIGHTS)):
            raise LatteError(
                f"{folder} has no weights as safetensors; latte reads no pickled weights",
                where=self.where,
                hint="convert them on a machine that you trust: safetensors.torch.save_file("
                'torch.load("weights.bin", weights_only=True), "model.safetensors")',
            )
        for path in _files(folder):
            check_model_file(path, self.where, _LARGEST_WEIGHTS)
        check_weight_shards(folder, self.where)

    def _contents(self, folder: Path) -> Iterator[str]:
        """Yield name and digest of each file that determines the model's outputs."""
        for path in _files(folder):
            check_model_file(path, self.where, _LARGEST_WEIGHTS)
            yield path.name
            yield digest(path.read_bytes())

    def _is_complete(self, folder: Path) -> bool:
        try:
            self.check_folder(folder)
        except LatteError:
            return False
        return True

    def _cached_folder(self) -> Path | None:
        from huggingface_hub import snapshot_download

        try:
            path = snapshot_download(
                self.repository,
                revision=self.options.revision,
                allow_patterns=[*_FILES],
                local_files_only=True,
            )
        except (OSError, ValueError):  # not in the cache, or not a name of a repository
            return None
        return Path(path) if self._is_complete(Path(path)) else None


def _files(folder: Path) -> list[Path]:
    """Return the files that determine a model's outputs, sorted by name."""
    return sorted(path for pattern in _FILES for path in folder.glob(pattern))


def refuse_absurd(config: Mapping[str, Any], where: str) -> None:
    """Raise `LatteError` if a number in `config` is so large that the model would fill memory."""
    for name, number in json_numbers(config):
        if abs(number) > (_MOST_LAYERS if name in _LAYERS else _LARGEST):
            raise LatteError(f"the configuration has an absurd {name}: {number}", where=where)
