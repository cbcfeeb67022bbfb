"""Models of the hub: what is downloaded, the cache, and what damaged repositories say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import latte
from latte.api.runs import open_model
from latte.export.hub_folder import write_hub_folder
from latte.interfaces import LatteError
from latte.io.hub import HubName
from latte.models.loaded import load_run_model
from latte.predict.hub import is_read
from tests.helpers.clip_models import TINY_CLIP
from tests.helpers.command_line import Latte, latte_in_process
from tests.helpers.exported_runs import NAMES, adapted, photos, write_run
from tests.helpers.hub_double import Files, Hub, serving, use_hub
from tests.helpers.recorded import RecordedProgress

NAME = "hf:someone/animals"
PROTOTYPES = "models/adapted/prototypes.safetensors"
WEIGHTS = "models/adapted/model/open_clip_model.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a pushed model."""
    place = tmp_path_factory.mktemp("pushed")
    run = write_run(place / "animals-1a2b", adapted({"main": TINY_CLIP}), scale=7.5)
    loaded = load_run_model(run, "cpu", RecordedProgress())
    (place / "hub").mkdir()
    written = write_hub_folder(loaded, place / "hub", HubName("someone/animals"))
    return {path.relative_to(place / "hub").as_posix(): path.read_bytes() for path in written}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, which this process uses without a token."""
    with serving() as server:
        use_hub(monkeypatch, server, tmp_path / "home", token=None)
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return photos(tmp_path / "photos", [(40, 32)])[0]


@pytest.fixture
def run_latte(capsys: pytest.CaptureFixture[str]) -> Latte:
    return latte_in_process(capsys)


def error(run_latte: Latte, name: str, photo: Path) -> str:
    """Return what `latte predict` says of a model that it cannot open, as one line."""
    said = run_latte("predict", name, photo, code=2)
    assert said.out == ""
    text = said.err.replace("\n", " ")
    assert "Traceback" not in said.err and text.count("error: ") == 1
    return text


def test_only_files_that_latte_reads_are_downloaded(
    hub: Hub, files: Files, tmp_path: Path, photo: Path
) -> None:
    hostile = {
        "models/adapted/model/pytorch_model.bin": b"pickle",
        "models/adapted/model/modeling.py": b"raise SystemExit",
        "models/adapted/model/../../../../up.json": b"{}",
        "../../../outside.json": b"{}",
        "photos/cat.jpg": b"photo",
        "review.jsonl": b"{}",
        "models/adapted/posterior.safetensors": b"x",
        "classifier.json": b"{}",
    }
    hub.add("someone/animals", {**files, **hostile})
    before = {path for path in tmp_path.rglob("*") if "home" not in path.parts}
    [prediction] = latte.load(NAME, "cpu").predict(photo)
    assert prediction.name in NAMES
    paths = [line.partition("/resolve/")[2] for line in hub.requests]
    fetched = {path.partition("/")[2] for path in paths if path}
    assert fetched == {file for file in files if file != "README.md"}
    assert {path for path in tmp_path.rglob("*") if "home" not in path.parts} == before


@pytest.mark.parametrize(
    "file",
    [
        *("recipe.yaml", "results.json", PROTOTYPES, WEIGHTS),
        *("models/adapted/encoders/colours/encoder.json", "models/adapted/model/a/vocab.txt"),
    ],
)
def test_files_of_a_model_are_read(file: str) -> None:
    assert is_read(file)


@pytest.mark.parametrize(
    "file",
    [
        *("README.md", "photo.jpg", "results.json\n", "/results.json", "models/adapted/x.json"),
        *(
            "models/adapted/model/a.bin",
            "models/adapted/model/a.py",
            "models/adapted/model/.a.json",
        ),
        *("models/adapted/model/../a.json", "models/adapted/model//a.json", "a/results.json"),
        *("models/zero-shot/prototypes.safetensors", "models/adapted/model/a\\b.json"),
        *("models/adapted/model/*.json", "models/adapted/model/[a].json"),
    ],
)
def test_other_files_are_not_read(file: str) -> None:
    assert not is_read(file)


def test_a_commit_is_downloaded_once_and_a_branch_is_looked_up(hub: Hub, files: Files) -> None:
    old = hub.add("someone/animals", files)
    first = open_model(NAME, "cpu")
    hub.requests.clear()
    again = open_model(f"{NAME}@{old}", "cpu")
    assert hub.requests == []
    assert open_model(NAME, "cpu").key == first.key == again.key
    assert [line.partition("?")[0] for line in hub.requests] == ["GET /api/models/someone/animals"]
    about = json.loads(files["results.json"])
    about["data"]["training_images"] = 7
    hub.add("someone/animals", {**files, "results.json": json.dumps(about).encode()})
    assert open_model(NAME, "cpu").key != first.key
    assert open_model(f"{NAME}@{old}", "cpu").key == first.key


@pytest.mark.parametrize("fault", ["offline", "stopped", "silent", "broken"])
def test_a_cached_model_opens_without_the_hub(
    hub: Hub, files: Files, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("someone/animals", files)
    online = open_model(NAME, "cpu")
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    if fault == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    elif fault == "stopped":
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    elif fault == "silent":
        hub.silent_at = "GET"
    else:
        hub.statuses = {"GET": 503}
    progress = RecordedProgress()
    assert open_model(NAME, "cpu", progress).key == online.key
    assert any("is taken from the cache" in line for line in progress.lines)


def test_an_interrupted_download_is_finished(hub: Hub, files: Files, photo: Path) -> None:
    hub.add("someone/animals", files)
    hub.broken = {WEIGHTS}
    with pytest.raises(LatteError):
        latte.load(NAME, "cpu")
    hub.broken = set()
    hub.requests.clear()
    assert latte.load(NAME, "cpu").predict(photo)
    assert not any(line.startswith("GET") and PROTOTYPES in line for line in hub.requests)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_refusals_are_one_line_each(
    hub: Hub, files: Files, status: int, run_latte: Latte, photo: Path
) -> None:
    meanings = {
        401: "does not accept the token (401)",
        403: "the token may not do this (403)",
        404: "there is no such repository",
        429: "answers with status 429",
        500: "does not work (status 500)",
    }
    hub.add("someone/animals", files)
    hub.statuses = {"GET": status}
    assert meanings[status] in error(run_latte, NAME, photo)


def test_absent_repositories_and_revisions_are_named(
    hub: Hub, files: Files, run_latte: Latte, photo: Path
) -> None:
    hub.add("someone/animals", files)
    hub.add("someone/secret", files, private=True)
    for name in ("hf:someone/none", "hf:someone/secret"):
        assert f"{name}: cannot load this model: there is no such repository" in error(
            run_latte, name, photo
        )
    assert "it has no revision v9" in error(run_latte, f"{NAME}@v9", photo)
    assert "this names no repository" in error(run_latte, "hf:someone", photo)


def test_wrong_token_is_said(
    hub: Hub, files: Files, monkeypatch: pytest.MonkeyPatch, run_latte: Latte, photo: Path
) -> None:
    hub.add("someone/animals", files)
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrong")
    text = error(run_latte, NAME, photo)
    assert "does not accept the token" in text and "hf_wrong" not in text


def test_absent_or_silent_hub_is_given_up_soon(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, run_latte: Latte, photo: Path
) -> None:
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    hub.silent_at, began = "GET", time.monotonic()
    assert "cannot be reached: no answer within 0.2 s" in error(run_latte, NAME, photo)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in error(run_latte, NAME, photo)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "cannot be reached" in error(run_latte, NAME, photo)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("start", ["HEAD", "GET /someone"])
def test_hub_that_falls_silent_during_a_download_is_given_up(
    hub: Hub,
    files: Files,
    start: str,
    monkeypatch: pytest.MonkeyPatch,
    run_latte: Latte,
    photo: Path,
) -> None:
    monkeypatch.setattr("latte.io.hub.SILENCE", 0.5)
    began = time.monotonic()
    hub.add("someone/animals", files)
    hub.silent_at = start
    assert "cannot load this model" in error(run_latte, NAME, photo)
    assert time.monotonic() - began < 60


def test_repository_without_a_model_is_refused(hub: Hub, run_latte: Latte, photo: Path) -> None:
    hub.add("someone/animals", {"README.md": b"x", "model.bin": b"x", "config.json": b"{}"})
    assert "has no model of latte" in error(run_latte, NAME, photo)


def test_absurd_sizes_are_refused_before_the_download(
    hub: Hub, files: Files, monkeypatch: pytest.MonkeyPatch, run_latte: Latte, photo: Path
) -> None:
    hub.add("someone/animals", files)
    monkeypatch.setattr("latte.predict.hub.LARGEST_WEIGHTS", 1000)
    assert "has more than 1,000 bytes" in error(run_latte, NAME, photo)
    hub.add(
        "someone/animals",
        {**files, **{f"models/adapted/model/{number}.json": b"{}" for number in range(300)}},
    )
    assert "more than 200 files" in error(run_latte, NAME, photo)
    assert not any("resolve" in line for line in hub.requests)


def test_file_that_is_longer_than_the_hub_says_is_refused(
    hub: Hub, files: Files, run_latte: Latte, photo: Path
) -> None:
    hub.add("someone/animals", files)
    hub.longer = {WEIGHTS: 1000}
    assert "Consistency check failed" in error(run_latte, NAME, photo)


@pytest.mark.parametrize("file", ["results.json", "recipe.yaml", PROTOTYPES, WEIGHTS])
@pytest.mark.parametrize("data", [None, b"", b"\x80\x04garbage"])
def test_damaged_repositories_raise_one_error(
    hub: Hub, files: Files, file: str, data: bytes | None, run_latte: Latte, photo: Path
) -> None:
    kept = {name: content for name, content in files.items() if name != file}
    hub.add("someone/animals", kept if data is None else {**kept, file: data})
    if file == "recipe.yaml" and data is not None:
        run_latte("predict", NAME, photo)  # its values are in the record: nothing reads it
    else:
        assert error(run_latte, NAME, photo)


def test_model_of_the_hub_cannot_be_taught_and_has_no_zero_shot_clip(
    hub: Hub, files: Files
) -> None:
    hub.add("someone/animals", files)
    model = latte.load(NAME, "cpu")
    assert model.verdict is None and model.taught is None and model.reviewed is None
    for call in (model.ask, model.refit, lambda: model.answer({"a.jpg": NAMES[0]})):
        with pytest.raises(LatteError, match="without the images of its run"):
            call()
    with pytest.raises(LatteError, match="zero-shot CLIP is not in this folder"):
        latte.load(NAME, "cpu", use="zero-shot")
