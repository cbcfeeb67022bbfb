from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latte.describe.generate import (
    ATTEMPTS,
    GIVE_UP_AFTER,
    MOST_WAITING,
)
from latte.describe.store import MAX_CHARACTERS, DescriptionStore, clean
from latte.interfaces import DescribeRequest, FailedRequests, LatteError
from latte.interfaces.descriptions import BUGS
from tests.helpers.describe_doubles import ScriptedDescriber, echo, training_set
from tests.helpers.describe_runs import failed_requests, failing_on, number_failed, plan_for, run
from tests.helpers.recorded import RecordedProgress


def test_every_request_is_answered_in_order(tmp_path: Path) -> None:
    describer = ScriptedDescriber(batch_size=4)
    result = run(tmp_path, describer)
    assert result.texts == tuple(f"What? hash{i}" for i in range(10))
    assert (result.served, result.generated, result.refused) == (0, 10, 0)
    assert describer.batches == [4, 4, 2]


def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    first_run = run(tmp_path, ScriptedDescriber())
    resumed, progress = ScriptedDescriber(batch_size=3), RecordedProgress()
    second_run = run(tmp_path, resumed, progress=progress)
    assert (second_run.texts, second_run.served, second_run.generated) == (first_run.texts, 10, 0)
    assert resumed.batches == []
    assert progress.tasks == []
    assert progress.lines == [f"10 descriptions: 10 reused, 0 written; see {tmp_path}"]


@pytest.mark.parametrize("change", [{"prompt": "Who?"}, {"fingerprint": "scripted-2"}])
def test_a_changed_prompt_or_fingerprint_is_never_served(
    tmp_path: Path, change: dict[str, str]
) -> None:
    run(tmp_path, ScriptedDescriber())
    fingerprint = change.get("fingerprint", "scripted-1")
    result = run(
        tmp_path, ScriptedDescriber(fingerprint=fingerprint), prompt=change.get("prompt", "What?")
    )
    assert (result.served, result.generated) == (0, 10)


def test_only_new_images_are_asked_about(tmp_path: Path) -> None:
    run(tmp_path, ScriptedDescriber(), images=6)
    describer = ScriptedDescriber()
    result = run(tmp_path, describer, images=8)
    assert (result.served, result.generated) == (6, 2)
    assert describer.asked == ["What? hash6", "What? hash7"]


def test_interrupted_run_keeps_finished_batches(tmp_path: Path) -> None:
    def interrupt(request: DescribeRequest) -> str:
        if request.images[0].key == "hash9":
            raise KeyboardInterrupt
        return echo(request)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, ScriptedDescriber(interrupt, batch_size=4))
    describer = ScriptedDescriber(batch_size=4)
    assert run(tmp_path, describer).served == 8
    assert describer.asked == ["What? hash8", "What? hash9"]


def test_failing_batch_is_halved_down_to_the_failing_request(tmp_path: Path) -> None:
    describer = ScriptedDescriber(failing_on("hash5"), batch_size=8)
    result = run(tmp_path, describer, images=8)
    assert [i for i, text in enumerate(result.texts) if text is None] == [5]
    assert (result.generated, result.refused) == (7, 0)
    assert number_failed(tmp_path, describer, images=8) == 1
    assert describer.batches == [8, 4, 4, 2, *[1] * (1 + ATTEMPTS), 2]
    with DescriptionStore(tmp_path) as store:
        key = plan_for(describer, training_set([0] * 8)).requests[5].key
        assert store.failure(key) == "RuntimeError: cannot look at hash5"


def test_transient_failure_is_retried(tmp_path: Path) -> None:
    describer = ScriptedDescriber(failing_on("hash0", times=ATTEMPTS - 1), batch_size=1)
    run(tmp_path, describer, images=2)
    assert failed_requests(tmp_path, describer, images=2) is None


def test_returned_failure_is_neither_repeated_nor_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(request: DescribeRequest) -> str | RuntimeError:
        if request.images[0].key in ("hash1", "hash5"):
            return RuntimeError("400 Bad Request")
        return echo(request)

    pauses: list[float] = []
    monkeypatch.setattr("latte.describe.generate.FIRST_PAUSE", 0.5)
    monkeypatch.setattr("latte.describe.generate.time.sleep", pauses.append)
    describer = ScriptedDescriber(script, batch_size=4)
    result = run(tmp_path, describer, images=8)
    assert (result.generated, pauses) == (6, [])
    assert number_failed(tmp_path, describer, images=8) == 2
    assert describer.batches == [4, 4]
    resumed = ScriptedDescriber(batch_size=4)
    assert run(tmp_path, resumed, images=8).generated == 2
    assert resumed.asked == ["What? hash1", "What? hash5"]


@pytest.mark.parametrize("end", [LatteError("no credit"), KeyboardInterrupt()])
def test_answers_beside_a_returned_end_of_the_run_are_stored(
    tmp_path: Path, end: BaseException
) -> None:
    describer = ScriptedDescriber(
        lambda request: echo(request) if request.images[0].key in ("hash0", "hash2") else end
    )
    with pytest.raises(type(end)):
        run(tmp_path, describer)
    assert describer.batches == [4]
    resumed = ScriptedDescriber(batch_size=10)
    assert run(tmp_path, resumed).served == 2
    assert resumed.asked == [f"What? hash{i}" for i in range(10) if i not in (0, 2)]


