"""`latte export`: write a run's model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from latte.export.folder import Exported, refuse_occupied
from latte.export.hugging_face import export_transformers
from latte.export.onnx import export_onnx
from latte.interfaces import Progress
from latte.run.reopen import load_adapted_run

Format = Literal["transformers", "onnx"]


def export_run(
    run: Path, format_: Format, output: Path | None, progress: Progress, *, candidate: bool = False
) -> Path:
    """Export the model in a run folder; return the folder of the export.

    If `candidate` is true, export the adapted model that the guard did not accept in full. Without
    `output`, the export is written to `export/FORMAT` below the run folder (or below the
    candidate's folder), and replaces an earlier export there.

    Raises:
        LatteError: if there is no model, `output` exists or cannot be created, a package is
            missing, the format cannot hold the model, or a link leads out of the run folder.
    """
    if output is not None:
        refuse_occupied(output)
    opened_run, adapted, _ = load_adapted_run(run, "cpu", progress, candidate=candidate)
    folder, facts = opened_run.folder, opened_run.record.evaluate
    calibration = facts.candidate_calibration if candidate else facts.calibration
    exported = Exported(folder.path.name, adapted, calibration)
    progress.say(f"exporting to {format_}")
    if output is None:
        folder.refuse_links()
    target = output or (folder.candidate if candidate else folder).path / "export" / format_
    export = export_onnx if format_ == "onnx" else export_transformers
    return export(exported, target, replace=output is None)
