"""`latte export --push`: what reaches the hub and what never does, and what errors say."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from latte_author.testing import TinyRuns
from safetensors import safe_open

import latte
from latte.export.hub import push_run
from latte.interfaces import Calibration, ClassAccuracy, Evaluation, Interval, RunModel, Verdict
from latte.interfaces.record import EvaluateFacts, JudgeFacts, StageRecord
from latte.models.saved_model import save_prototypes
from latte.results.folder import RunFolder
from tests.helpers.clip_models import QUICK_GELU, SIGLIP_LIKE, TINY_CLIP
from tests.helpers.command_line import Latte, latte_in_process
from tests.helpers.exported_runs import UNEVEN, adapted, photos, write_run
from tests.helpers.hub_double import TOKEN, Hub, serving, use_hub, variables
from tests.helpers.recorded import RecordedProgress
from tests.helpers.whole_runs import environment

pytestmark = pytest.mark.thorough

NAME = "hf:someone/animals"
CARD = "README.md"
WEIGHTS = "models/adapted/model/open_clip_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, which accepts this process's token."""
    with serving() as server:
        use_hub(monkeypatch, server, tmp_path / "home")
        yield server


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "animals-1a2b", adapted({"main": TINY_CLIP}), scale=7.5)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return photos(tmp_path / "photos", [(40, 32), (35, 50), (64, 64)])


@pytest.fixture
def run_latte(capsys: pytest.CaptureFixture[str]) -> Latte:
    return latte_in_process(capsys)


def same_predictions(
    run: Path, name: str, pictures: list[Path], use: Any = None
) -> tuple[latte.Model, latte.Model]:
    """Assert that a model of the hub predicts what the run's does, to the bit."""
    ours, theirs = latte.load(run, "cpu", use=use), latte.load(name, "cpu")
    assert theirs.classes == ours.classes
    assert torch.equal(theirs.features(pictures), ours.features(pictures))
    assert torch.equal(theirs.probabilities(pictures), ours.probabilities(pictures))
    assert [*theirs.predict(pictures)] == [*ours.predict(pictures)]
    return ours, theirs


def test_push_and_load_in_two_processes_give_equal_rows(
    hub: Hub, run: Path, pictures: list[Path], tmp_path: Path, run_latte: Latte
) -> None:
    def process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        around = {**environment(tmp_path), **variables(hub, tmp_path / "home")}
        command = [sys.executable, "-m", "latte", *map(str, arguments)]
        return subprocess.run(command, env=around, capture_output=True, text=True, timeout=120)

    pushed = process("export", run, "--push", NAME)
    assert pushed.returncode == 0, pushed.stderr
    first, advice = pushed.stdout.splitlines()
    (sha,) = hub.repositories["someone/animals"].commits
    assert first == f"pushed {NAME}@{sha} (private): 6 files, 6 MiB"
    assert advice == f"latte predict {NAME}@{sha} PHOTOS"
    assert "private): 6 files, 6 MiB: README.md, models/" in pushed.stderr
    loaded = process("predict", f"{NAME}@{sha}", *pictures)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout == run_latte("predict", run, *pictures).out
    assert loaded.stdout.count("\n") == 4


@pytest.mark.parametrize("is_public", [False, True])
def test_repositories_are_private_unless_asked(hub: Hub, run: Path, is_public: bool) -> None:
    pushed = push_run(run, NAME, RecordedProgress(), public=is_public)
    assert hub.repositories["someone/animals"].private is not is_public
    assert ("(public)" if is_public else "(private)") in str(pushed)


