"""Suggestions for mistyped names."""

from latte.interfaces.errors import did_you_mean, nearest


def test_nearest_ignores_case() -> None:
    assert nearest("LAVA", ["Llava", "phrases"]) == "Llava"


def test_nearest_of_unlike_names_is_none() -> None:
    assert nearest("zzz", ["llava"]) is None
    assert did_you_mean("zzz", ["llava"]) == ""


def test_did_you_mean_is_a_question() -> None:
    assert did_you_mean("lava", ["llava"]) == 'Did you mean "llava"?'
