"""A secret that a run uses is in no file and no message of the run."""

from __future__ import annotations

import gzip
import html
import json
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from latte.cli.main import run_command_line
from latte.registry.registry import load_registry
from tests.helpers.plugin_packages import write_package
from tests.helpers.recorded import write_colour_images

pytestmark = pytest.mark.thorough

CANARY = "canary-7f3a9c51e2"
PASSWORD = "hunter2-5d21"
OTHERS = {
    "GITHUB_PAT": 'pat/canary-"1b44',
    "DB_PASS": "pass-canary-93aa",
    "SLACK_WEBHOOK": "https://hooks.example/T0/canary-c07d",
    "NOTIFY": "canary0Zx81kQpLm27WvTyB",
}
"""Secrets by their names, and one by its random value; a quote is escaped in JSON and URLs."""
SECRETS = (CANARY, PASSWORD, *OTHERS.values())
PLUGIN = '''
import json
import os
from pathlib import Path
from latte.api import ComponentSpec, Describer, Options, Reporter, hookimpl


class TellerOptions(Options):
    api: str
    mirror: str = ""
    others: tuple[str, ...] = ()


class Teller(Describer[TellerOptions]):
    """Needs a secret, and puts it into its error message."""

    max_images = 4

    @property
    def fingerprint(self):
        return "teller" + os.environ.get("IN_FINGERPRINT", "")

    def describe(self, requests):
        assert self.options.api == os.environ["SERVICE_TOKEN"]
        if os.environ.get("BREAK"):
            others = [self.options.api, *self.options.others]
            raise ValueError(f"401 from {self.options.mirror} with {others} {json.dumps(others)}")
        return ["a text"] * len(requests)


class Hearing(Reporter[TellerOptions]):
    def on_run_start(self, run):
        (Path(os.environ["HEARD"])).write_text(repr(run))

    def report(self, results):
        path = results.folder / "heard.txt"
        path.write_text(repr(results))
        return [path]


@hookimpl
def latte_components():
    target = "latte_teller:"
    return [
        ComponentSpec("describer", "teller", target + "Teller", "tells"),
        ComponentSpec("reporter", "hearing", target + "Hearing", "hears"),
    ]
'''
RECIPE = """\
name: canary
dataset: {{use: folder, root: images, classes: [red, green, blue], evaluation: test}}
backbone: {{model: "local-dir:{clip}"}}
describer:
  use: teller
  api: "${{SERVICE_TOKEN}}"
  mirror: "${{MIRROR}}"
  others: ["${{GITHUB_PAT}}", "${{DB_PASS}}", "by ${{SLACK_WEBHOOK}}", "${{NOTIFY}}"]
descriptions: [class, image]
trainable: visual_layer_norms
labels: [current]
prototypes: momentum
loss: contrastive
train: {{batch_size: 4, max_epochs: 1}}
controls: {{plain: {{descriptions: [class]}}}}
reporters: [html, model-card, {{use: hearing, api: "${{SERVICE_TOKEN}}"}}]
"""


