"""Push a run's model to a repository of the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latte.export.folder import whole_folder
from latte.export.hub_folder import write_hub_folder
from latte.interfaces import LatteError, Progress
from latte.interfaces.measurements import UsedModel
from latte.interfaces.progress import SilentProgress
from latte.io.hub import (
    SILENCE,
    HubName,
    call_within,
    first_answer,
    hub_errors,
    hub_name,
    hub_session,
    transfer_time,
)
from latte.models.loaded import load_run_model
from latte.report.numbers import plural, size

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

_DOING = "push"
_MESSAGE = "Push a model of latte"
"""Message of the commit."""
_CONFLICT = 409
_MODELS = "models/"
"""Folder of the files that a push replaces; other files of the repository stay."""


@dataclass(frozen=True)
class Pushed:
    """A revision of a repository that a push made."""

    name: HubName
    is_private: bool
    files: tuple[str, ...]
    bytes: int

    def __str__(self) -> str:
        """Return how much is pushed, and where, in one line."""
        visible = "private" if self.is_private else "public"
        return f"{self.name} ({visible}): {plural(len(self.files), 'file')}, {size(self.bytes)}"


def push_run(
    run: Path,
    repository: str,
    progress: Progress,
    *,
    use: UsedModel | None = None,
    public: bool = False,
    force: bool = False,
) -> Pushed:
    """Push the model of a run folder, its class names and a card; return what was pushed.

    The files are in `export/hub` in the run folder, too. They have no image, no text about an image
    and no path of this machine.

    Args:
        run: a run folder.
        repository: `hf:OWNER/NAME`.
        progress: says what is pushed, before the hub gets it.
        use: the model; by default the one that the run uses.
        public: everybody may read a new repository.
        force: push a new revision to a repository that exists.

    Raises:
        LatteError: if there is no model, for a name of another form, without a token, if the hub
            refuses or does not answer, or if the repository exists.
    """
    name = _checked(repository)
    with hub_errors(name, _DOING), hub_session(shows_bars=False):
        existing = first_answer(lambda seconds: _existing(name, seconds))
    _refuse(name, existing, public=public, force=force)
    loaded = load_run_model(run, "cpu", progress, use)
    folder = loaded.run.folder
    folder.refuse_links()
    target = folder.path / "export" / "hub"
    with whole_folder(target, replace=True) as temporary:
        written = write_hub_folder(loaded, temporary, name)
        files = tuple(path.relative_to(temporary).as_posix() for path in written)
        total = sum(path.stat().st_size for path in written)
    pushed = Pushed(name, not public, files, total)
    progress.say(f"pushing {pushed}: {', '.join(files)}")
    revision = _upload(pushed, target, progress, existing)
    return Pushed(HubName(name.repository, revision), not public, files, total)


def _checked(repository: str) -> HubName:
    """Return the name of the repository to push to, if there is a token to push with."""
    name = hub_name(repository)
    if name is None or name.revision is not None:
        raise LatteError("names no repository", where=repository, hint="write hf:OWNER/NAME")
    from huggingface_hub import get_token

    if not get_token():
        hint = "hf auth login, or set HF_TOKEN to a token that may write"
        raise LatteError("there is no token to push with", where=str(name), hint=hint)
    return name


def _existing(name: HubName, seconds: float) -> ModelInfo | None:
    """Return what the hub says about the repository; None if it says that there is none."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        return HfApi().model_info(name.repository, timeout=seconds)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return None
    except HfHubHTTPError as error:
        if error.response.status_code != 404:
            raise
        return None


def _refuse(name: HubName, existing: ModelInfo | None, *, public: bool, force: bool) -> None:
    """Raise `LatteError` if the repository exists, unless a push to it is asked for."""
    if existing is None:
        return
    if not force:
        raise _exists(name)
    if bool(existing.private) == public:
        visible, option = ("private", "leave out") if public else ("public", "add")
        what = f"this repository is {visible}, and a push does not change that"
        raise LatteError(what, where=str(name), hint=f"{option} --public")


def _exists(name: HubName) -> LatteError:
    hint = "give another name, or add --force: its earlier revisions stay"
    return LatteError("this repository exists already", where=str(name), hint=hint)


def _upload(pushed: Pushed, folder: Path, progress: Progress, existing: ModelInfo | None) -> str:
    """Upload the files of `folder`; return the commit. Files of an earlier model are deleted."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api, name, shows_bars = HfApi(), pushed.name, not isinstance(progress, SilentProgress)
    with hub_errors(name, _DOING), hub_session(shows_bars=False):
        if existing is None:
            call_within(SILENCE, lambda: _create(api, pushed))
    earlier = existing.siblings if existing is not None else None
    old = {file.rfilename for file in earlier or () if file.rfilename.startswith(_MODELS)}
    added = [CommitOperationAdd(file, folder / file) for file in pushed.files]
    deleted = [CommitOperationDelete(file) for file in sorted(old - {*pushed.files})]
    try:
        with hub_errors(name, _DOING), hub_session(shows_bars=shows_bars):
            commit = call_within(
                transfer_time(pushed.bytes),
                lambda: api.create_commit(
                    name.repository, [*added, *deleted], commit_message=_MESSAGE
                ),
            )
    except LatteError as error:
        hint = f"{error.hint or 'start again'}; the repository exists now: add --force"
        raise LatteError(error.what, where=error.where, hint=hint) from error
    return str(commit.oid)


def _create(api: HfApi, pushed: Pushed) -> None:
    """Create the repository. Raises `LatteError` if it was created meanwhile."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        api.create_repo(pushed.name.repository, private=pushed.is_private)
    except HfHubHTTPError as error:
        if error.response.status_code != _CONFLICT:
            raise
        raise _exists(pushed.name) from error
