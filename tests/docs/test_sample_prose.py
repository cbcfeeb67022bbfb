"""The sample of docstrings and sentences is uniform over all prose, and repeats."""

from __future__ import annotations

import pytest

from tests.helpers.sample_prose import docstrings, drawn, main, sentences

pytestmark = pytest.mark.thorough


def test_equal_seeds_give_equal_samples(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for seed in ("7", "7", "8"):
        main(["--seed", seed, "--count", "3"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    assert "docstrings: 3 of" in printed[0]
    assert "sentences: 3 of" in printed[0]


def test_sample_has_no_repetition_and_at_most_all() -> None:
    found = [*sentences()]
    assert len({id(one) for one in drawn(found, 50, 0)}) == 50
    assert len(drawn(found, 10**6, 0)) == len(found)


def test_sentences_are_prose_of_the_pages() -> None:
    found = [*sentences()]
    assert {"README.md", "concepts.md", "results.md"} <= {one.path.name for one in found}
    assert len(found) > 500
    assert not [str(one) for one in found if one.text.startswith(("|", "#", "```"))]
    for one in found:
        start = " ".join(one.path.read_text(encoding="utf-8").splitlines()[one.line - 1 :])
        assert one.text[:20] in " ".join(start.split()), one


def test_docstrings_start_at_their_line() -> None:
    found = [*docstrings()]
    assert len(found) > 1000
    for one in found[::50]:
        assert '"""' in one.path.read_text(encoding="utf-8").splitlines()[one.line - 1]
        assert "tests" not in one.path.parts[-3:]
