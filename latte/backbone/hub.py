"""Find model files in the Hugging Face cache, or download them without retries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from latte.backbone.names import HUB, pretrained, weight_tag
from latte.interfaces.errors import error_line
from latte.io.hub import first_answer

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
"""Possible names of open_clip's weights file in a repository; the first name is preferred."""


def weights_files(place: str) -> tuple[str, Sequence[str]]:
    """Split `REPOSITORY/FILE`; return the repository and the weights files to try, best first."""
    repository, file = os.path.split(place)
    if file in ("", WEIGHTS_FILES[-1]):
        return repository, WEIGHTS_FILES
    path = Path(file)
    safetensors_names = (
        [path.with_suffix(".safetensors").name] if path.suffix in (".bin", ".pth") else []
    )
    return repository, (*safetensors_names, file)


def cached_file(repository: str, files: Sequence[str]) -> Path | None:
    """Return the first of `files` that is in the Hugging Face cache; None if none of them is."""
    from huggingface_hub import try_to_load_from_cache

    with suppress(ValueError):  # not a name of a repository
        for file in files:
            path = try_to_load_from_cache(repository, file)
            if isinstance(path, str):
                return Path(path)
    return None


def fetch(repository: str, files: Sequence[str]) -> Path:
    """Return the path of the first of `files` that the repository has; download it if necessary.

    Raises `OSError` if the hub does not answer within a few seconds, or has none of the files.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    cached = cached_file(repository, files)
    if cached is not None:
        return cached
    with _in_one_line(repository):
        for file in files:
            try:
                _ask(repository, file)
            except EntryNotFoundError:
                continue
            return Path(hf_hub_download(repository, file))
    raise OSError(f"{repository} has no {' or '.join(files)}")


def fetch_repository(
    repository: str,
    patterns: Sequence[str],
    is_complete: Callable[[Path], bool],
    revision: str | None = None,
) -> Path:
    """Return a folder with a repository's files; download them unless the cache has all of them.

    Raises `OSError`, with a reason in one line, if the hub does not answer within a few seconds.

    Args:
        repository: its name on the Hugging Face hub.
        patterns: patterns of the wanted files; files in sub-folders are not downloaded.
        is_complete: returns True if the folder in the cache has all wanted files.
        revision: branch, tag or commit; None for the default branch.

    Example:
        from latte.api import fetch_repository

        fetch_repository("someone/clip", ["config.json"], lambda folder: any(folder.iterdir()))
    """
    from huggingface_hub import snapshot_download

    def folder(*, cached: bool) -> Path:
        path = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=[*patterns],
            ignore_patterns=["*/*"],
            local_files_only=cached,
        )
        return Path(path)

    with suppress(OSError, ValueError):  # not in the cache, or not a name of a repository
        cached_folder = folder(cached=True)
        if is_complete(cached_folder):
            return cached_folder
    with _in_one_line(repository):
        _ask(repository, "config.json", revision)
        return folder(cached=False)


@contextmanager
def _in_one_line(repository: str) -> Iterator[None]:
    """Raise errors of the hub and of its HTTP client as `OSError`, with a message in one line."""
    from huggingface_hub.errors import GatedRepoError

    try:
        yield
    except GatedRepoError as error:
        page = f"https://huggingface.co/{repository}"
        raise OSError(
            f"{repository} is gated: accept its terms on {page}, then run: hf auth login"
        ) from error
    except Exception as error:  # errors of the HTTP client need not be OSError
        raise OSError(error_line(error, with_type=False)) from error


def answers(repository: str) -> bool:
    """Return True if the Hugging Face hub answers a request, even if the answer is an error."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        _ask(repository, "config.json")
    except HfHubHTTPError:
        return True
    except Exception:
        return False
    return True


def needs_download(model: str) -> str | None:
    """Return the repository from which `model` (as `--model` names it) must be downloaded.

    The result is None if the weights are in the cache, or are not on the Hugging Face hub.
    """
    name, _, tag = model.partition(":")
    is_repository = model.startswith(HUB)
    place = f"{tag}/" if is_repository else weight_tag(name.replace("/", "-"), tag).get("hf_hub")
    if not place or cached_file(*weights_files(str(place))):
        return None
    return weights_files(str(place))[0]


def cached_models() -> list[str]:
    """Return the models that need no download, as `NAME:PRETRAINED` or `hf-hub:REPOSITORY`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    models, repositories = [], set()
    for name, tag in pretrained().list_pretrained():
        place = pretrained().get_pretrained_cfg(name, tag).get("hf_hub")
        if not place or name.endswith("-quickgelu"):
            continue
        repository, files = weights_files(place)
        if cached_file(repository, files):
            models.append(f"{name}:{tag}")
            repositories.add(repository)
    configs = Path(HF_HUB_CACHE).glob(f"models--*/snapshots/*/{CONFIG_FILE}")
    for config in sorted(configs):
        repository = config.parts[-4].removeprefix("models--").replace("--", "/")
        if repository not in repositories and cached_file(repository, WEIGHTS_FILES):
            models.append(f"{HUB}{repository}")
            repositories.add(repository)
    return models


def _ask(repository: str, file: str, revision: str | None = None) -> None:
    """Request a file's metadata from the hub, to check that the file exists."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository, file, revision=revision)
    first_answer(lambda seconds: get_hf_file_metadata(url, timeout=seconds))
