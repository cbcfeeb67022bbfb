"""`latte describe` stores each text once and the key nowhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from latte_author.testing import TinyRuns
from openai_double import ChatRequest, Reply, chat_server, echo, said, wrong

pytestmark = pytest.mark.thorough

Describe = Callable[..., tuple[int, str]]
KEY = "sk-proj-Qq9876543210_secret"
RECIPE = """\
dataset: {use: folder, root: images, classes: [red, green]}
backbone: {model: "local-dir:clip"}
describer: {use: openai, base_url: "${CHAT_URL}", temperature: 0, OPTIONS}
descriptions: [class, image, {use: group, size: 2}]
labels: [frozen]
prototypes: momentum
loss: contrastive
train: {batch_size: 4, max_epochs: 1}
"""


@pytest.fixture
def place(latte_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder below which all files are written, with six images."""
    for image in sorted((latte_runs.folder / "images").iterdir())[6:]:
        image.unlink()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return latte_runs.folder


@pytest.fixture
def describe(place: Path, latte_runs: TinyRuns, monkeypatch: pytest.MonkeyPatch) -> Describe:
    """`latte describe` with a server and options; returns the exit code and all that it printed."""

    def run(url: str, options: str = "concurrency: 2") -> tuple[int, str]:
        monkeypatch.setenv("CHAT_URL", url)
        (place / "recipe.yaml").write_text(RECIPE.replace("OPTIONS", options))
        outcome = latte_runs.latte("describe", "recipe.yaml")
        return outcome.code, " ".join(f"{outcome.out} {outcome.err}".split())

    return run


def stored(place: Path) -> list[dict[str, Any]]:
    paths = (place / "cache").rglob("part-*.jsonl")
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def files_with(place: Path, text: str) -> list[Path]:
    return [p for p in place.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def test_texts_are_stored_and_not_requested_twice(place: Path, describe: Describe) -> None:
    with chat_server(echo) as server:
        code, printed = describe(server.url)
        assert code == 0, printed
        request_count = len(server.asked)
        assert {record["text"] for record in stored(place)} == {
            f"answer to {prompt}" for prompt in server.prompts
        }
        assert 6 < request_count <= 12
        assert server.peak <= 2
        assert all(request.headers["Authorization"] == f"Bearer {KEY}" for request in server.asked)
        assert describe(server.url)[0] == 0
        assert len(server.asked) == request_count
    assert f"{7 * request_count} output tokens" in printed
    assert KEY not in printed
    assert files_with(place, "answer to")
    assert files_with(place, KEY) == []


def test_failures_and_refusals_lose_no_other_text(place: Path, describe: Describe) -> None:
    kinds: dict[str, Reply] = {}

    def behaviour(request: ChatRequest) -> Reply:
        """The first image is too large, the second is refused."""
        picture = request.content[0]["image_url"]["url"]
        replies = [wrong(400, f"too large, {KEY}"), said(None, refusal="no people")]
        if picture not in kinds:
            kinds[picture] = replies[len(kinds)] if len(kinds) < 2 else echo(request)
        return kinds[picture]

    with chat_server(behaviour) as server:
        code, printed = describe(server.url, "concurrency: 1")
        assert code == 0, printed
    records = stored(place)
    reasons = [record["failure"] for record in records if record["text"] is None]
    assert len(reasons) == 2
    assert any("too large, ***" in reason for reason in reasons)
    assert any("no people" in reason for reason in reasons)
    assert len(records) == len(server.asked)
    assert files_with(place, KEY) == []


def test_answers_before_an_error_of_the_server_are_stored(place: Path, describe: Describe) -> None:
    def behaviour(request: ChatRequest) -> Reply:
        return wrong(402, "add credit") if len(server.asked) > 5 else echo(request)

    with chat_server(behaviour) as server:
        code, printed = describe(server.url, "concurrency: 1")
        assert code == 2
        assert "needs a payment first" in printed
        assert len(stored(place)) == 5
    with chat_server(echo) as later:
        assert describe(later.url)[0] == 0
    answered = [request.body for request in server.asked[:5]]
    assert not any(request.body in answered for request in later.asked)


def test_a_limit_of_the_cost_ends_asking_and_a_higher_one_goes_on(
    place: Path, describe: Describe
) -> None:
    """A request of 100 input and 7 output tokens costs 0.001; one in three is cut off first."""

    def behaviour(request: ChatRequest) -> Reply:
        is_cut = len(server.asked) % 3 == 1 and not request.time
        return Reply(cut=True) if is_cut else echo(request)

    options = "concurrency: 2, max_side: 16}\nspending: {input: 3, output: 100, most: MOST"
    with chat_server(behaviour) as server:
        code, printed = describe(server.url, options.replace("MOST", "0.008"))
        assert code == 2
        assert "spending.most: further requests might pass 0.0080" in printed
        assert 0.004 < 0.001 * len(server.asked) <= 0.008
        assert describe(server.url, options.replace("MOST", "1"))[0] == 0
        answered = [record["prompt"] for record in stored(place) if record["text"]]
        assert len(server.asked) - len(answered) == sum(
            request.time > 0 for request in server.asked
        )
    (spent,) = (place / "runs").glob("*/spent.json")
    counts = json.loads(spent.read_text())
    assert counts["output"] == 7 * len(answered)
    assert counts["uncounted"] == len(server.asked) - len(answered)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (wrong(401, f"Incorrect API key provided: {KEY}"), "rejects the key in OPENAI_API_KEY"),
        (wrong(404, f"no model for {KEY}"), "does not find the model"),
        (wrong(400, f"unknown field, {KEY}"), "unknown field, ***"),
    ],
)
def test_error_of_all_requests_stops_the_run_and_hides_the_key(
    place: Path, describe: Describe, reply: Reply, message: str
) -> None:
    with chat_server(lambda _: reply) as server:
        code, printed = describe(server.url)
    assert code == 2
    assert message in printed
    assert "Traceback" not in printed
    assert KEY not in printed
    assert files_with(place, KEY) == []


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://localhost:1/v1", f"key_env: {KEY}"),
        ("http://localhost:1/v1", f"api_key: {KEY}"),
        ("http://localhost:1/v1", f"extra_body: {{api_key: {KEY}}}"),
        (f"https://user:{KEY}@example.org/v1", "concurrency: 2"),
    ],
)
def test_recipe_with_a_key_is_an_error_that_does_not_show_it(
    describe: Describe, url: str, options: str
) -> None:
    code, printed = describe(url, options)
    assert code == 2
    assert "recipe.yaml:3" in printed
    assert KEY not in printed


def test_the_recipes_of_the_readme_are_valid(latte_runs: TinyRuns) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    [recipe] = re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL)
    describers = re.findall(r"`(\{use: openai.*?\})` \|$", readme, flags=re.MULTILINE)
    assert len(describers) == 7
    for describer_text in ("{use: openai}", *describers):
        line = f"describer: {describer_text}"
        assert latte_runs.check(re.sub(r"^describer: .*$", line, recipe, flags=re.MULTILINE))
    assert latte_runs.check(recipe)
