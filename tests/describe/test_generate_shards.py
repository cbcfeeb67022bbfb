"""Processes that describe in parallel: each answers its shard, and no request is asked twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.describe.shards import Shard
from latte.describe.store import DescriptionStore, StoredText
from latte.interfaces import DescribeRequest, LatteError, Refusal
from tests.helpers.describe_doubles import ScriptedDescriber, echo, training_set
from tests.helpers.describe_runs import failing_on, plan_for, run

IMAGES = 30


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_shards_together_ask_every_request_once(tmp_path: Path, count: int) -> None:
    prompts: list[str] = []
    requests = 0
    for index in range(1, count + 1):
        worker = ScriptedDescriber()
        result = run(tmp_path, worker, IMAGES, shard=Shard(index, count))
        requests += result.served + result.generated
        prompts += worker.asked
    assert sorted(prompts) == sorted(f"What? hash{i}" for i in range(IMAGES))
    assert requests == IMAGES
    resumed = ScriptedDescriber()
    assert run(tmp_path, resumed, IMAGES).served == IMAGES
    assert resumed.asked == []


def test_texts_are_reused_with_another_number_of_shards(tmp_path: Path) -> None:
    one_of_two = run(tmp_path, ScriptedDescriber(), IMAGES, shard=Shard(1, 2))
    three_workers = [ScriptedDescriber() for _ in range(3)]
    results = [run(tmp_path, three_workers[i], IMAGES, shard=Shard(i + 1, 3)) for i in range(3)]
    assert sum(len(worker.asked) for worker in three_workers) == IMAGES - one_of_two.generated
    assert sum(result.served for result in results) == one_of_two.generated > 0


def test_texts_stored_by_another_process_during_the_run_are_not_asked(tmp_path: Path) -> None:
    plan = plan_for(ScriptedDescriber(), training_set([0] * 10))

    def script(request: DescribeRequest) -> str:
        if request.images[0].key == "hash0":
            with DescriptionStore(tmp_path) as elsewhere:
                refusal = StoredText(plan.requests[5].key, None, "filter", refused=True)
                elsewhere.put_many([StoredText(plan.requests[4].key, "from elsewhere"), refusal])
        return echo(request)

    describer = ScriptedDescriber(script, batch_size=4)
    result = run(tmp_path, describer, 10)
    assert not {"What? hash4", "What? hash5"} & set(describer.asked)
    assert result.texts[4] == "from elsewhere"
    assert (result.served, result.generated, result.refused) == (1, 8, 1)


def test_shard_of_failures_raises_and_shard_of_refusals_does_not(tmp_path: Path) -> None:
    refusing = ScriptedDescriber(lambda _: Refusal("filter"))
    assert run(tmp_path / "a", refusing, 3, shard=Shard(1, 1)).refused == 3
    failing = ScriptedDescriber(failing_on("hash0", "hash1", "hash2"))
    with pytest.raises(LatteError, match="none of 3"):
        run(tmp_path / "b", failing, 3, shard=Shard(1, 1))


def test_empty_shard_is_not_an_error(tmp_path: Path) -> None:
    key = plan_for(ScriptedDescriber(), training_set([0])).requests[0].key
    empty = next(Shard(i, 2) for i in (1, 2) if not Shard(i, 2).holds(key))
    result = run(tmp_path, ScriptedDescriber(), 1, shard=empty)
    assert (result.served, result.generated, result.refused) == (0, 0, 0)
