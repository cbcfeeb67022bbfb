"""`latte export`: write a run's model in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from latte.export.folder import NAMES_EVERY_IMAGE, Exported, refuse_occupied
from latte.export.hugging_face import export_transformers
from latte.export.onnx import export_onnx
from latte.interfaces import Progress
from latte.interfaces.measurements import UsedModel
from latte.models.loaded import load_run_model

ExportFormat = Literal["transformers", "onnx"]


def export_run(
    run: Path,
    format_: ExportFormat,
    output: Path | None,
    progress: Progress,
    *,
    use: UsedModel | None = None,
) -> Path:
    """Export the model in a run folder; return the folder of the export.

    `use` names the model; the default is the one that the run uses. Without `output`, the export is
    written to `export/FORMAT` (or `export/MODEL/FORMAT`) in the run folder, and replaces an earlier
    export there.

    Raises:
        LatteError: if there is no model, `output` exists or cannot be created, a package is
            missing, the format cannot hold the model, or a link leads out of the run folder.
    """
    if output is not None:
        refuse_occupied(output)
    loaded = load_run_model(run, "cpu", progress, use)
    folder = loaded.run.folder
    exported = Exported(folder.path.name, loaded.model, loaded.calibration)
    progress.say(f"exporting to {format_}")
    if loaded.model.knows_none:
        progress.say(NAMES_EVERY_IMAGE)
    if output is None:
        folder.refuse_links()
    target = output or folder.path / "export" / (use or "") / format_
    export = export_onnx if format_ == "onnx" else export_transformers
    return export(exported, target, replace=output is None)
