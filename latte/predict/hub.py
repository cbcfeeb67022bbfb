"""Models of latte on the Hugging Face hub: the files of a repository, in the hub's cache.

A repository may come from anybody. Only files that latte reads are downloaded, none of them code or
a pickle; the folder is then opened with the checks of any run folder.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from latte.interfaces import LatteError, Progress
from latte.interfaces.progress import SilentProgress
from latte.io.hub import (
    HubName,
    call_within,
    first_answer,
    hub_errors,
    hub_name,
    hub_session,
    is_unreachable,
    patience,
    transfer_time,
)
from latte.io.model_files import LARGEST_WEIGHTS
from latte.io.paths import given_path
from latte.results.folder import RunFolder
from latte.results.record import RECORD
from latte.results.stored import LARGEST_JSON

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

CARD = "README.md"
LAST_STAGE = "judge"
"""Stage whose outputs, in the record of a pushed model, are all files of the model."""
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_READ = re.compile(
    rf"recipe\.yaml|results\.json|models/adapted/(prototypes\.safetensors"
    rf"|(model|encoders)/({_PART}/)*{_PART}\.(safetensors|json|txt))"
)
"""Files that `latte.load` reads: weights as safetensors, configurations and vocabularies."""
_MOST_FILES = 200


def is_read(file: str) -> bool:
    """Return True if `latte.load` may read the `file` of a repository."""
    return _READ.fullmatch(file) is not None


def local_folder(run: str | PathLike[str], progress: Progress | None = None) -> Path:
    """Return the folder of a model: the path itself, or for `hf:OWNER/NAME` a folder in the cache.

    Raises `LatteError` for text that is no path, and if the hub does not give the model.
    """
    name = hub_name(run)
    return given_path(run, "run") if name is None else _fetched(name, progress or SilentProgress())


def _fetched(name: HubName, progress: Progress) -> Path:
    """Return the cached files of a revision, after downloading those that are missing.

    A commit that is in the cache needs no network; of a branch or tag, the hub is asked for the
    newest commit, and if it cannot be reached, the last one that is complete in the cache is used.
    """
    bars = not isinstance(progress, SilentProgress)
    with hub_errors(name, "load this model"), hub_session(shows_bars=bars):
        cached = _cached(name)
        if cached is not None and name.is_commit:
            return cached
        try:
            info = _asked(name)
        except Exception as error:
            if cached is None or not is_unreachable(error):
                raise
            progress.say(f"the hub cannot be reached: {name} is taken from the cache")
            return cached
        if cached is not None and cached.name == info.sha:
            return cached
        return _downloaded(name, info, progress)


def _cached(name: HubName) -> Path | None:
    """Return the folder with all files of a revision; None if the cache lacks some."""
    from huggingface_hub import try_to_load_from_cache

    record = try_to_load_from_cache(name.repository, RECORD, revision=name.revision)
    if not isinstance(record, str):
        return None
    folder = RunFolder(Path(record).parent)
    return folder.path if folder.results.finished(LAST_STAGE) else None


def _asked(name: HubName) -> ModelInfo:
    """Return what the hub says of a revision: its commit, and its files with their sizes."""
    from huggingface_hub import HfApi

    ask, revision = HfApi().model_info, name.revision
    return first_answer(
        lambda seconds: ask(
            name.repository, revision=revision, files_metadata=True, timeout=seconds
        )
    )


def _downloaded(name: HubName, info: ModelInfo, progress: Progress) -> Path:
    """Download the files of a commit that the cache lacks; return their folder.

    The record comes last: if it is in the cache, so are the others. It is fetched by the name of
    the revision, so that the cache knows the commit of this name.
    """
    sizes = _sizes(name, info)
    total = sum(sizes.values())
    progress.say(f"downloading {name}: {len(sizes)} files, {total / 2**20:,.1f} MiB")
    size_of_record = sizes.pop(RECORD)
    for file in sorted(sizes, key=lambda file: (sizes[file], file)):
        _download(name, file, str(info.sha), sizes[file])
    record = _download(name, RECORD, name.revision, size_of_record)
    if record.parent.name != info.sha:
        what = "this repository changed while it was downloaded"
        raise LatteError(what, where=str(name), hint="start the same command again")
    return record.parent


def _download(name: HubName, file: str, revision: str | None, size: int) -> Path:
    """Download a file of `size` bytes unless it is in the cache; return its path."""
    from huggingface_hub import hf_hub_download

    def download() -> str:
        return hf_hub_download(name.repository, file, revision=revision, etag_timeout=patience())

    return Path(call_within(transfer_time(size), download))


def _sizes(name: HubName, info: ModelInfo) -> dict[str, int]:
    """Return the bytes of each file to download. Raises `LatteError` if they are absurd."""
    files = {file.rfilename: file.size for file in info.siblings or ()}
    sizes = {file: number or 0 for file, number in files.items() if is_read(file)}
    if RECORD not in sizes:
        hint = "latte export RUN --push hf:OWNER/NAME writes one"
        raise LatteError("this repository has no model of latte", where=str(name), hint=hint)
    if len(sizes) > _MOST_FILES:
        raise LatteError(f"it has more than {_MOST_FILES} files of a model", where=str(name))
    for file, number in sizes.items():
        most = LARGEST_WEIGHTS if file.endswith(".safetensors") else LARGEST_JSON
        if number > most:
            raise LatteError(f"its {file} has more than {most:,} bytes", where=str(name))
    return sizes
