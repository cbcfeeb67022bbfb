"""Every script of examples/ runs, and every step of the plugin works as its README says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.doc_pages import ROOT
from tests.helpers.plugin_packages import write_package

EXAMPLES = ROOT / "examples"
SCRIPTS = {
    "own_folder.py": ("labels of the images in", "labels.csv"),
    "compare_methods.py": ("self-taught", "training-free"),
    "use_in_python.py": ("8 classes",),
}
"""Scripts, and what they print or write."""
NOTEBOOK = EXAMPLES / "quickstart.ipynb"
NOT_SCRIPTS = {"tiny_photos.py"}
STEPS = ("step1", "step2", "step3")


def run_example(
    *arguments: str | Path, cwd: Path, site: Path | None = None
) -> CompletedProcess[str]:
    """Run Python on this checkout, offline, with a cache and a plugin folder `site`."""
    paths = [site, ROOT, os.environ.get("PYTHONPATH")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
        "LATTE_CACHE": str(cwd / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def installed(step: str, site: Path) -> Path:
    """Make a step of the plugin an installed package of the folder `site`."""
    source = EXAMPLES / "plugin_in_steps" / step
    files = {
        path.relative_to(source).as_posix(): path.read_text(encoding="utf-8")
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    write_package(site, "latte-clear", {"latte_clear": "latte_clear"}, files)
    return site


def test_every_script_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SCRIPTS} | NOT_SCRIPTS


def test_readme_names_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(name in readme for name in (*SCRIPTS, NOTEBOOK.name))
    steps = (EXAMPLES / "plugin_in_steps" / "README.md").read_text(encoding="utf-8")
    assert all(f"[{step}]({step})" in steps for step in STEPS)


def test_first_step_of_the_plugin_has_fifteen_lines_of_code() -> None:
    text = (EXAMPLES / "plugin_in_steps/step1/latte_clear.py").read_text(encoding="utf-8")
    code = [line for line in text.splitlines() if line.strip() and '"""' not in line]
    assert len(code) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_script_runs_offline(script: str, tmp_path: Path) -> None:
    ended = run_example(EXAMPLES / script, "--output", tmp_path / "out", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = " ".join(path.name for path in (tmp_path / "out").iterdir())
    for expected in SCRIPTS[script]:
        assert expected in ended.stdout + written, ended.stdout
    if script == "use_in_python.py":
        assert (tmp_path / "out/onnx/model.onnx").is_file()


def test_notebook_has_cells_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert len(notebook.cells) == 15
    assert not [cell for cell in notebook.cells if cell.get("outputs")]


@pytest.mark.slow
def test_notebook_runs_offline_beside_an_older_run_and_shows_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shutil.copy(EXAMPLES / "tiny_photos.py", tmp_path)
    (tmp_path / "example-runs/notebook/adapted/photos-00000000").mkdir(parents=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    pages = [
        output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {})
    ]
    assert "data:image/jpeg" in pages[-1]
    assert "photos are predicted correctly" in outputs[-1]["data"]["text/plain"]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_recipe_of_a_step_runs(step: str, tmp_path: Path) -> None:
    site = installed(step, tmp_path)
    command = ["run", "recipe.yaml", "--limit", "24", "--set", "train.batch_size=12"]
    ended = run_example("-m", "latte", *command, cwd=site, site=site)
    assert ended.returncode == 0, ended.stderr
    assert "report\t" in ended.stdout
    (resolved,) = site.glob("runs/*/recipe.yaml")
    assert "use: latte-clear/clear" in resolved.read_text(encoding="utf-8")


@pytest.mark.slow
def test_contract_passes_in_the_last_step_and_fails_before(tmp_path: Path) -> None:
    last_step = installed("step3", tmp_path / "last")
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    ended = run_example(*arguments, cwd=last_step, site=last_step)
    assert ended.returncode == 0, ended.stdout
    earlier_step = installed("step2", tmp_path / "before")
    tests = (last_step / "tests/test_latte_clear.py").read_text(encoding="utf-8")
    (earlier_step / "tests").mkdir()
    (earlier_step / "tests/test_latte_clear.py").write_text(tests, encoding="utf-8")
    ended = run_example(*arguments, "-k", "TestClear", cwd=earlier_step, site=earlier_step)
    assert ended.returncode == 1, ended.stdout
    assert "FAILED tests/test_latte_clear.py::TestClear" in ended.stdout
