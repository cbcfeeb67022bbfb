"""Make the rows of a comparison; runs that differ only in their seed are averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from latte.evaluate.statistics import Spread, mean_of_intervals, spread
from latte.interfaces import Interval, LatteError
from latte.io.files import digest_json
from latte.io.redaction import one_line
from latte.report.numbers import points_with_range
from latte.report.verdict import verdict_label
from latte.results.summary import INPUTS, Data, Run, Score

ORACLE = "oracle"
"""Mark of results that used ground-truth labels of their training images."""
CORRECTED = "corrected"
"""Mark of runs that trained on labels from a person (`corrections`)."""

MOST_LABELS = 3
"""If more settings than this differ, a row shows only the few that distinguish it from others."""

_LONGEST_VALUE = 40
_DIGEST_DIGITS = 6
_USE = ".use"


@dataclass(frozen=True)
class Result:
    """Mean accuracy of a classifier over the runs of a row, and its gain over zero-shot CLIP."""

    top1: Spread
    gain: Interval

    @property
    def gain_over(self) -> str:
        """Variation that the gain's 95 % interval covers: `images`, or `seeds and images`."""
        return "seeds and images" if self.top1.runs > 1 else "images"

    def gain_text(self, images: int) -> str:
        """Return the gain in points with its interval: `+4.7 (+4.1 to +5.4)`."""
        return points_with_range(self.gain, images)


@dataclass(frozen=True)
class Row:
    """A row of a comparison: results of one recipe on one dataset, over seeds."""

    method: str
    labels: tuple[str, ...]
    """`key=value` for each setting in which rows of this method and dataset differ, after marks."""
    distinguishing: tuple[str, ...]
    """The few `labels` that distinguish this row from the others; all `labels` if there are few."""
    data: Data
    seeds: tuple[int, ...]
    zero_shot: Spread | None
    """Zero-shot accuracy; None, as is `adapted`, if there are no labelled images."""
    adapted: Result | None
    controls: Mapping[str, Result]
    seconds: Mapping[str, float]
    peak_memory_mb: float | None
    """Largest peak memory of the runs, in MiB; None if no run recorded its memory."""
    folders: tuple[Path, ...]
    published: float | None = None
    """Top-1 that a paper reports, as a fraction."""
    has_oracle: bool = False
    """True if the row or one of its control runs used labels of training images."""
    runs: tuple[Run, ...] = ()
    own: Result | None = None
    """The posterior's result on test images that are also training images."""
    candidate: Result | None = None
    """Result of the candidates: models that guards did not accept in full."""

    @property
    def name(self) -> str:
        """The method, with the settings that distinguish this row, on one line."""
        return " ".join([self.method, *self.distinguishing])

    @property
    def left_out(self) -> int:
        """Number of settings that differ from other rows, but are not shown in `distinguishing`."""
        return len(self.labels) - len(self.distinguishing)

    @property
    def baseline(self) -> Spread | None:
        """Mean zero-shot accuracy over seeds, with the standard deviation unless that is 0."""
        return self.zero_shot and replace(
            self.zero_shot, deviation=self.zero_shot.deviation or None
        )

    @property
    def others(self) -> dict[str, Result]:
        """Results of the candidate and of the control runs, by name; shown below the row."""
        candidate = {"candidate": self.candidate} if self.candidate else {}
        return candidate | {f"control {name}": one for name, one in self.controls.items()}

    @property
    def verdict(self) -> str:
        """The guard's verdict: `cannot tell`, or for 3 seeds `2 of 3 cannot tell`, for example."""
        found = [run.verdict for run in self.runs]
        if len(found) == 1 or not any(found):
            return verdict_label(found[0] if found else None)
        outcomes = Counter(one.outcome if one else verdict_label(None) for one in found)
        return ", ".join(f"{number} of {len(found)} {name}" for name, number in outcomes.items())

    @property
    def own_images(self) -> int:
        """Number of test images that are also training images.

        It is 0 if the run did not measure these images separately from the other test images.
        """
        return self.runs[0].own_images if self.runs else 0


def make_rows(runs: Sequence[Run]) -> tuple[list[Row], list[LatteError]]:
    """Return the rows of a comparison, and an error per run that repeats another run.

    Rows are ordered by dataset, method and settings. Runs with different evaluation images,
    training images or weights are in different rows, even if their recipes have the same name.
    """
    groups: dict[str, dict[int, Run]] = {}
    repeated = []
    for run in runs:
        key = digest_json([run.method, run.data.digest, dict(run.settings)])
        earlier = groups.setdefault(key, {}).setdefault(run.seed, run)
        if earlier is not run:
            what = f"the same recipe, data and seed as {earlier.folder}, which is counted once"
            repeated.append(LatteError(what, where=str(run.folder)))
    families: dict[tuple[str, Data], list[list[Run]]] = {}
    for by_seed in groups.values():
        group = [by_seed[seed] for seed in sorted(by_seed)]
        families.setdefault((group[0].method, group[0].data), []).append(group)
    rows = [row for family in families.values() for row in _family_rows(family)]
    rows.sort(key=lambda row: (row.data.name, row.data.digest, row.method))
    return rows, repeated


