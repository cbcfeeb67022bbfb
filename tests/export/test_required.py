"""A missing package, or an output that cannot be written, is named before the export starts."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from latte.export.run import ExportFormat, export_run
from latte.interfaces import LatteError
from tests.helpers.clip_models import TINY_CLIP
from tests.helpers.exported_runs import adapted, write_run
from tests.helpers.recorded import RecordedProgress

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize(
    ("format_", "package", "transformers_spec", "message"),
    [
        ("onnx", "onnx", None, "needs the package onnx\n"),
        ("onnx", "onnxscript", None, "needs the package onnxscript 0.6.2 or newer"),
        ("onnx", "onnxscript", "0.6.1", "onnxscript 0.6.1: this export needs"),
        ("onnx", "torch", "2.9.1+cpu", "needs the package torch 2.10 or newer"),
        ("transformers", "transformers", None, "needs the package transformers 5.4 or newer"),
        ("transformers", "transformers", "5.3.0", "transformers 5.3.0: this export needs"),
    ],
)
def test_missing_package_is_an_error_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format_: ExportFormat,
    package: str,
    transformers_spec: str | None,
    message: str,
) -> None:
    def installed(name: str) -> str:
        if name != package:
            return version(name)
        if transformers_spec is None:
            raise PackageNotFoundError(name)
        return transformers_spec

    run = write_run(tmp_path / "run", adapted({"main": TINY_CLIP}))
    monkeypatch.setattr("latte.export.folder.version", installed)
    with pytest.raises(LatteError) as error:
        export_run(run, format_, None, RecordedProgress())
    assert message in str(error.value)
    assert f"pip install 'latte-clip[{format_}]'" in str(error.value)
    assert not (run / "export").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [("file", "something is here already"), ("file/below", "file is not a folder")],
)
def test_output_that_cannot_be_written_is_refused_before_the_model_is_loaded(
    output: str, message: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", adapted({"main": TINY_CLIP}))
    (tmp_path / "file").touch()
    progress = RecordedProgress()
    with pytest.raises(LatteError, match=message):
        export_run(run, "onnx", tmp_path / output, progress)
    assert progress.lines == []
