"""Every command on a page runs, in a folder with the files that the pages name.

Runs are small (a few photos, one step, one seed) and use the tiny CLIP; otherwise the shell gets
the line unchanged. Commands that cannot run here are listed below, with the reason. A process runs
all commands of a page, as some need files of earlier ones. `latte` starts with torch imported.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from latte_tiny.dataset import IMAGES

from tests.helpers.clip_models import TINY_CLIP, build_clip
from tests.helpers.doc_pages import ROOT, ConsoleLine, blocks, commands, plugin_files
from tests.helpers.warm_latte import warm_latte

pytestmark = pytest.mark.slow

NOT_HERE = {
    "latte run sun397": "asks a large LMM about 19,850 images",
    "latte datasets get dtd": "downloads; plugins/latte-benchmarks/tests has a server",
    "latte adapt photos --classes classes.txt --encoder": "downloads; tests/new has encoders",
    "latte adapt photos --classes classes.txt --ask-model": "asks a server; latte-openai tests it",
    "LATTE_DATA=/data latte reproduce": "needs the datasets; latte-benchmarks tests others",
    ".venv/bin/latte components": "tests/author/testing/test_writing_plugins.py runs it",
    "latte distil": "trains for minutes; plugins/latte-student/tests distils",
    "latte predict birds": "needs a student; plugins/latte-student/tests predicts",
    "latte export runs/animals-1a2b3c4d --push": "needs a hub; tests/export has a server",
    "latte predict hf:": "needs a hub; tests/predict has a server",
    "latte plugins check": "tests/author/kit/test_published.py runs it",
    "latte field photos --recipe": "tests/docs/test_pages.py writes and tests this method",
    "latte review": "asks a person; tests/review and tests/browser answer",
    "latte run follow.yaml": "needs tensorboard; plugins/latte-loggers/tests run its reporter",
}
EXPECTED_CODES = {"latte datasets check dtd": 2}
SMALL = "--set train.max_steps=1 --set train.batch_size=12"
UNTRAINED = re.compile(
    "max_steps|zero-shot.yaml|training-free|groups-per-class|run adapt|adapt.yaml|choices"
)
COMMANDS = ".commands"
"""Folder of the command `latte`."""
TINY = "--set 'backbone={model: \"plugin:tiny\"}'"


def shown() -> list[ConsoleLine]:
    """Return each line once, in the order of the pages."""
    return list({command.line: command for command in commands()}.values())


def prepared(command: ConsoleLine) -> str:
    """Return the line for the shell: without its comment, as a small run."""
    line = re.sub(r"\s+#\s.*$", "", command.line).removeprefix(".venv/bin/")
    line = re.sub(r"(--seeds) [\d,]+", r"\1 0", line)
    line = re.sub(r"(--set descriptions\S+?=\d+),\S+", r"\1", line)
    line = line.replace("OUT/grey/split.json", "SPLIT").replace("OUT/grey", "IMAGES,")
    line = line.replace("IMAGES,}", "IMAGES}").replace(
        "split: SPLIT", f"split: {IMAGES}/split.json"
    )
    line = line.replace("root: IMAGES", f"root: {IMAGES}").replace("-node 4", "-node 2")
    if re.search(r"latte (run|sweep|describe) ", line):
        line += "" if "--limit" in line else " --limit 24"
        line += "" if UNTRAINED.search(line) else f" {SMALL}"
        line += f" {TINY}" if re.search("adapt|choices", line) and "plugin:tiny" not in line else ""
        line += " --set describer=phrases" if "choices" in line else ""
    if re.search(r"latte adapt ", line) and "--model" not in line:
        line += " --model plugin:tiny"
    return f"rm -f my.yaml; {line}" if "my.yaml" in line else line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with photos, classes, recipes and two runs, named as on the pages."""
    folder = tmp_path_factory.mktemp("pages")
    with warm_latte(folder / COMMANDS):
        write_project(folder)
        yield folder


