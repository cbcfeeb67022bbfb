"""Read and write `results.json`, the record of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version
from pydantic import ValidationError

from latte import distributed
from latte.interfaces import LatteError
from latte.interfaces.record import Facts, RunRecord, Source, StageRecord
from latte.io.files import write_json
from latte.results.stages import STAGES
from latte.results.stored import read_bounded, read_stored
from latte.version import __version__

RECORD = "results.json"
_HINT = (
    "remove it and write it again: latte run RECIPE; finished stages are then done again, "
    "descriptions are kept"
)
_EARLIER_FILES = ("source.json", "state.json", "prototypes.safetensors")
"""Files of a run folder that was written with another layout."""

_GONE = (("judge", "verdict", "forecast"), ("train", "expected_gain"))
"""Paths of facts that earlier versions of latte wrote."""


@dataclass(frozen=True)
class RecordFile:
    """The file `results.json` of a run folder, which each write replaces as a whole.

    Methods that write do nothing outside the main process.
    """

    path: Path

    def exists(self) -> bool:
        """Return True if there is a record. Raises `LatteError` for a folder with other files."""
        self.refuse_earlier_layout()
        return self.path.exists()

    def refuse_earlier_layout(self) -> None:
        """Raise `LatteError` if an earlier version of latte wrote this run folder."""
        folder = self.path.parent
        if any((folder / name).is_file() for name in _EARLIER_FILES):
            raise LatteError(
                "an earlier version of latte wrote this run folder, with other files",
                where=str(folder),
                hint="remove or rename it, and make the run again: latte run RECIPE",
            )

    def read(self) -> RunRecord:
        """Return the record.

        Raises `LatteError` if the file is missing or damaged, or if a newer latte wrote it.
        """
        self.refuse_earlier_layout()
        try:
            return read_stored(self.path, RunRecord, _HINT, _upgraded)
        except LatteError as error:
            if (newer := _newer(error, self.path)) is not None:
                raise newer from error
            raise

    def recorded(self, stage: str) -> StageRecord | None:
        """Return the record of `stage` if there is one, even if its outputs no longer exist."""
        return self.read().stages.get(stage) if self.exists() else None

    def finished(self, stage: str) -> StageRecord | None:
        """Return the record of a finished stage; None if unfinished, or if outputs are missing."""
        record = self.recorded(stage)
        # Unlike `Path.exists`, `os.path.exists` returns False for a name that no file can have.
        outputs = [self.path.parent / name for name in record.outputs] if record else []
        return record if all(os.path.exists(output) for output in outputs) else None  # noqa: PTH110

    def begin(self, source: Source) -> None:
        """Record the `source` of a run that begins; finished stages stay recorded."""
        record = self.read() if self.exists() else RunRecord(source=source)
        self._write(record.model_copy(update={"source": source}))

    def note_environment(self, environment: Mapping[str, Any]) -> None:
        """Record the environment of the run."""
        self._write(self.read().model_copy(update={"environment": environment}))

    def finish(self, stage: str, record: StageRecord, facts: Facts | None = None) -> None:
        """Record that `stage` is finished, together with its `facts`."""
        if distributed.is_main_process():
            self._write(self.read().with_stage(stage, record, facts))

    def note_controls(self, controls: Mapping[str, RunRecord]) -> None:
        """Record the models that the `controls` of the run use, by the control's name."""
        self._write(self.read().with_controls(controls))

    def forget(self, *stages: str) -> None:
        """Delete the records of `stages`, and their facts."""
        if distributed.is_main_process() and self.exists():
            self._write(self.read().without_stages(*stages))

    def _write(self, record: RunRecord) -> None:
        if distributed.is_main_process():
            write_json(self.path, record.model_dump(mode="json"))


def _upgraded(content: Any) -> Any:
    """Return the content of a record that an earlier latte may have written, in today's form."""
    content = _with_judge(content)
    for path in _GONE:
        content = _without(content, path)
    return content


def _with_judge(content: Any) -> Any:
    """Return a record in which the verdict is a fact of stage `judge`, and not of stage `train`.

    Earlier versions of latte had no stage `judge`: stage `train` called the guard.
    """
    if not isinstance(content, dict) or "verdict" not in content.get("train", {}):
        return content
    train, stages = dict(content["train"]), dict(content.get("stages", {}))
    if "train" in stages:
        stages["judge"] = {"fingerprint": "", "seconds": 0.0}
    ordered = {name: stages[name] for name in STAGES if name in stages}
    judge = {"verdict": train.pop("verdict")}
    return {**content, "stages": ordered, "train": train, "judge": judge}


def _without(content: Any, path: Sequence[str]) -> Any:
    """Return a record without the key at `path`; the same record if it has no such key."""
    key, *below = path
    if not isinstance(content, dict) or key not in content:
        return content
    if not below:
        return {name: value for name, value in content.items() if name != key}
    changed = _without(content[key], below)
    return content if changed is content[key] else {**content, key: changed}


def _newer(error: LatteError, path: Path) -> LatteError | None:
    """Return an error that says that a newer latte wrote the file; None if it is damaged.

    A newer latte writes its version, or only keys that this one does not know.
    """
    if not isinstance(error.__cause__, ValidationError):
        return None
    mistakes = error.__cause__.errors(include_url=False, include_input=False)
    version = _written_by(path)
    if version is None and any(mistake["type"] != "extra_forbidden" for mistake in mistakes):
        return None
    key = ".".join(map(str, mistakes[0]["loc"]))
    why = f"it has `{key}`" if version is None else f"version {version}"
    what = f"a newer latte wrote this run folder ({why}), and latte {__version__} cannot read it"
    hint = "pip install --upgrade latte-clip; or make the run again in another folder"
    return LatteError(what, where=str(path), hint=hint)


def _written_by(path: Path) -> str | None:
    """Return the version of latte that wrote a record, if it is newer than this one."""
    with suppress(ValueError, LookupError, TypeError):  # the file is damaged
        version = str(json.loads(read_bounded(path))["environment"]["latte"])
        return version if Version(version) > Version(__version__) else None
    return None


def check_stage(name: str) -> str:
    """Return `name` unchanged. Raises `LatteError` if there is no stage of this name."""
    if name not in STAGES:
        raise LatteError(f"there is no stage `{name}`", hint=f"stages: {', '.join(STAGES)}")
    return name
