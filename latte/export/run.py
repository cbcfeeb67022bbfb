"""`latte export`: finds the run, and the format that somebody asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from latte.export.folder import Exported
from latte.export.hugging_face import export_transformers
from latte.export.onnx import export_onnx
from latte.interfaces import Progress
from latte.run.reopen import load_adapted_run

Format = Literal["transformers", "onnx"]

_EXPORTS: dict[Format, Callable[..., Path]] = {
    "transformers": export_transformers,
    "onnx": export_onnx,
}


def export_run(
    run: Path,
    format_: Format,
    output: Path | None,
    progress: Progress,
    *,
    candidate: bool = False,
) -> Path:
    """Write the model of a run folder, or its `candidate`, in another format; returns the folder.

    Without `output` it is `export/FORMAT` below the run folder, or below its `candidate`, and
    replaced each time.

    Raises:
        LatteError: if there is no trained model or no candidate, something else at `output`, no
            such package, nothing in the format that can hold the model, or a link that leads out of
            the run folder where that is written to.
    """
    found, adapted, _ = load_adapted_run(run, "cpu", progress, candidate=candidate)
    source = found.candidate if candidate else found
    exported = Exported(found.folder.path.name, adapted, source.calibration)
    progress.say(f"exporting to {format_}")
    if output is None:
        found.folder.refuse_links()
    place = output or source.folder.path / "export" / format_
    return _EXPORTS[format_](exported, place, replace=output is None)
