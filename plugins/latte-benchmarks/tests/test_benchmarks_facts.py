from importlib import import_module

import pytest
from latte_benchmarks import latte_components
from latte_benchmarks.facts import DatasetFacts, all_facts, find_facts

from latte.api import LatteError

TRAINING = {
    "caltech101": (100, 5777, 2465),
    "dtd": (47, 3948, 1692),
    "eurosat": (10, 18900, 8100),
    "fgvc-aircraft": (100, 6667, 3333),
    "flowers102": (102, 5726, 2463),
    "food101": (101, 70700, 30300),
    "oxford-pets": (37, 3680, 3669),
    "stanford-cars": (196, 8144, 8041),
    "sun397": (397, 19850, 19850),
    "ucf101": (101, 9537, 3783),
}
"""Classes, training and test images as LatteCLIP's code counts them."""


@pytest.mark.parametrize("name", TRAINING)
def test_sizes_are_those_of_the_paper_s_code(name: str) -> None:
    facts = find_facts(name)
    assert (facts.classes, facts.train + facts.val, facts.test) == TRAINING[name]


def test_each_is_a_component_under_its_name() -> None:
    declared = {spec.name: spec for spec in latte_components()}
    assert {*declared} == {*TRAINING}
    for name, spec in declared.items():
        module, _, target = spec.target.partition(":")
        assert getattr(import_module(module), target).facts == find_facts(name)


@pytest.mark.parametrize("facts", all_facts().values(), ids=lambda facts: facts.name)
def test_words_are_complete(facts: DatasetFacts) -> None:
    assert "{class}" in facts.released
    assert "{class}" in facts.coop
    prompts = {facts.image_prompt, facts.group_prompt}
    assert all(prompt.endswith("concisely, less than 20 words.") for prompt in prompts)
    names_class = "{class}" in facts.image_prompt
    assert names_class == (facts.name in ("flowers102", "food101")), (
        "only these leak the pseudo-label"
    )
    assert "{class}" not in facts.group_prompt
    assert facts.torchvision or facts.by_hand, "there is a way to get it"


@pytest.mark.parametrize(
    ("wrong", "right"), [("fgvc_aircraft", "fgvc-aircraft"), ("Oxford_Pets", "oxford-pets")]
)
def test_other_spellings_are_answered_with_the_right_one(wrong: str, right: str) -> None:
    with pytest.raises(LatteError, match=f'Did you mean "{right}"'):
        find_facts(wrong)


def test_dots_are_spaces_only_where_latteclip_replaced_them() -> None:
    assert (
        find_facts("stanford-cars").spell("2009 Bugatti Veyron 16.4") == "2009 bugatti veyron 16 4"
    )
    assert find_facts("flowers102").spell("St._Bernard's") == "st. bernard's"
