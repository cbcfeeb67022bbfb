"""The run folder: the paths of all its files, and its lock."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import ClassVar

from latte import distributed
from latte.interfaces import LatteError
from latte.io.files import make_folder, remove_leftovers, sync_folder, write_json
from latte.io.system import lock
from latte.results.record import RECORD, RecordFile
from latte.results.stored import read_stored

PREVIOUS = ".previous"
"""Suffix of the folder to which a finished run is moved before its images or classes change."""
REVIEW = "review.jsonl"
"""Name of the file of a person's answers, beside the run folders."""
MODEL_ANSWERS = "model_answers.jsonl"
"""Name of the file of a model's answers in the run folder."""
_LOCK = ".lock"
_KEPT = (_LOCK, REVIEW, "controls", "checkpoints", "shards")
"""Entries that stay: a person's answers, and files that are checked before they are used."""


def open_no_link(path: str, flags: int) -> int:
    """Open or create a file for `open(opener=...)`; fail if `path` is a symbolic link."""
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


class _Below:
    """Descriptor: an attribute that returns a path below the run folder."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, folder: RunFolder | ModelFolder, owner: type) -> Path:
        return folder.path / self.name


@dataclass(frozen=True)
class ModelFolder:
    """Folder of the zero-shot model or of the adapted model in a run folder."""

    path: Path

    prototypes: ClassVar[_Below] = _Below("prototypes.safetensors")
    backbone: ClassVar[_Below] = _Below("model")
    """The adapted CLIP, or a copy of the frozen CLIP if it was not trained; none for zero-shot."""
    encoders: ClassVar[_Below] = _Below("encoders")
    """A folder with a copy of each encoder whose features the adapted model's classifier uses."""
    posterior: ClassVar[_Below] = _Below("posterior.safetensors")
    """Posterior of the training images, if a labeler classified all of them together."""
    left_out: ClassVar[_Below] = _Below("left_out.safetensors")
    """Labels of images by fits without a person's answers about them; calibrates confidence."""
    pseudo_labels: ClassVar[_Below] = _Below("pseudo_labels.csv")
    """Labels of the training images, if the run does not use this model."""