def test_pauses_outlast_a_short_outage_and_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds

    def script(request: DescribeRequest) -> str:
        if len(describer.batches) > 2 and clock < 30:
            raise OSError("503")
        return echo(request)

    monkeypatch.setattr("latte.describe.generate.FIRST_PAUSE", 0.5)
    monkeypatch.setattr("latte.describe.generate.time.sleep", sleep)
    describer, progress = ScriptedDescriber(script, batch_size=1), RecordedProgress()
    result = run(tmp_path, describer, progress=progress)
    assert (result.generated, number_failed(tmp_path, describer)) == (9, 1)
    assert 30 <= clock <= 32
    assert {"retry_in": "4 s"} in progress.tasks[0].figures
    assert progress.tasks[0].done == 10

    clock = -1000.0
    dead = ScriptedDescriber(script, batch_size=1)
    dead.batches, describer = [0] * 3, dead
    with pytest.raises(LatteError, match="in a row"):
        run(tmp_path / "dead", dead, images=100)
    assert clock == -1000 + MOST_WAITING


def test_every_failure_of_a_large_batch_is_recorded(tmp_path: Path) -> None:
    # 300 requests pause 1,200 times without an answer, and 2.0**1024 is no float.
    describer = ScriptedDescriber(failing_on(*(f"hash{i}" for i in range(300))), batch_size=300)
    with pytest.raises(LatteError, match="failed on 300 requests in a row"):
        run(tmp_path, describer, images=300)


@pytest.mark.parametrize("error", BUGS)
def test_a_bug_that_meets_the_first_requests_is_raised(
    tmp_path: Path, error: type[Exception]
) -> None:
    def script(_: DescribeRequest) -> str:
        raise error("a bug")

    describer = ScriptedDescriber(script, batch_size=4)
    with pytest.raises(error, match="a bug"):
        run(tmp_path, describer, images=8)
    assert describer.batches == [4, 2, 1, 1, 2, 1]


def test_a_bug_on_some_images_is_a_failure_of_these_images(tmp_path: Path) -> None:
    def script(request: DescribeRequest) -> str:
        if request.images[0].key in ("hash0", "hash3", "hash5", "hash6"):
            raise AttributeError("no content")
        return echo(request)

    describer = ScriptedDescriber(script, batch_size=1)
    result = run(tmp_path, describer, images=8)
    assert (result.generated, len(describer.batches)) == (4, 8)
    assert number_failed(tmp_path, describer, images=8) == 4
    with DescriptionStore(tmp_path) as store:
        reason = store.failure(plan_for(describer, training_set([0] * 8)).requests[5].key)
    assert reason is not None
    assert re.fullmatch(r"AttributeError: no content \(test_generate.py:\d+\)", reason)


def test_answers_that_were_finished_before_an_interruption_are_stored(tmp_path: Path) -> None:
    def script(request: DescribeRequest) -> str:
        if len(describer.batches) == 1:
            raise OSError("503")
        if request.images[0].key == "hash3":
            raise KeyboardInterrupt
        return echo(request)

    describer = ScriptedDescriber(script, batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, describer, images=4)
    assert describer.batches == [4, 2, 2]
    assert len(DescriptionStore(tmp_path)) == 2


def test_an_error_that_may_be_a_bug_names_the_line_of_the_plugin(tmp_path: Path) -> None:
    def script(_: DescribeRequest) -> str:
        return str({}["choices"])

    with pytest.raises(LatteError, match=r"KeyError: 'choices' \(test_generate.py:\d+\)"):
        run(tmp_path, ScriptedDescriber(script))


def test_no_text_at_all_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    describer = ScriptedDescriber(failing_on(*(f"hash{i}" for i in range(10))))
    with pytest.raises(LatteError, match=r"none of 10 requests: RuntimeError: .* hash0"):
        run(tmp_path, describer)


def test_generate_gives_up_after_many_failures_in_a_row(tmp_path: Path) -> None:
    """A dead server would get hundreds of thousands of requests."""
    good, images = 20, 20 + 10 * GIVE_UP_AFTER
    describer = ScriptedDescriber(failing_on(*(f"hash{i}" for i in range(good, images))))
    with pytest.raises(LatteError, match="in a row") as caught:
        run(tmp_path, describer, images=images)
    assert "safe" in str(caught.value.hint)
    assert len(describer.batches) < 8 * GIVE_UP_AFTER
    assert len(DescriptionStore(tmp_path)) == good


def test_failed_requests_are_sent_last_and_do_not_end_a_later_run(tmp_path: Path) -> None:
    """A set with many permanent failures, and failures of an outage, must stay usable."""
    images = 4 * GIVE_UP_AFTER
    failing = [f"hash{i}" for i in range(0, images, 2)]
    flaky = ScriptedDescriber(failing_on(*failing))
    run(tmp_path, flaky, images=images)
    assert number_failed(tmp_path, flaky, images) == len(failing)
    describer = ScriptedDescriber(failing_on(*failing[:-1]))
    run(tmp_path, describer, images=images + 1)
    assert describer.asked == [f"What? hash{images}", f"What? {failing[-1]}"]
    assert number_failed(tmp_path, describer, images + 1) == len(failing) - 1


