"""Environment variables in a recipe's strings."""

import pytest

from latte.interfaces import LatteError
from latte.io.variables import escape
from latte.recipe.places import Place
from latte.recipe.variables import expand
from tests.helpers.recipes import MINIMAL, Complaints, Load

LINE = Place("r.yaml", 1)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}/x", "one/x"),
        ("${A}${A}", "oneone"),
        ("${B:-two}", "two"),
        ("${A:-two}", "one"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${B:-}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A costs 3$", "$A costs 3$"),
        ("${NESTED}", "${A}"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    environment = {"A": "one", "EMPTY": "", "NESTED": "${A}"}
    assert expand(text, environment, LINE)[0] == expanded


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A", "${A-b}", "${B:-${A}}"])
def test_malformed_variables_are_refused(text: str) -> None:
    with pytest.raises(LatteError, match="is not a variable"):
        expand(text, {"A": "one"}, LINE)


@pytest.mark.parametrize("text", ["${A}", "$${A}", "$$${", "$", "a"])
def test_escaped_text_expands_to_itself(text: str) -> None:
    assert expand(escape(text), {}, LINE)[0] == text


def test_variables_are_expanded_in_strings_and_stay_strings(load: Load) -> None:
    recipe = load(MINIMAL + 'output: "${OUT}/runs"\nname: ${N}\n', OUT="/big", N="12")
    assert recipe.output == "/big/runs"
    assert recipe.name == "12"


def test_the_origin_names_the_variable_and_the_line(load: Load) -> None:
    recipe = load(MINIMAL + "output: ${OUT}/${OUT}/${SUB:-x}\n", OUT="/big")
    assert recipe.origins["output"] == "r.yaml:4 ${OUT} ${SUB}"


def test_an_unset_variable_is_named_with_the_way_to_set_it(complaints: Complaints) -> None:
    assert complaints(MINIMAL + "output: ${OUT}/runs\n") == [
        "r.yaml:4 output: the environment variable OUT is not set\n"
        "  Set it (export OUT=...), or write ${OUT:-default} here."
    ]


def test_keys_are_not_expanded(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + '"${OUT}": 1\n', OUT="seed")
    assert message.startswith('r.yaml:4 ${OUT}: unknown key "${OUT}"')


def test_a_variable_in_a_number_is_refused(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "seed: ${SEED}\n", SEED="3")
    assert 'expected a whole number, got the text "3"' in message
    assert "--set" in message