def differing_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys in which the runs' `settings` differ.

    `INPUTS` (a digest of images, labels and weights) is left out if the other keys already
    distinguish all `settings`.
    """
    keys = dict.fromkeys(key for one in settings for key in one)
    differing = [key for key in keys if len({_identity(one, key) for one in settings}) > 1]
    named = [key for key in differing if key != INPUTS]
    distinct = {tuple(_identity(one, key) for key in named) for one in settings}
    return named if len(distinct) == len(settings) else differing


def distinguishing_keys(settings: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Return a few of `keys` that together distinguish all `settings`; all keys if there are few.

    Keys that all settings have, and keys that name components (`.use`), are preferred.
    """
    if len(keys) <= MOST_LABELS:
        return [*keys]

    def combinations(chosen: Sequence[str]) -> int:
        return len({tuple(_identity(one, key) for key in chosen) for one in settings})

    ranked = sorted(
        keys, key=lambda key: (any(key not in one for one in settings), not key.endswith(_USE))
    )
    found: list[str] = []
    while combinations(found) < combinations(keys):
        found.append(max(ranked, key=lambda key: combinations([*found, key])))
    return [key for key in keys if key in found]


def labels(
    settings: Mapping[str, Any], keys: Sequence[str], *, components: bool = False
) -> tuple[str, ...]:
    """Return a text `key=value` per key; keys are shortened as long as they stay distinct.

    With `components`, `guard.use=latte-x/evidence` becomes `guard=evidence`.
    """
    found = []
    for key in keys:
        name, value = _short(key, keys), "(none)"
        if key in settings:
            value = _text(key, settings[key])
            if components and key.endswith(_USE):
                name, value = one_line(key.removesuffix(_USE)), value.rpartition("/")[2]
        found.append(f"{name}={value}")
    return tuple(found)


def order(settings: Mapping[str, Any], keys: Sequence[str]) -> tuple[tuple[int, float, str], ...]:
    """Return a key to sort rows by their settings: numbers by size, then texts."""
    values = [settings.get(key) for key in keys]
    return tuple(
        (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, repr(value))
        for value in values
    )


def _family_rows(family: Sequence[Sequence[Run]]) -> list[Row]:
    """Return the rows of one method and dataset, labelled by the settings in which they differ."""
    every_settings = [group[0].settings for group in family]
    keys = differing_keys(every_settings)
    distinguishing = distinguishing_keys(every_settings, keys)
    rows = []
    for group in sorted(family, key=lambda group: order(group[0].settings, keys)):
        settings = group[0].settings
        every = labels(settings, keys)
        few = labels(settings, distinguishing, components=True)
        rows.append(_row(group, every, every if distinguishing == keys else few))
    return rows


def _row(runs: Sequence[Run], row_labels: tuple[str, ...], distinguishing: tuple[str, ...]) -> Row:
    zero_shot = [run.zero_shot for run in runs if run.zero_shot is not None]
    memory = [run.peak_memory_mb for run in runs if run.peak_memory_mb is not None]
    first, stages = runs[0], dict.fromkeys(stage for run in runs for stage in run.seconds)
    corrected = first.settings.get("corrections") is not None
    marks = (*((ORACLE,) if first.oracle else ()), *((CORRECTED,) if corrected else ()))
    return Row(
        method=first.method,
        labels=(*marks, *row_labels),
        distinguishing=(*marks, *distinguishing),
        data=first.data,
        seeds=tuple(run.seed for run in runs),
        zero_shot=spread(zero_shot) if zero_shot else None,
        adapted=_result([run.adapted for run in runs]),
        controls=_controls(runs),
        seconds={
            stage: fmean(run.seconds[stage] for run in runs if stage in run.seconds)
            for stage in stages
        },
        peak_memory_mb=max(memory, default=None),
        folders=tuple(run.folder for run in runs),
        has_oracle=any(one.oracle for run in runs for one in (run, *run.controls.values())),
        runs=tuple(runs),
        own=_result([run.own for run in runs]),
        candidate=_result([run.candidate for run in runs]),
    )


def _result(scores: Sequence[Score | None]) -> Result | None:
    """Return mean accuracy and gain of the runs that were evaluated; None if no run was."""
    known = [score for score in scores if score]
    if not known:
        return None
    found = mean_of_intervals([score.gain for score in known])
    gain = Interval(found.value, max(-1.0, found.low), min(1.0, found.high))
    return Result(spread([score.top1 for score in known]), gain)


def _controls(runs: Sequence[Run]) -> dict[str, Result]:
    """Return the results of control runs, by name, averaged over runs with equal settings."""
    scores: dict[tuple[str, str], list[Score]] = {}
    for run in runs:
        for name, control in run.controls.items():
            if control.adapted:
                marked = f"{name} ({ORACLE})" if control.oracle else name
                key = (marked, digest_json(dict(control.settings)))
                scores.setdefault(key, []).append(control.adapted)
    names = [name for name, _ in scores]
    return {
        f"{name} ({digest[:_DIGEST_DIGITS]})" if names.count(name) > 1 else name: result
        for (name, digest), own in scores.items()
        if (result := _result(own))
    }


def _identity(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "absent"


def _short(key: str, keys: Sequence[str]) -> str:
    parts = key.split(".")
    for start in range(len(parts) - 1, -1, -1):
        short = ".".join(parts[start:])
        alike = [one for one in keys if one == short or one.endswith(f".{short}")]
        if len(alike) == 1:
            return one_line(short)
    return one_line(key)


def _text(key: str, value: Any) -> str:
    if key == INPUTS:
        return str(value)[:_DIGEST_DIGITS]
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        text = f"[{', '.join(_text('', one) for one in value)}]"
        if len(text) <= _LONGEST_VALUE:
            return text
        known = digest_json(value)[:_DIGEST_DIGITS]  # long lists may begin alike
        return f"[{_text('', value[0])}, …] ({len(value)} values, {known})"
    text = one_line(str(value))
    return text if len(text) <= _LONGEST_VALUE else "…" + text[1 - _LONGEST_VALUE :]
