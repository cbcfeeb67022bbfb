"""Keys, draws, files and run hashes equal recorded ones, for runs from earlier versions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latte.describe.plan import plan_requests
from latte.io.files import digest, digest_json
from latte.recipe.load import load_recipe
from latte.registry.registry import load_registry
from latte.run.identity import run_hash
from tests.helpers.describe_doubles import ScriptedDescriber, descriptions, training_set
from tests.helpers.describe_runs import bank_of
from tests.helpers.fingerprints import fingerprints_of

LABELS = [i * i % 3 for i in range(30)]


@pytest.mark.parametrize(
    ("max_images", "keys"),
    [(1, "50fbca434e2108d61d2ddd66050fd746"), (4, "9227d4c3286a4c6347cabd487ba9065f")],
)
def test_request_keys_are_the_recorded_ones(max_images: int, keys: str) -> None:
    training = training_set(LABELS, keys=[f"hash{i % 28}" for i in range(30)])
    kinds = descriptions(3, "What does the {class} do?")
    describer = ScriptedDescriber(max_images=max_images)
    plan = plan_requests(training, kinds, {"any": describer}, seed=5)["any"]
    assert digest(*(request.key for request in plan.requests)) == keys


def test_bank_rows_and_file_are_the_recorded_ones(tmp_path: Path) -> None:
    bank = bank_of(LABELS, refused=[3, 4])
    drawn = [bank.rows("group", torch.arange(30), None, epoch, 7).tolist() for epoch in range(3)]
    assert digest_json(drawn) == "0f67788aa8d4443e2dd085c34de53a2d"
    assert digest(*bank.unique_texts) == "448b3bb48b01555125687f55b645d0d7"
    bank.save(tmp_path / "d.jsonl")
    assert digest((tmp_path / "d.jsonl").read_bytes()) == "37b95cd28797ad642a7a0220f907ed5f"


def test_explicit_defaults_keep_the_run_hash_and_other_values_change_it(
    tmp_path: Path,
) -> None:
    plain = "backbone: {model: x}\ndataset: {use: folder, root: a, classes: [b, c]}\n" + (
        "describer: phrases\ndescriptions: [class, image, {use: group, OPTIONS}]\n"
        "labels: [frozen]\nloss: contrastive\n"
    )
    registry, path = load_registry(), tmp_path / "r.yaml"

    def identity(options: str) -> tuple[str, str]:
        path.write_text(plain.replace("OPTIONS", options))
        recipe = load_recipe(path, registry)
        stages = fingerprints_of(recipe)
        return run_hash(recipe, None), stages["describe"]

    default_identity = identity("size: 4")
    assert identity("size: 4, weight: 1.0, samples: 1, groups_per_class: null") == default_identity
    changed = [
        identity(options)
        for options in ("weight: 2.0", "samples: 2", "groups_per_class: 3", "prompt: [a, b]")
    ]
    assert len({*changed, default_identity}) == 5
    assert len({stage for _, stage in [*changed, default_identity]}) == 5
