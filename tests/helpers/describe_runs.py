"""Plans, runs of the describing stage, and banks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from latte.describe.bank import DescriptionBank
from latte.describe.columns import Column
from latte.describe.generate import GenerateResult, generate
from latte.describe.plan import Plan, TrainingSet, plan_requests
from latte.describe.store import DescriptionStore
from latte.interfaces import DescribeRequest, FailedRequests
from tests.helpers.describe_doubles import ScriptedDescriber, descriptions, echo, training_set
from tests.helpers.recorded import RecordedProgress


def plan_for(describer: ScriptedDescriber, training: TrainingSet, prompt: str = "What?") -> Plan:
    image = descriptions(image_prompt=prompt)["image"]
    return plan_requests(training, {"image": image}, {"scripted": describer}, seed=0)["scripted"]


def run(
    folder: Path,
    describer: ScriptedDescriber,
    images: int = 10,
    prompt: str = "What?",
    progress: RecordedProgress | None = None,
    **options: Any,
) -> GenerateResult:
    plan = plan_for(describer, training_set([0] * images), prompt)
    with DescriptionStore(folder) as store:
        return generate(describer, plan, store, progress or RecordedProgress(), **options)


def failed_requests(
    folder: Path, describer: ScriptedDescriber, images: int = 10
) -> FailedRequests | None:
    """Return the failed requests that the store in `folder` has about these images."""
    with DescriptionStore(folder) as store:
        return store.failed_requests(plan_for(describer, training_set([0] * images)).keys)


def number_failed(folder: Path, describer: ScriptedDescriber, images: int = 10) -> int:
    """Return how many requests about these images failed."""
    failed = failed_requests(folder, describer, images)
    return failed.count if failed else 0


def failing_on(*keys: str, times: int | None = None) -> Callable[[DescribeRequest], str]:
    """Return a script that raises for images in `keys`, at most `times` times."""
    crashes = 0

    def script(request: DescribeRequest) -> str:
        nonlocal crashes
        if request.images[0].key in keys and (times is None or crashes < times):
            crashes += 1
            raise RuntimeError(f"cannot look at {request.images[0].key}")
        return echo(request)

    return script


NAMES = ("cat", "dog", "fish")
TEMPLATE = "a photo of a {class}."


def bank_of(
    labels: Sequence[int], redraw: bool = True, refused: Sequence[int] = (), size: int = 2
) -> DescriptionBank:
    """Build a bank in which image i has the texts "image i" and "group i", unless `refused`."""
    count = len(labels)
    texts = {
        scope: [(None if i in refused else f"{scope} {i}",) for i in range(count)]
        for scope in ("image", "group")
    }
    groups = torch.tensor([[i] * size for i in range(count)])
    return DescriptionBank(
        [f"{i}.jpg" for i in range(count)],
        torch.tensor(labels),
        NAMES,
        TEMPLATE,
        descriptions(size, redraw=redraw),
        {"image": Column(texts["image"]), "group": Column(texts["group"], groups)},
    )
