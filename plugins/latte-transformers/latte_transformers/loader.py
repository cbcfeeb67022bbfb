"""Find the checkpoint that a recipe names; importing this module does not import torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from latte.api import (
    BackboneLoader,
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

if TYPE_CHECKING:
    from latte_transformers.backbone import TransformersBackbone

_WHERE = "backbone.model"
_CONFIG = "config.json"
_LAYERS = "num_hidden_layers"
_MOST_LAYERS = 1000
_LARGEST = 2**20
"""Largest allowed number in a configuration; with a larger one, an untrusted file could fill the
memory."""
_WEIGHTS = "*.safetensors"
_FILES = ("*.json", "*.txt", "*.model", _WEIGHTS)
"""Patterns of the files that determine the model's outputs."""
_TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model")
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")


class TransformersOptions(Options):
    """Options of the backbone `transformers`: the checkpoint and its revision."""

    model: Annotated[str, IsPath(r"(?P<path>[.~/].*)")] = Field(
        min_length=1,
        description="a folder that `save_pretrained` or `hf download` wrote, relative to the "
        "recipe; or a model of the Hugging Face hub",
    )
    revision: str | None = Field(
        default=None, description="branch, tag or commit of a model of the hub; null: its newest"
    )


class TransformersLoader(BackboneLoader[TransformersOptions]):
    """Loader of a model that transformers' `AutoModel` can open, and of its processor."""

    def check(self) -> None:
        """Raise `LatteError` if transformers is missing, or a local model lacks files."""
        try:
            version("transformers")
        except PackageNotFoundError:
            raise LatteError(
                "this backbone needs the package transformers",
                where=_WHERE,
                hint='pip install "transformers>=5.4,<6"',
            ) from None
        folder = self._folder()
        if folder is not None:
            _check_folder(folder)

    def fetch(self) -> None:
        """Download the checkpoint, unless it is cached. Raises `LatteError` if it is missing."""
        self.check()
        self._fetched()

    def identity(self) -> str:
        """Return a digest of the options and, for a local model, of its files."""
        folder = self._folder()
        contents = [] if folder is None else [*_contents(folder)]
        return digest(self.options.model_dump_json(), *contents)

    def load(self) -> TransformersBackbone:
        """Return the checkpoint that the options name."""
        from latte_transformers.checkpoint import open_checkpoint

        folder = self._fetched()
        return open_checkpoint(folder, self.context.device, name=self.options.model)

    @classmethod
    def load_saved(cls, folder: Path, device: str) -> TransformersBackbone:
        """Return the model that `TransformersBackbone.save` wrote to `folder`."""
        from latte_transformers.checkpoint import open_checkpoint

        _check_folder(folder)
        return open_checkpoint(folder, device, name=str(folder))

    def _fetched(self) -> Path:
        folder, options = self._folder(), self.options
        if folder is None:
            try:
                folder = fetch_repository(options.model, _FILES, _is_complete, options.revision)
            except OSError as error:
                raise LatteError(
                    f"cannot download {options.model}: {error}",
                    where=_WHERE,
                    hint=f"on a machine with network: hf download {options.model} --local-dir "
                    "FOLDER; then set model to ./FOLDER",
                ) from error
        _check_folder(folder)
        return folder

    def _folder(self) -> Path | None:
        """Return the folder that the options name; None for a model of the hub."""
        model = self.options.model
        path = self.context.path(model)
        return path if model.startswith((".", "~", "/")) or path.is_dir() else None


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise LatteError(f"there is no folder {folder}", where=_WHERE)
    _check_config(folder)
    if not any(folder.glob(_WEIGHTS)):
        raise LatteError(
            f"{folder} has no weights as safetensors; latte reads no pickled weights",
            where=_WHERE,
            hint="save the model again with a recent transformers: model.save_pretrained(FOLDER)",
        )
    for path in _files(folder):
        check_model_file(path, _WHERE)
    check_weight_shards(folder, _WHERE)
    if not any((folder / name).is_file() for name in _PROCESSORS):
        raise LatteError(
            f"{folder} has no processor: {' and '.join(_PROCESSORS)} are missing",
            where=_WHERE,
            hint="AutoProcessor.from_pretrained(MODEL).save_pretrained(FOLDER)",
        )


def _is_complete(folder: Path) -> bool:
    try:
        _check_folder(folder)
    except LatteError:
        return False
    return any(path for pattern in _TOKENIZERS for path in folder.glob(pattern))


def _check_config(folder: Path) -> None:
    if not (folder / _CONFIG).exists():
        what = f"{folder} is no model folder of transformers: {_CONFIG} is missing"
        raise LatteError(what, where=_WHERE)
    config = read_model_json(folder / _CONFIG, _WHERE)
    if not isinstance(config, dict) or "model_type" not in config:
        raise LatteError(f"{folder / _CONFIG} does not name a model_type", where=_WHERE)
    for name, number in json_numbers(config):
        if number > (_MOST_LAYERS if name == _LAYERS else _LARGEST):
            raise LatteError(f"{folder / _CONFIG} has an absurd {name}: {number}", where=_WHERE)


def _files(folder: Path) -> list[Path]:
    """Return the files that determine a model's outputs, sorted by name."""
    return sorted(path for pattern in _FILES for path in folder.glob(pattern))


def _contents(folder: Path) -> Iterator[str]:
    for path in _files(folder):
        check_model_file(path, _WHERE)
        yield path.name
        yield digest(path.read_bytes())