def write_project(folder: Path) -> None:
    """Write the files of the pages into `folder`, and make the runs."""
    (folder / "recipes").symlink_to(ROOT / "recipes")
    photos = sorted((IMAGES / "train").glob("*.jpg"))
    write_shipped_photos(folder / IMAGES.relative_to(ROOT), photos[::20])
    for place, name in enumerate(("photos/cup", "photos/chair", "labelled/cup", "labelled/chair")):
        (folder / name).mkdir(parents=True)
        for photo in photos[12 * place : 12 * place + 12]:
            shutil.copy(photo, folder / name)
    shutil.copytree(folder / "photos/cup", folder / "more-photos")
    (folder / "classes.txt").write_text("cup\nchair\n")
    for name, text in plugin_files().items():
        (folder / name).write_text(text)
    known = f"cup/{photos[0].name},cup\nchair/{photos[12].name},chair\n"
    (folder / "known.csv").write_text(f"path,class\n{known}")
    birds = next(iter(blocks(ROOT / "docs/quickstart.md", "yaml")))
    tiny = birds.replace(
        "{model: ViT-B-32, pretrained: laion2b_s34b_b79k}", '{model: "plugin:tiny"}'
    )
    (folder / "birds.yaml").write_text(tiny)
    run(folder, f"latte run birds.yaml --limit 24 {SMALL} --set output=made")
    (folder / "runs").mkdir()
    next((folder / "made").glob("birds-*")).rename(folder / "runs/birds-1a2b3c4d")
    shutil.copytree(folder / "runs/birds-1a2b3c4d", folder / "runs/adapt-1a2b3c4d")
    for name in ("photos", "train"):
        shutil.copytree(folder / "runs/birds-1a2b3c4d", folder / f"adapted/{name}-1a2b3c4d")
    # The page on exports speaks of a CLIP that transformers knows: a vision transformer.
    build_clip(TINY_CLIP).save(folder / "vit")
    (folder / "animals.yaml").write_text(tiny.replace("plugin:tiny", "local-dir:vit"))
    run(
        folder,
        f"latte run animals.yaml --limit 24 {SMALL} --set output=made --set describer=null "
        "--set descriptions=[class]",
    )
    next((folder / "made").glob("animals-*")).rename(folder / "runs/animals-1a2b3c4d")
    for name, photo in zip(("cat", "dog"), photos, strict=False):
        shutil.copy(photo, folder / "photos" / f"{name}.jpg")


def write_shipped_photos(folder: Path, photos: Sequence[Path]) -> None:
    """Copy some photos of latte-tiny, and the names of all their classes."""
    (folder / "train").mkdir(parents=True)
    shutil.copy(IMAGES / "classes.txt", folder)
    for photo in photos:
        shutil.copy(photo, folder / "train")


def run(folder: Path, line: str, expected: int = 0) -> None:
    """Run a line in a shell and check its exit code."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(
            (str(folder / COMMANDS), str(Path(sys.executable).parent), os.environ["PATH"])
        ),
        "LATTE_CACHE": str(folder / "cache"),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == expected, f"{line}\n{ended.stdout}\n{ended.stderr}"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(
            one,
            id=f"{one.page}: {' '.join(one.line.split())}"[:100],
            marks=pytest.mark.xdist_group(one.page),
        )
        for one in shown()
    ],
)
def test_command_of_a_page_runs(command: ConsoleLine, folder: Path) -> None:
    excused = [why for start, why in NOT_HERE.items() if command.line.startswith(start)]
    if excused:
        pytest.skip(excused[0])
    expected = next(
        (code for start, code in EXPECTED_CODES.items() if command.line.startswith(start)), 0
    )
    run(folder, prepared(command), expected)


def test_every_excused_command_is_on_a_page() -> None:
    for start in [*NOT_HERE, *EXPECTED_CODES]:
        assert any(command.line.startswith(start) for command in shown()), start
