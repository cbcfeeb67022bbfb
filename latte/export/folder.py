"""Functions that all exports use: atomic folders, required packages, the model's metadata."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from latte.interfaces import Calibration, LatteError
from latte.io.files import sync_files, temporary_beside

if TYPE_CHECKING:  # this import loads torch, which exports of labels do not need
    from latte.run.adapted import Adapted, Member

PROTOTYPES = "prototypes.safetensors"


@dataclass(frozen=True)
class Exported:
    """The model of a run, on the CPU, and the calibration of the model."""

    name: str
    """Name of the run folder."""
    adapted: Adapted
    calibration: Calibration | None

    @property
    def scale(self) -> float:
        """Factor from similarities to logits."""
        return self.calibration.scale if self.calibration else self.adapted.logit_scale

    def about(self) -> dict[str, Any]:
        """Return the metadata that another program needs to classify with the prototypes."""
        return {
            "class_names": self.adapted.class_names,
            "learners": [member.name for member in self.adapted.members],
            "logit_scale": self.adapted.logit_scale,
            "scale": self.scale,
            "calibrated": self.calibration is not None,
        }


@contextmanager
def whole_folder(folder: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a temporary folder, which replaces `folder` if the block succeeds.

    Raises `LatteError` if `folder` exists and is not an empty folder, unless `replace` is true.
    """
    if folder.exists() and not replace and (not folder.is_dir() or any(folder.iterdir())):
        raise LatteError(
            "something is here already",
            where=str(folder),
            hint="remove it, or give another --output",
        )
    temporary = temporary_beside(folder)
    temporary.mkdir()
    try:
        yield temporary
        for path in (temporary, *(one for one in temporary.rglob("*") if one.is_dir())):
            sync_files(path)
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.replace(folder)
        except OSError as error:
            raise LatteError(
                f"cannot be replaced: {error.strerror}",
                where=str(folder),
                hint="remove it, and write to it with one command at a time",
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require(package: str, extra: str, oldest: str = "0") -> None:
    """Raise `LatteError` unless `package` is installed in version `oldest` or newer.

    `extra` is the extra of latte-clip that installs it.
    """
    try:
        found = Version(version(package))
    except PackageNotFoundError:
        found = None
    if found is None or found < Version(oldest):
        needed = package if oldest == "0" else f"{package} {oldest} or newer"
        raise LatteError(
            f"this export needs the package {needed}",
            where=f"{package} {found}" if found else None,
            hint=f"pip install 'latte-clip[{extra}]'",
        )


def no_export(member: Member, format_: str, other: str | None) -> LatteError:
    """Return the error for a backbone that has no export to `format_`.

    The hint is the command for the format `other` if the backbone can be exported to it. Otherwise
    the hint says how to use the model without an export.
    """
    hint = (
        f"export it to {other} instead: latte export RUN --format {other.lower()}"
        if other
        else 'no export is needed in Python, latte.load("RUN"), and for files: latte predict RUN'
    )
    return LatteError(
        f"the backbone of learner {member.name} has no export to {format_}", hint=hint
    )