@pytest.mark.parametrize("kind", ["several learners", "sigmoid"])
def test_other_models_predict_the_same_from_the_hub(
    hub: Hub, kind: str, tmp_path: Path, pictures: list[Path]
) -> None:
    configs = {"a": TINY_CLIP, "b": QUICK_GELU} if kind != "sigmoid" else {"main": SIGLIP_LIKE}
    run = write_run(tmp_path / "run", adapted(configs, UNEVEN))
    push_run(run, NAME, RecordedProgress())
    ours, theirs = same_predictions(run, NAME, pictures)
    assert [row.match for row in theirs.predict(pictures)] == [
        row.match for row in ours.predict(pictures)
    ]


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_kept_zero_shot_and_mixed_models_are_pushed_as_one_model(
    hub: Hub, strength: float, tmp_path: Path, pictures: list[Path]
) -> None:
    model = adapted({"main": TINY_CLIP}, torch.arange(4))
    run = RunFolder(write_run(tmp_path / "run", model, scale=7.5))
    (member,) = model.members
    rows = member.classifier.weights.roll(1, 0)
    texts = replace(member, name="zero-shot", classifier=replace(member.classifier, weights=rows))
    save_prototypes(run.zero_shot_model, replace(model, members=(texts,)))
    verdict = Verdict(strength, "the test says so")
    run.results.finish("judge", StageRecord(fingerprint="", seconds=0), JudgeFacts(verdict=verdict))
    models = (
        RunModel("zero-shot", "zero-shot", calibration=Calibration(5, 10, 0.5, 9)),
        RunModel("adapted", "adapted", calibration=Calibration(6, 10, 0.5, 9)),
        *([RunModel("mixed", "mixed", calibration=Calibration(7, 10, 0.5, 9))] if strength else []),
    )
    stage = StageRecord(fingerprint="", seconds=0)
    run.results.finish("evaluate", stage, EvaluateFacts(models=models))
    push_run(run.path, NAME, RecordedProgress())
    ours, theirs = same_predictions(run.path, NAME, pictures)
    assert theirs.scale == ours.scale == (7 if strength else 5)
    push_run(run.path, NAME, RecordedProgress(), use="adapted", force=True)
    same_predictions(run.path, NAME, pictures, "adapted")
    assert theirs.verdict is None


RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green, blue], evaluation: test}
backbone: {model: "local-dir:clip"}
labels: [frozen]
corrections: answers.csv
prototypes: momentum
loss: contrastive
train: {batch_size: 4, max_epochs: 1}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with photos, answers and a trained CLIP."""
    runs = TinyRuns(tmp_path_factory.mktemp("private-project"))
    answers = "image,label\nimages/00.png,red\nimages/01.png,green\n"
    (runs.folder / "answers.csv").write_text(answers)
    return runs.run(RECIPE)


@pytest.mark.parametrize("use", [None, "zero-shot"])
def test_trained_run_predicts_the_same_from_the_hub(
    hub: Hub, trained: Path, use: Any, tmp_path: Path, pictures: list[Path]
) -> None:
    push_run(trained, NAME, RecordedProgress(), use=use)
    same_predictions(trained, NAME, pictures, use)


def test_nothing_private_reaches_the_hub(
    hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push_run(trained, NAME, RecordedProgress())
    files = hub.repositories["someone/animals"].files
    sent = hub.received + b"".join(hub.large.values()) + b"\0".join(files.values())
    names = sorted(files)
    project = trained.parents[1]
    images = [path for path in project.rglob("*.png") if trained not in path.parents]
    assert len(images) == 18
    private = [
        *(str(project), project.name, trained.name, str(Path.home()), str(Path.cwd()), TOKEN),
        *(
            "answers.csv",
            "local-dir",
            "recipe.yaml:",
            "review",
            "images/",
            "test/",
            "pseudo_labels",
        ),
        *(path.name for path in images),
    ]
    assert [text for text in private if text.encode() in sent] == []
    keys = [json.loads(line)["key"] for line in (trained / "data/training.jsonl").open()]
    assert len(keys) == 12 and not any(key.encode() in sent for key in keys)
    assert not any(path.read_bytes()[40:80] in sent for path in images)
    assert names == [
        *(CARD, "models/adapted/model/open_clip_config.json", WEIGHTS),
        *("models/adapted/prototypes.safetensors", "recipe.yaml", "results.json"),
    ]


def test_the_card_has_classes_accuracy_licence_and_use(hub: Hub, trained: Path) -> None:
    push_run(trained, NAME, RecordedProgress())
    card = hub.repositories["someone/animals"].files[CARD].decode()
    header = yaml.safe_load(card.split("\n---\n", 1)[0])
    assert (header["library_name"], header["license"]) == ("latte", "other")
    for text in ("# animals", "0. red", "2. blue", "| zero-shot |", "| adapted |"):
        assert text in card
    assert "A person gave the classes of 2." in card
    assert "latte.load('hf:someone/animals')" in card
    assert "trained on pseudo-labels of 12 unlabelled images" in card


def test_measured_accuracy_of_a_kept_zero_shot_is_in_the_record(hub: Hub, tmp_path: Path) -> None:
    model = adapted({"main": TINY_CLIP}, torch.arange(4))
    run = RunFolder(write_run(tmp_path / "run", model))
    counts = (ClassAccuracy(1, 2), ClassAccuracy(0, 0), ClassAccuracy(0, 0), ClassAccuracy(0, 0))
    measured = Evaluation(2, Interval(0.5, 0.1, 0.9), 1.0, 0.5, counts, None)
    other = replace(measured, gain=Interval(0, 0, 0))
    models = (
        RunModel("zero-shot", "zero-shot", measured),
        RunModel("adapted", "adapted", other),
    )
    stage = StageRecord(fingerprint="", seconds=0)
    run.results.finish("evaluate", stage, EvaluateFacts(models=models))
    save_prototypes(run.zero_shot_model, model)
    push_run(run.path, NAME, RecordedProgress(), use="zero-shot")
    files = hub.repositories["someone/animals"].files
    assert json.loads(files["results.json"])["evaluate"]["models"][1]["classifier"]["images"] == 2
    assert "A zero-shot CLIP" in files[CARD].decode()


def test_existing_repository_needs_force_and_loses_old_models_only(
    hub: Hub, run: Path, pictures: list[Path], run_latte: Latte
) -> None:
    old = {"models/adapted/encoders/x/encoder.json": b"{}", "LICENSE": b"mine", CARD: b"old"}
    first = hub.add("someone/animals", old, private=True)
    said = run_latte("export", run, "--push", NAME, code=2)
    assert "this repository exists already" in said.err and "--force" in said.err
    assert len(hub.repositories["someone/animals"].commits) == 1
    run_latte("export", run, "--push", NAME, "--force")
    repository = hub.repositories["someone/animals"]
    assert repository.files["LICENSE"] == b"mine" and repository.files[CARD] != b"old"
    assert "models/adapted/encoders/x/encoder.json" not in repository.files
    assert repository.commits[first] == old
    same_predictions(run, NAME, pictures)


@pytest.mark.parametrize("is_public", [False, True])
def test_force_does_not_push_to_a_repository_of_other_visibility(
    hub: Hub, run: Path, is_public: bool, run_latte: Latte
) -> None:
    hub.add("someone/animals", {CARD: b"old"}, private=is_public)
    options = ["--public"] if is_public else []
    said = run_latte("export", run, "--push", NAME, "--force", *options, code=2)
    assert f"this repository is {'private' if is_public else 'public'}" in said.err
    assert hub.repositories["someone/animals"].files == {CARD: b"old"}


@pytest.mark.parametrize(
    ("start", "status", "meaning"),
    [
        ("GET /api/models", 401, "does not accept the token (401)"),
        ("GET /api/models", 503, "does not work (status 503)"),
        ("POST /api/repos", 401, "does not accept the token (401)"),
        ("POST /api/repos", 403, "the token may not do this (403)"),
        ("POST /api/repos", 409, "this repository exists already"),
        ("POST /api/models", 403, "the repository exists now: add --force"),
    ],
)
def test_refusals_are_one_line_each(
    hub: Hub, run: Path, start: str, status: int, meaning: str, run_latte: Latte
) -> None:
    hub.statuses = {start: status}
    said = run_latte("export", run, "--push", NAME, "--quiet", code=2)
    assert meaning in " ".join(said.err.split())
    assert said.out == "" and said.err.count("\n") <= 2 and TOKEN not in said.err


@pytest.mark.parametrize("token", [None, "hf_wrongwrongwrongwrong"])
def test_missing_and_wrong_tokens_are_said_before_anything_is_sent(
    hub: Hub, run: Path, token: str | None, monkeypatch: pytest.MonkeyPatch, run_latte: Latte
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    said = run_latte("export", run, "--push", NAME, code=2)
    assert ("does not accept the token" if token else "there is no token") in said.err
    assert "hf_wrong" not in said.err and not any("POST" in line for line in hub.requests)
    assert not (run / "export").exists()


@pytest.mark.parametrize("fault", ["absent", "offline", "silent", "silent later"])
def test_hub_without_an_answer_is_given_up_soon(
    hub: Hub, run: Path, fault: str, monkeypatch: pytest.MonkeyPatch, run_latte: Latte
) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.5")
    monkeypatch.setattr("latte.io.hub.SILENCE", 0.5)
    monkeypatch.setattr("latte.io.hub._SLOWEST", 1e9)
    if fault == "absent":
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    elif fault == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        hub.silent_at = "GET" if fault == "silent" else "POST /api/models"
    began = time.monotonic()
    said = run_latte("export", run, "--push", NAME, code=2)
    assert "cannot be reached" in said.err and said.out == ""
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("options", "meaning"),
    [
        (["--push", "hf:someone"], "names no repository"),
        (["--push", "someone/animals"], "names no repository"),
        (["--push", f"{NAME}@main"], "names no repository"),
        (["--push", NAME, "--format", "onnx"], "does not go with --push"),
        (["--push", NAME, "--output", "x"], "does not go with --push"),
        (["--format", "onnx", "--public"], "needs --push"),
        ([], "names nothing to write"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    hub: Hub, run: Path, options: list[str], meaning: str, run_latte: Latte
) -> None:
    assert meaning in run_latte("export", run, *options, code=2).err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("file", "content", "meaning"),
    [
        ("weights.bin", "x", "pushes none"),
        ("modeling.py", "x", "pushes none"),
        ("config.json", '{"a": "HOME/x"}', "a path of this machine"),
        ("config.json", '{"a": "secret-abc-1"}', "a secret of the environment"),
    ],
)
def test_a_backbone_that_saves_private_or_foreign_files_is_not_pushed(
    hub: Hub,
    run: Path,
    file: str,
    content: str,
    meaning: str,
    monkeypatch: pytest.MonkeyPatch,
    run_latte: Latte,
) -> None:
    from latte.backbone.open_clip import OpenClipBackbone

    save = OpenClipBackbone.save

    def saves_more(self: OpenClipBackbone, folder: Path) -> None:
        save(self, folder)
        (folder / file).write_text(content.replace("HOME", str(Path.home())))

    monkeypatch.setenv("MY_TOKEN", "secret-abc-1")
    monkeypatch.setattr(OpenClipBackbone, "save", saves_more)
    said = run_latte("export", run, "--push", NAME, code=2)
    assert meaning in said.err
    assert hub.repositories == {}
    assert "secret-abc-1" not in said.err


def test_weights_are_safetensors_that_open(hub: Hub, run: Path, tmp_path: Path) -> None:
    push_run(run, NAME, RecordedProgress())
    path = tmp_path / "weights.safetensors"
    path.write_bytes(hub.repositories["someone/animals"].files[WEIGHTS])
    with safe_open(path, framework="pt") as file:
        about = {tensor: file.get_tensor(tensor).dtype for tensor in [*file.keys()]}
    assert {*about.values()} == {torch.float32}