@dataclass(frozen=True)
class RunFolder:
    """A run folder: the paths of its files (see docs/run-folder.md), and its lock."""

    path: Path

    recipe: ClassVar[_Below] = _Below("recipe.yaml")
    training_images: ClassVar[_Below] = _Below("data/training.jsonl")
    """Id and content key of each training image, one JSON line each."""
    evaluation_images: ClassVar[_Below] = _Below("data/evaluation.jsonl")
    """Id, content key and label of each evaluation image, one JSON line each."""
    skipped: ClassVar[_Below] = _Below("data/skipped.csv")
    """Images that could not be read, and the reasons."""
    series: ClassVar[_Below] = _Below("data/series.csv")
    """Series of each training image and example, and why its images belong together."""
    near_copies: ClassVar[_Below] = _Below("data/near_copies.csv")
    """Test images that are near-copies of training images, each with the training image."""
    zero_shot: ClassVar[_Below] = _Below("zero_shot.safetensors")
    """Features of the frozen CLIP, and the zero-shot labels."""
    places: ClassVar[_Below] = _Below("data/places.safetensors")
    """Places of the training images on the map of the review, from the first review on."""
    descriptions: ClassVar[_Below] = _Below("descriptions.jsonl")
    profile: ClassVar[_Below] = _Below("profile.json")
    """Times of the stages and of the parts of a training step, written by `--profile`."""
    trace: ClassVar[_Below] = _Below("trace.json.gz")
    """Trace of two training steps in the format of chrome://tracing, written by `--profile`."""
    metrics: ClassVar[_Below] = _Below("metrics.jsonl")
    checkpoints: ClassVar[_Below] = _Below("checkpoints")
    asked_questions: ClassVar[_Below] = _Below("checkpoints/questions.json")
    """Questions that a labeler asked so far, for a run that resumes from a checkpoint."""
    spent: ClassVar[_Below] = _Below("spent.json")
    """Tokens that describers read and wrote for this run, for a process that resumes it."""
    models: ClassVar[_Below] = _Below("models")
    """Folders of the zero-shot model and of the adapted model."""
    corrected: ClassVar[_Below] = _Below("corrected.json")
    """Classes that a person gave to training images, if the recipe has `corrections`."""
    model_answers: ClassVar[_Below] = _Below(MODEL_ANSWERS)
    """Classes that a describer gave to training images, with the reliability of each answer; in
    the format of `review.jsonl`. A recipe may name it in `corrections`."""
    predictions: ClassVar[_Below] = _Below("predictions.csv")
    pseudo_labels: ClassVar[_Below] = _Below("pseudo_labels.csv")
    earlier_review: ClassVar[_Below] = _Below(REVIEW)
    """A person's answers in a run folder of an earlier version; they are read, never written."""
    uncertain: ClassVar[_Below] = _Below("uncertain.jsonl")
    controls: ClassVar[_Below] = _Below("controls")
    """Run folders of control runs: variants of the recipe, run for comparison."""
    shards: ClassVar[_Below] = _Below("shards")
    """Folders for the processes of `latte describe --shard`; each folder has a lock."""

    @property
    def review(self) -> Path:
        """A person's answers about the images of all runs beside this one."""
        return Path(os.path.normpath(self.path / os.pardir / REVIEW))

    @property
    def answer_files(self) -> tuple[Path, ...]:
        """The files of a person's answers that exist, the one with the newest answers last."""
        files = (self.earlier_review, self.review)
        return tuple(file for file in files if os.path.lexists(file))

    @property
    def results(self) -> RecordFile:
        """The record of the run: its recipe, its finished stages and all facts about it."""
        return RecordFile(self.path / RECORD)

    @property
    def zero_shot_model(self) -> ModelFolder:
        """Folder of the zero-shot model: its prototypes, never a copy of the frozen CLIP."""
        return ModelFolder(self.models / "zero-shot")

    @property
    def adapted_model(self) -> ModelFolder:
        """Folder of the adapted model, even if the guard did not accept it."""
        return ModelFolder(self.models / "adapted")

    @property
    def previous(self) -> Path:
        """Folder `RUN.previous`: the run from before the images or class names changed."""
        return self.path.with_name(self.path.name + PREVIOUS)

    def move_aside(self, *, wanted: bool) -> None:
        """Move the finished run to the folder `RUN.previous`, and replace an earlier run there.

        A person's answers and own files in `RUN.previous` stay there, as `notes.txt.1` if the run
        has a `notes.txt`, too. Does nothing if `wanted` is false, except to finish an earlier move
        that was interrupted.
        """
        moving = self.path.with_name(f"{self.path.name}.moving")
        if not (wanted or moving.exists()):
            return
        make_folder(moving)
        for path in self.path.iterdir():
            if path.name not in _KEPT:
                path.rename(moving / path.name)
        left = RunFolder(self.previous).own_entries()
        for path in reversed(left):  # notes.txt.1 before notes.txt, which becomes .2
            path.rename(_free(moving / path.name))
        for folder in (moving, self.path, self.previous):  # before their old places are removed
            sync_folder(folder)
        shutil.rmtree(self.previous, ignore_errors=True)
        moving.rename(self.previous)
        sync_folder(self.previous.parent)

    def own_entries(self) -> list[Path]:
        """Return a person's answers, and files and folders that latte did not write, sorted."""
        entries = sorted(self.path.iterdir()) if self.path.exists() else []
        latte_entries = _written() - {REVIEW}
        return [entry for entry in entries if entry.name not in latte_entries]

    def wrote(self, stage: str, path: Path) -> bool:
        """Return True if `path` exists, or if the record of `stage` lists `path` as an output."""
        if path.exists():
            return True
        record = self.results.recorded(stage)
        return record is not None and self.relative(path) in record.outputs

    def relative(self, path: Path) -> str:
        """Return `path` relative to the run folder, with `/`, as in the record of a stage."""
        return path.relative_to(self.path).as_posix()

    def keep_checkpoints_of(self, fingerprint: str) -> None:
        """Remove the checkpoints unless they were trained on inputs with this fingerprint.

        Does nothing outside the main process.
        """
        if not distributed.is_main_process():
            return
        note = self.checkpoints / "fingerprint.json"
        with suppress(LatteError):  # raised for a damaged file
            if note.exists() and read_stored(note, str) == fingerprint:
                return
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        write_json(note, fingerprint)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock this folder, in the main process, until the block or the process ends.

        Raises `LatteError` if another process holds the lock, or if a symbolic link leads out of
        the folder. A folder that this call creates is removed if the block fails before any stage
        is finished.
        """
        if not distributed.is_main_process():
            yield
            return
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        make_folder(self.path)
        try:
            with self._locked():
                yield
        except BaseException:
            if new and not self._has_finished_stages():
                shutil.rmtree(self.path, ignore_errors=True)
                with suppress(OSError):  # a parent folder may no longer be empty
                    for parent in new[1:]:
                        parent.rmdir()
            raise

    def _has_finished_stages(self) -> bool:
        return self.results.exists() and bool(self.results.read().stages)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.refuse_links()
        self.results.refuse_earlier_layout()
        with open(self._lock, "a", encoding="ascii", opener=open_no_link) as file:
            if not lock(file, wait=False):
                what = "another process is working on this run"
                hint = "wait for it, or change the recipe's `seed` or `output`"
                raise LatteError(what, where=str(self.path), hint=hint)
            for place, folders, _ in os.walk(self.path):  # temporary files of killed processes
                folders[:] = [name for name in folders if name != self.shards.name]
                remove_leftovers(Path(place), locked=True)
            yield

    def refuse_links(self) -> None:
        """Raise `LatteError` if a symbolic link could make a run write outside this folder."""
        inside = self.path.resolve()
        for place, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                path = Path(place, name)
                if not path.is_symlink():
                    continue
                try:
                    target = path.resolve()
                except (OSError, RuntimeError):
                    target = path.parent.resolve()  # a loop of links
                if path == self._lock or not target.is_relative_to(inside):
                    raise LatteError(
                        "this link leads out of the run folder, and nothing is written through it",
                        where=str(path),
                        hint="replace it by what it points at, or remove it",
                    )

    def sign(self) -> str:
        """Write a random token into the lock file; return it, for a check in other processes."""
        sign = secrets.token_hex(8)
        with open(self._lock, "w", encoding="ascii", opener=open_no_link) as file:
            file.write(sign)
        return sign

    def shows(self, sign: str) -> bool:
        """Return True if the lock file that this process sees contains the token `sign`."""
        try:
            return self._lock.read_text(encoding="ascii") == sign
        except OSError:
            return False

    @property
    def _lock(self) -> Path:
        return self.path / _LOCK


def _free(path: Path) -> Path:
    """Return `path`, with the suffix `.1`, `.2` or a later number if it exists."""
    names = (path.with_name(f"{path.name}.{number}") for number in count(1))
    return next(name for name in chain([path], names) if not os.path.lexists(name))


def _written() -> frozenset[str]:
    """Names of the entries of a run folder that latte writes, at its top."""
    paths = [entry.name for entry in vars(RunFolder).values() if isinstance(entry, _Below)]
    return frozenset([*(path.split("/")[0] for path in paths), RECORD, _LOCK, "report", "export"])
