from latte.interfaces.errors import did_you_mean, nearest


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert nearest("LAVA", ["Llava", "phrases"]) == "Llava"


def test_nothing_is_suggested_where_nothing_is_alike() -> None:
    assert nearest("zzz", ["llava"]) is None
    assert did_you_mean("zzz", ["llava"]) == ""


def test_a_suggestion_reads_as_a_question() -> None:
    assert did_you_mean("lava", ["llava"]) == 'Did you mean "llava"?'
