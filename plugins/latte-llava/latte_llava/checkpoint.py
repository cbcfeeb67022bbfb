"""Find the checkpoint that the option `model` names, without loading its weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from latte.api import Context, LatteError, write_text
from latte_llava.library import transformers
from latte_llava.options import LlavaOptions

WHERE = "describer.model"
SUFFIXES = frozenset((".json", ".safetensors", ".jinja", ".model", ".txt"))
"""Suffixes of files that affect the texts: configuration, weights, chat template, tokenizer."""
_PLUGIN = "plugin:"
_FAILURES = (OSError, ValueError, ImportError, KeyError, TypeError, RuntimeError, SafetensorError)


@dataclass(frozen=True)
class Checkpoint:
    """Location, identity and configuration of a checkpoint."""

    name: str
    """Name of the checkpoint in the recipe."""
    source: str
    """Folder or hub name that transformers loads."""
    revision: str | None
    """Commit of a model of the hub; None for a folder."""
    identity: str
    """Hash of weights, configuration and tokenizer."""
    config: Any
    """Configuration object of transformers."""


def find_checkpoint(options: LlavaOptions, context: Context) -> Checkpoint:
    """Return the checkpoint with its configuration, and check that it accepts images and text.

    Raises:
        LatteError: The model is not found, or it is not an image-text model.
    """
    digests = context.cache_dir / "llava" / "digests"
    if options.model.startswith(_PLUGIN):
        return _folder(options, context.model_folder(options.model.removeprefix(_PLUGIN)), digests)
    folder = context.path(options.model)
    if folder.is_dir():
        return _folder(options, folder, digests)
    if options.model.startswith((".", "/", "~")) or options.model.count("/") > 1:
        raise LatteError(f"there is no folder {folder}", where=WHERE)
    if Path(options.model).is_dir():
        raise LatteError(
            f"{options.model} is a folder here, but not in the recipe's folder",
            where=WHERE,
            hint=f"write its whole path: model: {Path(options.model).absolute()}",
        )
    with explained(options.model):
        # The cache has one folder per commit, and the folder's name is the commit.
        file = hf_hub_download(options.model, "config.json", revision=options.revision)
    commit = Path(file).parent.name
    config = _read_config(options.model, options.model, commit)
    identity = f"model={options.model}@{commit}"
    return Checkpoint(options.model, options.model, commit, identity, config)


def _folder(options: LlavaOptions, folder: Path, cache: Path) -> Checkpoint:
    if options.revision is not None:
        raise LatteError(
            f"a folder has no revisions: {folder}",
            where="describer.revision",
            hint="remove `revision`, or name a model of the hub",
        )
    config = _read_config(str(folder), options.model, None)
    identity = f"folder={folder_digest(folder, cache)}"
    return Checkpoint(options.model, str(folder), None, identity, config)


def _read_config(source: str, name: str, revision: str | None) -> Any:
    with explained(name):
        config = transformers.AutoConfig.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise LatteError(
            f"{name} is no model that answers questions about images, but of type "
            f"`{config.model_type}`",
            where=WHERE,
            hint="for example: model: llava-hf/llava-v1.6-mistral-7b-hf",
        )
    return config


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Convert exceptions that transformers raises for the model `name` into `LatteError`."""
    try:
        yield
    except _FAILURES as error:
        if "out of memory" in str(error).lower():
            raise LatteError(
                f"the memory does not suffice for {name}",
                where=WHERE,
                hint="try `load_in: 4bit`, `placement: spread`, or a smaller model",
            ) from error
        raise _translated(name, error) from error


def _translated(name: str, error: Exception) -> LatteError:
    text = str(error)
    if isinstance(error, GatedRepoError) or "gated repo" in text.lower():
        return LatteError(
            f"{name} is a gated model",
            where=WHERE,
            hint=f"accept its licence at https://huggingface.co/{name}, run `hf auth login`, "
            f"then `hf download {name}`",
        )
    if isinstance(error, HFValidationError):
        return LatteError(
            f"`{name}` is neither a folder nor the name of a model of the hub",
            where=WHERE,
            hint="for example: model: llava-hf/llava-v1.6-mistral-7b-hf",
        )
    if isinstance(error, RepositoryNotFoundError):
        return LatteError(
            f"the hub has no model {name}, or it is private",
            where=WHERE,
            hint=f"look at https://huggingface.co/{name}; for a private one, run `hf auth login`",
        )
    if isinstance(error, RevisionNotFoundError):
        return LatteError(f"{name} has no such revision", where="describer.revision")
    if "custom code" in text:
        return LatteError(
            f"{name} brings code of its own, which latte never runs",
            where=WHERE,
            hint="use a conversion for transformers, such as those of "
            "https://huggingface.co/llava-hf",
        )
    if isinstance(error, LocalEntryNotFoundError) or "couldn't connect" in text.lower():
        return LatteError(
            f"{name} is neither a folder nor in the cache, and could not be fetched",
            where=WHERE,
            hint=f"where there is a network, run `hf download {name}` and set HF_HOME to that "
            "cache, or name a folder that holds the model",
        )
    first_line = next((line.strip() for line in text.splitlines() if line.strip()), repr(error))
    return LatteError(f"{name} cannot be loaded: {first_line}", where=WHERE, hint=_advice(text))


def _advice(text: str) -> str:
    if "model type" in text:
        return (
            "original LLaVA checkpoints need their conversion, such as "
            "llava-hf/llava-v1.6-mistral-7b-hf; newer models need a newer transformers"
        )
    if "safetensors" in text:
        return "only safetensors weights are loaded: others could run code"
    if "num2words" in text:
        return 'pip install "latte-llava[smolvlm]"'
    return (
        "a model's folder holds config.json, its processor and tokenizer, and safetensors weights"
    )


def folder_digest(folder: Path, cache: Path) -> str:
    """Return a hash (32 hex digits) of all files in `folder` that can affect the model's texts.

    The digest of each file is cached in `cache` by the file's path, identity, size and times. The
    time of the last change counts too, because a program can set the time of modification back.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    names = {path: path.relative_to(folder) for path in files}
    lines = [
        f"{name.as_posix()} {_known(path, cache)}"
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    ]
    return _hash("\n".join(lines).encode())


def _known(path: Path, cache: Path) -> str:
    status = path.stat()
    numbers = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    label = f"{path.resolve()}\n{numbers}"
    entry = cache / _hash(os.fsencode(label))
    if entry.is_file():
        return entry.read_text(encoding="ascii")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    write_text(entry, digest)
    return digest


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
