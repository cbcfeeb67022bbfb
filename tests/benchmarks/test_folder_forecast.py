"""Forecasts are made from other sets, and say so if they are no better than the base rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import pytest

from benchmarks.folder_forecast import (
    Outcomes,
    forecast_parts,
    left_out,
    left_out_likely,
    likely_sentence,
    reliability_table,
    words_table,
)

SETS = tuple("abcdefgh")


def outcomes(leads: Sequence[float], gained: Sequence[bool], sets: Sequence[str]) -> Outcomes:
    values = numpy.array([[lead, 200.0] for lead in leads])
    flags = numpy.array(gained)
    words = ["likely better" if lead > 1.2 else "cannot tell" for lead in leads]
    return Outcomes(sets, ["lead", "images"], values, flags, ~flags, words)


def informative(reversed_sets: Sequence[str] = ()) -> Outcomes:
    """In each set, folders with a lead above 1.25 gain; in some sets, those below do."""
    folders = [(name, 1.0 + draw / 20) for name in SETS for draw in range(10)]
    gained = [(lead > 1.225) != (name in reversed_sets) for name, lead in folders]
    return outcomes([lead for _, lead in folders], gained, [name for name, _ in folders])


def test_left_out_set_does_not_change_its_own_forecasts() -> None:
    plain, changed = informative(), informative(reversed_sets=["a"])
    of_first = plain.of_set("a")
    forecasts, changed_forecasts = (left_out(each, [["lead"]]).gained for each in (plain, changed))
    assert numpy.allclose(forecasts[of_first], changed_forecasts[of_first])
    assert not numpy.allclose(forecasts[~of_first], changed_forecasts[~of_first])
    assert (left_out_likely(plain) == left_out_likely(changed))[of_first].all()


def test_informative_signal_beats_the_base_rate_and_bears_the_words_out() -> None:
    text = "\n".join(forecast_parts(informative()))
    (line,) = [line for line in text.splitlines() if line.startswith("| lead |")]
    assert "no better" not in line
    assert "32 of 80 folders, of which 100% (100% to 100%) gained" in text
    assert ": borne out." in text


def test_signal_that_other_sets_contradict_is_no_better_than_the_base_rate() -> None:
    text = "\n".join(forecast_parts(informative(reversed_sets=SETS[::2])))
    (line,) = [line for line in text.splitlines() if line.startswith("| lead |")]
    assert line.endswith("| no better than the base rate |")
    assert "from the other sets: no folder." in text


def test_words_that_left_out_sets_contradict_are_not_borne_out() -> None:
    contradicted = informative(reversed_sets=["a", "b"])
    called = contradicted.columns(["lead"])[:, 0] > 1.225
    assert "75% (38% to 100%) gained" in likely_sentence(contradicted, called)
    assert ": not borne out." in likely_sentence(contradicted, called)


def test_words_are_counted_with_what_their_folders_gained() -> None:
    rows = words_table(informative()).splitlines()[2:]
    assert rows == [
        "| cannot tell | 40 | 0% (0% to 0%) | 100% (100% to 100%) |",
        "| likely better | 40 | 100% (100% to 100%) | 0% (0% to 0%) |",
    ]


def test_reliability_marks_bins_that_are_more_than_ten_points_off() -> None:
    leads, gained = [1.0] * 40, [draw < 4 for draw in range(40)]
    forecasts = left_out(
        outcomes(leads, gained, [SETS[draw % 8] for draw in range(40)]), [["lead"]]
    )
    forecasts.gained[:] = 0.85
    (row,) = reliability_table(
        outcomes(leads, gained, [SETS[draw % 8] for draw in range(40)]), forecasts
    ).splitlines()[2:]
    assert row.startswith("| 0.8 to 0.9 | 40 | 85% | ██░░")
    assert row.endswith("| 75% off |")


@pytest.mark.parametrize("gained", [True, False])
def test_sets_that_all_gain_or_all_lose_have_only_words(gained: bool) -> None:
    folders = outcomes([1.0, 1.3], [gained] * 2, ["a", "b"])
    assert len([*forecast_parts(folders)]) == 2
