"""The list of stages."""

from __future__ import annotations

from latte.results.identity import STAGES
from latte.run.stages import ORDER


def test_stage_objects_are_those_of_the_record_in_order() -> None:
    assert tuple(stage.name for stage in ORDER) == STAGES


def test_each_stage_needs_only_earlier_stages() -> None:
    for number, stage in enumerate(ORDER):
        assert {one.name for one in stage.needs} <= set(STAGES[:number])
