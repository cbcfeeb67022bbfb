"""Refusals are stored as answers; failed requests are asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from latte.describe.store import DescriptionStore
from latte.interfaces import DescribeRequest, LatteError, Refusal
from tests.helpers.describe_doubles import ScriptedDescriber, echo, training_set
from tests.helpers.describe_runs import plan_for, run
from tests.helpers.recorded import RecordedProgress


def refusing(*keys: str) -> Callable[[DescribeRequest], str | Refusal]:
    def script(request: DescribeRequest) -> str | Refusal:
        refused = request.images[0].key in keys
        return Refusal("content\nfilter") if refused else echo(request)

    return script


def key_of(image: int, images: int) -> str:
    return plan_for(ScriptedDescriber(), training_set([0] * images)).requests[image].key


def records(folder: Path) -> list[dict[str, object]]:
    lines = [part.read_text().splitlines() for part in sorted(folder.glob("part-*.jsonl"))]
    return [json.loads(line) for part in lines for line in part]


def test_a_refusal_is_stored_with_its_reason(tmp_path: Path) -> None:
    result = run(tmp_path, ScriptedDescriber(refusing("hash1")), images=3)
    assert result.texts == ("What? hash0", None, "What? hash2")
    assert (result.generated, result.refused) == (2, 1)
    stored = records(tmp_path)[1]
    assert (stored["text"], stored["failure"], stored["refused"]) == (None, "content filter", True)
    assert DescriptionStore(tmp_path).refusal(key_of(1, 3)) == "content filter"


@pytest.mark.parametrize(
    "script", [refusing("hash1"), lambda r: "t" * (r.images[0].key != "hash1")]
)
def test_refused_requests_are_not_asked_again(
    tmp_path: Path, script: Callable[[DescribeRequest], str]
) -> None:
    run(tmp_path, ScriptedDescriber(script), images=3)
    resumed = ScriptedDescriber()
    result = run(tmp_path, resumed, images=3)
    assert resumed.asked == []
    assert (result.served, result.generated, result.refused) == (2, 0, 1)


def test_ask_again_asks_refused_requests_only(tmp_path: Path) -> None:
    run(tmp_path, ScriptedDescriber(refusing("hash1", "hash2")), images=4)
    resumed = ScriptedDescriber(refusing("hash2"))
    result = run(tmp_path, resumed, images=4, ask_again=True)
    assert resumed.asked == ["What? hash1", "What? hash2"]
    assert (result.served, result.generated, result.refused) == (2, 1, 1)
    assert run(tmp_path, ScriptedDescriber(), images=4).texts == result.texts
    assert len(records(tmp_path)) == 5, "the same refusal is not written twice"


def test_old_record_without_refused_field_is_asked_again(
    tmp_path: Path,
) -> None:
    old = {"schema": 1, "key": key_of(0, 2), "text": None, "failure": "empty", "images": ["hash0"]}
    (tmp_path / "part-old.jsonl").write_text(json.dumps(old) + "\n")
    assert DescriptionStore(tmp_path).failure(key_of(0, 2)) == "empty"
    describer = ScriptedDescriber()
    assert run(tmp_path, describer, images=2).generated == 2
    assert describer.asked == ["What? hash1", "What? hash0"]  # the failed one last


def test_only_refusals_raise_an_error_that_names_ask_again(tmp_path: Path) -> None:
    silent = ScriptedDescriber(refusing("hash0", "hash1"))
    for _ in range(2):
        with pytest.raises(LatteError, match="none of 2 requests: content filter") as caught:
            run(tmp_path, silent, images=2)
        assert "change an option of the describer" in str(caught.value.hint)
        assert "--ask-again" in str(caught.value.hint)
    assert len(silent.asked) == 2


class Counting(ScriptedDescriber):
    @property
    def counters(self) -> Mapping[str, int]:
        return {"tokens": 600 * len(self.asked)}


def test_spent_counters_are_shown_during_the_run_and_at_the_end(tmp_path: Path) -> None:
    run(tmp_path, ScriptedDescriber(), images=2)
    progress = RecordedProgress()
    run(tmp_path, Counting(refusing("hash4")), images=10, progress=progress)
    assert progress.tasks[0].figures == [
        {"tokens": 2400, "refused": 1},
        {"tokens": 4800, "refused": 1},
    ]
    assert progress.lines == [
        "describe: 8 requests about 8 images",
        f"10 descriptions: 2 reused, 7 written, 1 refused; spent 4,800 tokens; see {tmp_path}",
    ]
