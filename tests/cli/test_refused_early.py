"""Every command refuses wrong paths and missing models before work; only recipes import torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

RECIPE = """\
backbone: {model: ViT-B-32, pretrained: openai}
dataset: {use: folder, root: photos, classes: [cat, dog]}
labels: [frozen]
train: {max_steps: 0}
"""
REFUSED = {
    "run absent.yaml": "RECIPE absent.yaml",
    "check absent.yaml": "RECIPE absent.yaml",
    "describe absent.yaml": "RECIPE absent.yaml",
    "sweep absent.yaml": "absent.yaml",
    "run r.yaml --set dataset.root=absent": "dataset.root",
    "describe r.yaml --set dataset.root=absent": "dataset.root",
    "run r.yaml --set output=c.txt/runs": "--set output",
    "describe r.yaml --set output=c.txt/runs": "--set output",
    "run r.yaml": "r.yaml:1 backbone.model",
    "adapt absent": "PHOTOS",
    "adapt photos --classes absent.txt": "--classes",
    "adapt photos --classes cat,cat": "--classes.1",
    "adapt photos --classes c.txt --test absent": "--test",
    "adapt photos --classes c.txt --model ViT-B-33:openai": "--model",
    "adapt photos --classes c.txt --model local-dir:absent": "--model",
    "adapt photos --classes c.txt": "--model",
    "new --images absent": "--images",
    "new --images photos --classes absent.txt": "--classes",
    "new --images photos --classes c.txt --evaluation absent": "--evaluation",
    "predict absent photos": "RUN absent",
    "predict made absent": "IMAGES absent",
    "predict made photos -o photos": "photos",
    "predict made photos -o c.txt/rows.csv": "c.txt/rows.csv",
    "evaluate absent": "RUN absent",
    "report absent": "RUN absent",
    "export absent --format onnx": "RUN absent",
    "review absent": "RUN absent",
    "export absent --format csv -o labels.csv": "RUN absent",
    "compare absent": "RUN",
    "compare made --against absent": "--against absent",
    "compare made --csv photos": "photos",
    "compare made --html c.txt/page.html": "c.txt/page.html",
    "reproduce absent": "TABLE absent",
    "reproduce table-1 --with absent": "--with absent",
    "describe --about absent": "--about",
}
RECIPES = ("run r", "check r", "describe r", "adapt photos --classes c", "new --images photos ")
"""Commands whose checks import the components of a recipe, and with them torch."""
RUN_ALL = """
import contextlib, io, json, sys
from latte.cli.main import run_command_line
said = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(errors):
        code = run_command_line(line.split())
    said[line] = [code, errors.getvalue(), "torch" in sys.modules]
print(json.dumps(said))
"""


def test_wrong_paths_and_missing_models_are_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "1.png")
    (tmp_path / "made").mkdir()
    for file in (tmp_path / "r.yaml", tmp_path / "made" / "recipe.yaml"):
        file.write_text(RECIPE)
    (tmp_path / "c.txt").write_text("cat\ndog\n")
    lines = sorted(REFUSED, key=lambda line: line.startswith(RECIPES))
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps(lines)],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    for line, (code, said, imported) in json.loads(done.stdout).items():
        assert code == 2, f"{line}: {said}"
        assert not imported or line.startswith(RECIPES), f"{line} imports torch"
        assert f"error: {REFUSED[line]}: " in said, f"{line}: {said}"
    assert not (tmp_path / "runs").exists()
