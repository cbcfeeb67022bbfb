"""YAML in recipes: values and keys that are accepted, and input that is refused."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.document import DocumentBuilder
from latte.recipe.errors import Mistakes
from latte.recipe.load import load_recipe
from latte.recipe.places import Document
from latte.recipe.syntax import LARGEST_FILE, compose
from latte.registry.registry import Registry
from tests.helpers.recipes import MINIMAL, Complaints, Load


def read(text: str) -> Document:
    mistakes = Mistakes()
    document = DocumentBuilder("r.yaml", {}, mistakes).build(compose(text, "r.yaml"))
    mistakes.raise_if_any()
    return document


def value(text: str) -> object:
    return read(f"key: {text}").data["key"]


def refusal(text: str) -> LatteError:
    with pytest.raises(LatteError) as caught:
        read(text)
    error = caught.value
    return error.errors[0] if isinstance(error, RecipeErrors) else error


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-6", 1e-6),
        ("1.0e-6", 1e-6),
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        ("0b1", "0b1"),
        ("'1e-6'", "1e-6"),
        ('"true"', "true"),
        ("[no, 1e3, '2']", ["no", 1000.0, "2"]),
    ],
)
def test_scalars_follow_yaml_1_2(written: str, meant: object) -> None:
    found = value(written)
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("number", [".inf", "-.INF", ".nan", "1e999", "9" * 401])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    assert refusal(f"a: 1\nkey: {number}").where == "r.yaml:2 key"


def test_a_class_called_no_stays_a_string_as_a_key() -> None:
    assert read("no: 1\nyes: 2").data == {"no": 1, "yes": 2}


@pytest.mark.parametrize("key", ["1", "1.5", "true", "null", "~"])
def test_keys_must_be_text(key: str) -> None:
    error = refusal(f"{key}: x")
    assert error.what == f"the key {key} is not text"
    assert error.hint == f'Put it in quotes: "{key}".'


def test_collections_as_keys_are_refused() -> None:
    assert "a key must be text" in refusal("[a, b]: x").what


def test_repeated_keys_are_refused_with_both_lines() -> None:
    error = refusal("train:\n  seed: 1\n  size: 2\n  seed: 3\n")
    assert error.where == "r.yaml:4 train.seed"
    assert error.what == 'the key "seed" occurs twice here, first in line 2'


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!x", "!!str", "!"])
def test_tags_are_refused(tag: str) -> None:
    error = refusal(f"a: 1\nb: {tag} text")
    assert (error.what, error.where) == (f"the tag {tag} is not allowed", "r.yaml:2:4")


def test_several_documents_are_refused() -> None:
    assert refusal("a: 1\n---\nb: 2\n").where == "r.yaml:2:1"


def test_every_value_has_the_line_of_its_key() -> None:
    document = read("a:\n  - b: 1\n    c:\n      d: >\n        text\n")
    lines = {path: document.places[path].line for path in [("a",), ("a", 0, "c", "d")]}
    assert lines == {("a",): 1, ("a", 0, "c", "d"): 4}


def test_aliases_copy_values_with_their_lines() -> None:
    document = read("a: &a\n  x: 1\nb: *a\n")
    assert document.data["b"] == {"x": 1}
    assert document.places[("b", "x")].line == 2


def test_merge_keys_are_plain_keys_as_in_yaml_1_2() -> None:
    assert read("a: &a {x: 1}\nb: {<<: *a}\n").data["b"] == {"<<": {"x": 1}}


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}"])
def test_an_anchor_cannot_contain_itself(text: str) -> None:
    assert refusal(text).what == "an anchor contains itself"


@pytest.mark.parametrize("layer", ["[{0}, {0}]", "{{x: {0}, y: {0}}}"])
def test_exponentially_expanding_anchors_are_refused(layer: str) -> None:
    lines = ["a0: &a0 {x: ha}"]
    lines += [f"a{i}: &a{i} {layer.format(f'*a{i - 1}')}" for i in range(1, 40)]
    assert "expands to more than 100,000 values" in refusal("\n".join(lines)).what


def test_deep_nesting_is_refused() -> None:
    assert "nested deeper" in refusal("a: " + "[" * 10_000).what


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("a: 1\nb: [1, 2\n", "r.yaml:3:1", "closing bracket"),
        ("a:\n\t- 1\n", "r.yaml:2:1", "not with tabs"),
        ("a: b: c\n", "r.yaml:1:5", "in quotes"),
        ("a: @x\n", "r.yaml:1:4", "in quotes"),
        ("a: 1\nb\nc: 1\n", "r.yaml:3:1", "not `key: value`"),
        ("a: *nobody\n", "r.yaml:1:4", "&NAME"),
        ("a: {root: ${DATA}/x}\n", "r.yaml:1:12", 'needs quotes: "${NAME}/folder"'),
        ("a: \x07\n", "r.yaml:1:4", "invisible"),
    ],
)
def test_text_that_is_not_yaml_is_refused_with_line_and_column(
    text: str, where: str, hint: str
) -> None:
    error = refusal(text)
    assert error.where == where
    assert hint in (error.hint or "")


@pytest.mark.parametrize("text", ['"\\UFFFFFFFF"', '"\\U00110000"', "%YAML 1." + "9" * 5000])
def test_numbers_beyond_what_yaml_knows_are_refused(text: str) -> None:
    assert "not valid YAML" in refusal(text).what


def test_half_of_a_surrogate_pair_is_refused() -> None:
    assert refusal('a: "\\ud800"').where == "r.yaml:1 a"


def test_only_utf_8_is_read(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes("a: 1\nb: Größe\n".encode("latin-1"))
    with pytest.raises(LatteError, match="not UTF-8") as caught:
        load_recipe(path, registry)
    assert caught.value.where == f"{path}:2"


def test_a_byte_order_mark_is_ignored(load: Load) -> None:
    assert load("\ufeff" + MINIMAL).train.max_steps == 0


def test_large_files_are_refused(load: Load) -> None:
    with pytest.raises(LatteError, match="larger than 1,000,000 bytes"):
        load("#" * (LARGEST_FILE + 1))


@pytest.mark.parametrize("text", ["- a", "text", "3", "null"])
def test_a_recipe_is_a_mapping(load: Load, text: str) -> None:
    with pytest.raises(LatteError, match="expected a mapping"):
        load(text)


def test_an_empty_file_lacks_backbone_and_dataset(complaints: Complaints) -> None:
    found = "\n".join(complaints("# nothing yet\n"))
    assert 'the key "backbone" is missing' in found
    assert 'the key "dataset" is missing' in found


SYNTAX = ["- ", "? ", ": ", "&a ", "*a", "<<: ", "!!x ", "%YAML 1.9\n", "---\n", *"{}[],\"'#\n\t"]
CHARACTERS = [
    "> ",
    "  ",
    "\\x",
    "\\UFFFFFFFF",
    "1e999",
    "${A}",
    "${",
    "\ufeff",
    "\x00",
    "\x85",
    "é",
]
RECIPE_KEYS = ["use: ", "train: ", "labels: ", "dataset: ", "controls: ", "learners: ", "loss: "]
SNIPPETS = st.sampled_from([*SYNTAX, *CHARACTERS, *RECIPE_KEYS])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(st.text(), st.lists(SNIPPETS, max_size=20).map("".join)))
def test_any_text_raises_only_latte_errors(tmp_path: Path, registry: Registry, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(LatteError) as caught:
        load_recipe(path, registry, (), {})
    str(caught.value).encode()
