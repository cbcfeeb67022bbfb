"""`latte distil` on whole runs: students, their files, resuming, and wrong inputs."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy
import onnx
import pytest
import torch
from latte_author.testing import TinyRuns
from latte_student.opened import OnnxStudent
from PIL import Image

from latte.api.runs import ClassifierPredictor

pytestmark = pytest.mark.slow

LABELLED = "labels: [self-taught]\nprototypes: from-labeler\ntrain: {max_steps: 0}\n"
SMALL = ("--student", "timm:test_efficientnet", "--size", "32", "--batch-size", "4", "-q")
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run(runs: TinyRuns) -> str:
    return str(runs.run(LABELLED))


@pytest.fixture(scope="module")
def student(runs: TinyRuns, run: str) -> Path:
    """Return a finished student of the run."""
    said = runs.latte("distil", run, *SMALL, "--epochs", "2", "-o", "student")
    assert said.code == 0, said.err
    return runs.folder / "student"


def distil_in_a_process(runs: TinyRuns, run: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "latte", "distil", run, *SMALL, *arguments]
    environment = {**os.environ, "LATTE_CACHE": str(runs.folder / "cache")}
    return subprocess.Popen(
        command, cwd=runs.folder, env=environment, stderr=subprocess.PIPE, text=True
    )


def test_a_student_has_onnx_files_and_a_table(runs: TinyRuns, run: str, student: Path) -> None:
    said = runs.latte("distil", run, *SMALL, "--epochs", "2", "-o", "student")
    assert said.code == 0, said.err
    assert "accuracy on 6 images with labels" in said.out
    assert [line.split()[0] for line in said.out.splitlines() if "teacher" in line] == ["teacher"]
    assert re.search(r"^int8 +\d+ +\d+ to \d+ +[\d,]+ +[\d.]+$", said.out, re.MULTILINE), said.out
    assert {path.name for path in student.iterdir()} == {
        "student.onnx",
        "student.int8.onnx",
        "classifier.json",
    }


def test_predict_takes_a_student_as_a_run(runs: TinyRuns, student: Path) -> None:
    said = runs.latte("predict", "student", "images", "-q")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("image,source,class_1,score_1")
    assert len(lines) == 13


def test_onnx_computes_what_the_network_computes(tmp_path: Path) -> None:
    from latte_student.network import build_network
    from latte_student.onnx_files import write_onnx

    torch.manual_seed(0)
    network = build_network("timm:test_efficientnet", 3, 32, None)
    write_onnx(tmp_path / "a.onnx", network, ("a", "b", "ü"))
    opened = OnnxStudent(tmp_path / "a.onnx")
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    mean, std = network.pixel_format.mean, network.pixel_format.std
    normalised = pixels / 255
    normalised = (normalised - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        expected = network.module.eval()(normalised).softmax(dim=1)
    torch.testing.assert_close(opened.probabilities(pixels), expected, atol=1e-5, rtol=1e-4)
    assert opened.class_names == ("a", "b", "ü")


def test_int8_keeps_first_convolutions_and_classifier_in_fp32(student: Path) -> None:
    kinds = [
        Counter(
            initializer.data_type
            for initializer in onnx.load(student / name).graph.initializer
            if len(initializer.dims) in (2, 4) and initializer.dims[-1:] != [1]
        )
        for name in ("student.onnx", "student.int8.onnx")
    ]
    network, int8 = kinds
    assert network[onnx.TensorProto.INT8] == 0
    assert int8[onnx.TensorProto.INT8] > 0
    assert 0 < int8[onnx.TensorProto.FLOAT] < network[onnx.TensorProto.FLOAT]


def test_the_script_of_the_readme_gives_the_labels_of_predict(
    runs: TinyRuns, student: Path, tmp_path: Path
) -> None:
    (script,) = re.findall(r"```python\n(# classify.py\n.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "classify.py").write_text(script)
    photo = tmp_path / "wide.png"
    noise = numpy.random.default_rng(0).integers(0, 256, (37, 61, 3), dtype=numpy.uint8)
    Image.fromarray(noise).save(photo)
    model = student / "student.onnx"
    command = [sys.executable, "-I", str(tmp_path / "classify.py"), str(model), str(photo)]
    path, label, score = subprocess.check_output(command, text=True).strip().split("\t")
    predictor = ClassifierPredictor(OnnxStudent(model))
    (prediction,) = predictor.predict_iter(photo, top_k=1)
    assert (path, label) == (str(photo), predictor.classes[prediction.label])
    assert float(score) == pytest.approx(prediction.confidence, abs=0.006)


def test_a_killed_training_goes_on_with_the_same_bits(runs: TinyRuns, run: str) -> None:
    options = ("--epochs", "12", "--patience", "12")
    assert runs.latte("distil", run, *SMALL, *options, "-o", "whole").code == 0
    process = distil_in_a_process(runs, run, *options, "-o", "killed")
    checkpoint = runs.folder / "killed" / "checkpoint.safetensors"
    _wait_for_writes(checkpoint, 4, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (runs.folder / "killed" / "classifier.json").exists(), "it was killed too late"
    assert runs.latte("predict", "killed", "images").code == 2
    loud = [option for option in SMALL if option != "-q"]
    said = runs.latte("distil", run, *loud, *options, "-o", "killed")
    assert re.search(r"going on after [1-9]\d* steps", said.err), said.err
    for name in ("student.onnx", "student.int8.onnx"):
        whole, resumed = (onnx.load(runs.folder / place / name) for place in ("whole", "killed"))
        assert _weights(whole) == _weights(resumed), name


def _wait_for_writes(path: Path, writes: int, process: subprocess.Popen[str]) -> None:
    """Wait until the file has been written several times."""
    seen: set[int] = set()
    while len(seen) < writes:
        assert process.poll() is None, process.communicate()[1]
        if path.exists():
            seen.add(path.stat().st_mtime_ns)
        time.sleep(0.005)


def _weights(model: onnx.ModelProto) -> list[tuple[str, bytes]]:
    return [(weight.name, weight.SerializeToString()) for weight in model.graph.initializer]


def test_other_settings_do_not_replace_a_student(runs: TinyRuns, run: str, student: Path) -> None:
    before = (student / "student.onnx").read_bytes()
    said = runs.latte("distil", run, *SMALL, "--epochs", "3", "-o", "student")
    assert said.code == 2
    assert "another run, or with other settings" in said.err
    assert (student / "student.onnx").read_bytes() == before


def test_a_run_without_posterior_is_refused(runs: TinyRuns) -> None:
    templates = runs.run("prototypes: {use: templates}\ntrain: {max_steps: 0}\n", output="plain")
    said = runs.latte("distil", str(templates), *SMALL)
    assert said.code == 2
    assert "no posterior" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--student", "timm:resnet_18"), "has no model"),
        (("--weights", "clip/open_clip_model.safetensors"), "do not fit the model"),
        (("--weights", "gone.pth"), "there is no such file"),
        (("--weights", "recipe.yaml"), "no weights can be read"),
    ],
)
def test_wrong_inputs_end_with_one_line(
    runs: TinyRuns, run: str, arguments: tuple[str, ...], message: str
) -> None:
    said = runs.latte("distil", run, *SMALL, *arguments, "-o", "wrong")
    assert said.code == 2
    assert message in said.err
    assert "Traceback" not in said.err
    assert not (runs.folder / "wrong").exists()


def test_an_image_bomb_in_place_of_an_image_is_named(tmp_path: Path) -> None:
    runs = TinyRuns(tmp_path)
    run = str(runs.run(LABELLED))
    write_bomb(tmp_path / "images" / "03.png")
    said = runs.latte("distil", run, *SMALL, "-o", "student")
    assert said.code == 2
    assert "03.png" in said.err and "changed since the run" in said.err


def test_predict_leaves_an_image_bomb_out(runs: TinyRuns, student: Path, tmp_path: Path) -> None:
    shutil.copytree(runs.folder / "images", tmp_path / "images")
    write_bomb(tmp_path / "images" / "03.png")
    said = runs.latte("predict", "student", str(tmp_path / "images"))
    assert said.code == 3
    assert "03.png: more than 100,000,000 pixels" in said.err
    assert len(said.out.splitlines()) == 12


def write_bomb(path: Path) -> None:
    """Write a small PNG file that claims 100,000 x 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def test_a_full_disk_ends_with_one_line_and_keeps_the_checkpoint(runs: TinyRuns, run: str) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    command = [sys.executable, "-m", "latte", "distil", run, *SMALL, "--epochs", "1", "-o", "full"]
    ended = subprocess.run(
        command, cwd=runs.folder, preexec_fn=small_files, capture_output=True, text=True
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "full" in ended.stderr
    assert not list((runs.folder / "full").glob("*.onnx"))
    assert runs.latte("distil", run, *SMALL, "--epochs", "1", "-o", "full").code == 0


def test_a_damaged_student_is_named(runs: TinyRuns, student: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(student, tmp_path / "student")
    for path in folder.glob("*.onnx"):
        path.write_bytes(path.read_bytes()[:500])
    said = runs.latte("predict", str(folder), "images")
    assert said.code == 2
    assert "no student, or it is damaged" in said.err