@pytest.fixture
def recipe(tmp_path: Path, tiny_clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    plugin = tmp_path / "plugin"
    files = {"latte_teller.py": PLUGIN}
    write_package(plugin, "latte-teller", {"latte_teller": "latte_teller"}, files)
    monkeypatch.syspath_prepend(str(plugin))
    monkeypatch.setenv("SERVICE_TOKEN", CANARY)
    monkeypatch.setenv("MIRROR", f"https://me:{PASSWORD}@mirror.example/v1")
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HEARD", str(tmp_path / "heard.txt"))
    monkeypatch.chdir(tmp_path)
    write_colour_images(tmp_path / "images", ("red", "green", "blue"), 2, (40, 36))
    for number, name in enumerate(("red", "green", "blue")):
        (tmp_path / "images" / name).rename(tmp_path / "images" / f"part-{number}")
    write_colour_images(tmp_path / "test", ("red", "green", "blue"), 2, (38, 38))
    path = tmp_path / "canary.yaml"
    path.write_text(RECIPE.format(clip=tiny_clip_folder))
    load_registry.cache_clear()
    return path


@pytest.fixture(autouse=True)
def forget_plugin() -> object:
    yield
    sys.modules.pop("latte_teller", None)
    load_registry.cache_clear()


def is_told(text: str) -> bool:
    """Return True if `text` contains a secret, as it is or escaped as JSON, HTML or a URL."""
    spellings = {
        spelled
        for secret in SECRETS
        for spelled in (secret, json.dumps(secret)[1:-1], html.escape(secret), quote(secret, ""))
    }
    return any(spelled in text for spelled in spellings)


def found_in(folder: Path) -> list[str]:
    """Return the files below `folder` that contain a secret, also inside archives."""
    leaking_files = []
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        if is_told(data.decode("utf-8", errors="replace")):
            leaking_files.append(str(path.relative_to(folder)))
    return leaking_files


@pytest.mark.slow
def test_secret_is_in_no_file_and_no_message(
    recipe: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = []

    def latte(*arguments: str, code: int = 0) -> None:
        ended = run_command_line([*arguments])
        captured = capfd.readouterr()
        reported.append(captured.out + captured.err)
        assert ended == code, reported[-1]

    latte("check", "canary.yaml")
    latte("check", "canary.yaml", "--json")
    latte("run", "canary.yaml", "--profile")
    (folder,) = (tmp_path / "runs").iterdir()
    latte("run", "canary.yaml")
    assert "describe: reused" in reported[-1]
    for command in ("report", "evaluate"):
        latte(command, str(folder))
    latte("compare", str(folder), "--html", "page.html", "--csv", "table.csv")
    latte("predict", str(folder), "test", "-o", "rows.csv")
    latte("export", str(folder), "--format", "transformers")
    latte("describe", "canary.yaml")
    latte("check", "--schema")
    latte("describe", "--stored")
    monkeypatch.setenv("LATTE_TOKEN", CANARY)
    latte("doctor")
    monkeypatch.setenv("BREAK", "1")
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(folder)
    latte("run", "canary.yaml", code=2)
    for name in ("SERVICE_TOKEN", *OTHERS):
        assert f"${{{name}}}" in reported[-1]
    assert [text for text in reported if is_told(text)] == []
    assert (tmp_path / "heard.txt").read_text().startswith("RunStart")
    assert found_in(tmp_path) == []


def test_secret_is_nowhere_in_a_finished_run_that_opens_again(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["run", "canary.yaml", "--quiet", "--profile"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert (folder / "heard.txt").is_file()
    assert found_in(tmp_path) == []
    stored_recipe = (folder / "recipe.yaml").read_text()
    assert 'api: "${SERVICE_TOKEN}"' in stored_recipe
    assert 'mirror: "${MIRROR}"' in stored_recipe
    assert '["${GITHUB_PAT}", "${DB_PASS}", "by ${SLACK_WEBHOOK}", "${NOTIFY}"]' in stored_recipe
    monkeypatch.delenv("SERVICE_TOKEN")
    assert run_command_line(["report", str(folder)]) == 2
    assert "the environment variable SERVICE_TOKEN is not set" in capfd.readouterr().err
    assert run_command_line(["compare", str(folder)]) == 0
    assert os.environ["MIRROR"] not in capfd.readouterr().out


@pytest.mark.parametrize("name", ["SERVICE_TOKEN", *OTHERS])
def test_secret_in_a_prompt_or_a_fingerprint_is_not_stored(
    name: str,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    recipe_text = recipe.read_text()
    image_description = f'{{use: image, prompt: "What? ${{{name}}}"}}'
    recipe.write_text(
        recipe_text.replace("descriptions: [class, image]", f"descriptions: [{image_description}]")
    )
    assert run_command_line(["run", "canary.yaml"]) == 2
    captured = capfd.readouterr()
    assert f"a prompt cannot contain the variable {name}" in captured.err
    recipe.write_text(recipe_text)
    monkeypatch.setenv("IN_FINGERPRINT", os.environ[name])
    assert run_command_line(["run", "canary.yaml"]) == 2
    stored = capfd.readouterr()
    assert "a secret would be stored with the texts" in stored.err
    assert not is_told(captured.out + captured.err + stored.out + stored.err)
    assert found_in(tmp_path) == []