def test_error_of_the_describer_ends_only_requests_that_failed_before(tmp_path: Path) -> None:
    """A finished run must stay usable if the server no longer exists."""

    def no_server(request: DescribeRequest) -> str:
        raise LatteError("no server answers")

    first_run = run(tmp_path, ScriptedDescriber(failing_on("hash1")), images=3)
    describer, progress = ScriptedDescriber(no_server), RecordedProgress()
    second_run = run(tmp_path, describer, images=3, progress=progress)
    assert (second_run.texts, number_failed(tmp_path, describer, images=3)) == (first_run.texts, 1)
    assert "warning: no server answers" in progress.lines
    with pytest.raises(LatteError, match="no server answers"):
        run(tmp_path, describer, images=4)
    describer = ScriptedDescriber(no_server)
    with pytest.raises(LatteError, match="no server answers"):
        run(tmp_path / "new", describer)
    assert describer.batches == [4]


def test_most_frequent_reason_of_failures_is_returned(tmp_path: Path) -> None:
    def script(request: DescribeRequest) -> str | RuntimeError:
        number = int(request.images[0].key.removeprefix("hash"))
        if number < 3:
            return RuntimeError("503" if number else "400")
        return echo(request)

    describer = ScriptedDescriber(script)
    run(tmp_path, describer, images=6)
    assert failed_requests(tmp_path, describer, images=6) == FailedRequests(
        3, 6, "RuntimeError: 503"
    )
    run(tmp_path, ScriptedDescriber(), images=6)
    assert failed_requests(tmp_path, describer, images=6) is None


def test_many_refusals_do_not_stop_the_run(tmp_path: Path) -> None:
    describer = ScriptedDescriber(lambda r: "last" if r.images[0].key == "hash99" else "")
    assert run(tmp_path, describer, images=100).refused == 99


@pytest.mark.parametrize("texts", [[], ["only one"], ["one", None]])
def test_describer_with_wrong_number_of_texts_is_named(tmp_path: Path, texts: list[str]) -> None:
    class Miscounting(ScriptedDescriber):
        def describe(self, requests: object) -> list[str]:
            return texts

    with pytest.raises(LatteError, match="Miscounting must return one answer for each of 2"):
        run(tmp_path, Miscounting(), images=2)


def test_describer_is_not_asked_if_the_store_is_unwritable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a batch would be paid for and then lost."""
    (tmp_path / "file").write_text("in the way")
    describer = ScriptedDescriber()
    with pytest.raises(LatteError, match="cannot be written: Not a directory"):
        run(tmp_path / "file" / "store", describer)
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: full)
        with pytest.raises(LatteError, match="cannot be written: No space left on device"):
            run(tmp_path / "store", describer)
    assert describer.asked == []
    assert run(tmp_path / "store", describer).generated == 10


def test_progress_starts_at_the_stored_texts(tmp_path: Path) -> None:
    run(tmp_path, ScriptedDescriber(), images=3)
    progress = RecordedProgress()
    run(tmp_path, ScriptedDescriber(failing_on("hash8")), images=10, progress=progress)
    (task,) = progress.tasks
    assert (task.total, task.done, task.unit, task.closed) == (10, 10, "texts", True)
    assert task.figures[-1] == {"failed": 1}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sets(st.integers(0, 11), max_size=6))
def test_texts_do_not_depend_on_the_batch_size(
    batch_size: int, other_size: int, broken: set[int]
) -> None:
    script = failing_on(*(f"hash{i}" for i in broken))
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        texts = run(Path(a), ScriptedDescriber(script, batch_size=batch_size), images=12)
        other_texts = run(Path(b), ScriptedDescriber(script, batch_size=other_size), images=12)
    assert texts == other_texts
    assert {i for i, text in enumerate(texts.texts) if text is None} == broken


@given(st.text(max_size=2 * MAX_CHARACTERS))
def test_texts_become_one_printable_line(text: str) -> None:
    line = clean(text)
    assert len(line) <= MAX_CHARACTERS
    assert line == line.strip()
    assert len(line.splitlines()) <= 1
    assert not {unicodedata.category(char) for char in line} & {"Cc", "Cs"}
    assert clean(line) == line
    line.encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("  A dog.\n\nIt sits.\r\n", "A dog. It sits."),
        ("A\x00 b\x1b[31mig\tdog", "A b[31mig dog"),
        ("a \x00 dog", "a dog"),
        ("\ud800broken", "broken"),
        ("Ein süßer Hund 🐕‍🦺.", "Ein süßer Hund 🐕‍🦺."),
        ("word " * 1000, ("word " * (MAX_CHARACTERS // 5)).strip()),
        ("x" * 1000, "x" * MAX_CHARACTERS),
    ],
)
def test_clean_examples(raw: str, expected: str) -> None:
    assert clean(raw) == expected
