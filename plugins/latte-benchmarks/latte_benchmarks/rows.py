"""The rows of a comparison: a model on a dataset, averaged over runs that differ in the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from latte.api import Interval, LatteError
from latte.api.output import one_line
from latte_benchmarks.measured import (
    ADAPTED,
    INPUTS,
    ORACLE,
    EvaluatedDataset,
    MeasuredRun,
    ModelScore,
    digest_json,
)
from latte_benchmarks.statistics import Spread, mean_gain, spread

MOST_LABELS = 3
"""If more settings than this differ, a row shows only the few that distinguish it from others."""

_LONGEST_VALUE = 40
_DIGEST_DIGITS = 6
_USE = ".use"


@dataclass(frozen=True)
class ModelResult:
    """Accuracy of a model, and its gain over zero-shot CLIP, over the seeds of a row."""

    top1: Spread
    gain: Interval
    seed_gains: tuple[float, ...] = ()
    """The gain of each seed."""


@dataclass(frozen=True)
class ResultRow:
    """One model of a method on one dataset, over the seeds of its runs."""

    method: str
    dataset: EvaluatedDataset
    model: str
    """`adapted`, for the model that the runs use; else a control, for example."""
    images: int
    """Number of images that the model was measured on."""
    runs: tuple[MeasuredRun, ...]
    zero_shot: Spread | None
    """Zero-shot accuracy on the dataset; None if there are no labels."""
    result: ModelResult | None
    """Accuracy and gain of the model; None if there are no labels."""
    settings: tuple[str, ...] = ()
    """`key=value` for each setting in which rows of this method and dataset differ, after marks."""
    shown: tuple[str, ...] = ()
    """The few `settings` that distinguish this row; all if there are few."""
    published: float | None = None
    """Top-1 that a paper reports, as a fraction."""
    tolerance: float | None = None
    """Largest difference to `published` that counts as agreement."""

    @property
    def name(self) -> str:
        """The method, with the settings that distinguish this row, on one line."""
        return one_line(" ".join([self.method, *self.shown]))

    @property
    def is_adapted(self) -> bool:
        """Return True for the model that the runs use; their other models have rows below it."""
        return self.model == ADAPTED

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the runs."""
        return tuple(run.seed for run in self.runs)

    @property
    def difference(self) -> float | None:
        """Measured minus published accuracy; None if one of them is unknown."""
        if self.published is None or self.result is None:
            return None
        return self.result.top1.mean - self.published

    @property
    def agreement(self) -> str:
        """Agreement of measured and published accuracy; empty without a published accuracy.

        `agrees`: the difference is within the tolerance. `unclear`: it exceeds the tolerance by at
        most half the width of the measured 95 % interval. `differs`: the excess is larger.
        """
        if self.difference is None or self.tolerance is None or self.result is None:
            return ""
        excess = abs(self.difference) - self.tolerance
        if excess <= 0:
            return "agrees"
        return "unclear" if excess <= (self.result.top1.reach or 0.0) else "differs"


def make_rows(runs: Sequence[MeasuredRun]) -> tuple[list[ResultRow], list[LatteError]]:
    """Return the rows of a comparison, and an error per run that repeats another run.

    Rows are ordered by dataset, method and settings; a row of `adapted` comes before the other
    models of its runs. Runs with different evaluation images, training images or weights are in
    different rows, even if their recipes have the same name.
    """
    groups: dict[str, dict[int, MeasuredRun]] = {}
    repeated = []
    for run in runs:
        key = digest_json([run.method, run.dataset.digest, dict(run.settings)])
        earlier = groups.setdefault(key, {}).setdefault(run.seed, run)
        if earlier is not run:
            what = f"the same recipe, data and seed as {earlier.folder}, which is counted once"
            repeated.append(LatteError(what, where=str(run.folder)))
    families: dict[tuple[str, EvaluatedDataset], list[list[MeasuredRun]]] = {}
    for by_seed in groups.values():
        group = [by_seed[seed] for seed in sorted(by_seed)]
        families.setdefault((group[0].method, group[0].dataset), []).append(group)
    rows = [row for family in families.values() for row in _family_rows(family)]
    rows.sort(key=lambda row: (row.dataset.name, row.dataset.digest, row.method))
    return rows, repeated


def _family_rows(family: Sequence[Sequence[MeasuredRun]]) -> list[ResultRow]:
    """Return the rows of one method and dataset, labelled by the settings in which they differ."""
    every_settings = [group[0].settings for group in family]
    keys = differing_keys(every_settings)
    few_keys = distinguishing_keys(every_settings, keys)
    rows = []
    for group in sorted(family, key=lambda group: _order(group[0].settings, keys)):
        settings = group[0].settings
        every_label = labels(settings, keys)
        few_labels = (
            every_label if few_keys == keys else labels(settings, few_keys, components=True)
        )
        rows += _group_rows(group, every_label, few_labels)
    return rows


def _group_rows(
    runs: Sequence[MeasuredRun], every_label: tuple[str, ...], few_labels: tuple[str, ...]
) -> list[ResultRow]:
    """Return a row per model of runs that differ only in their seed."""
    sample = runs[0]
    zero_shot = [run.zero_shot for run in runs if run.zero_shot is not None]
    scores: dict[tuple[str, str], list[ModelScore]] = {(ADAPTED, ""): []}
    for run in runs:
        for score in run.scores:
            scores.setdefault((score.model, score.settings), []).append(score)
    models = [model for model, _ in scores]
    return [
        ResultRow(
            method=sample.method,
            dataset=sample.dataset,
            model=f"{model} ({settings[:_DIGEST_DIGITS]})" if models.count(model) > 1 else model,
            images=same_model[0].images if same_model else sample.dataset.images,
            runs=tuple(runs),
            zero_shot=spread(zero_shot) if zero_shot else None,
            result=_result(same_model) if same_model else None,
            settings=(*sample.marks, *every_label),
            shown=(*sample.marks, *few_labels),
        )
        for (model, settings), same_model in scores.items()
    ]


def _result(scores: Sequence[ModelScore]) -> ModelResult:
    gains = [score.gain for score in scores]
    top1 = spread([score.top1 for score in scores])
    return ModelResult(top1, mean_gain(gains), tuple(gain.value for gain in gains))


def uses_oracle(row: ResultRow) -> bool:
    """Return True if the row's model used labels of its training images."""
    return ORACLE in row.shown or row.model.endswith(f"({ORACLE})")


def differing_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys in which the runs' `settings` differ.

    `INPUTS` (a digest of images, labels and weights) is left out if the other keys already
    distinguish all `settings`.
    """
    keys = dict.fromkeys(key for mapping in settings for key in mapping)
    differing = [key for key in keys if len({_identity(mapping, key) for mapping in settings}) > 1]
    readable = [key for key in differing if key != INPUTS]
    distinct = {tuple(_identity(mapping, key) for key in readable) for mapping in settings}
    return readable if len(distinct) == len(settings) else differing


def distinguishing_keys(settings: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Return a few of `keys` that together distinguish all `settings`; all keys if there are few.

    Keys that all settings have, and keys that name components (`.use`), are preferred.
    """
    if len(keys) <= MOST_LABELS:
        return [*keys]

    def combinations(tried: Sequence[str]) -> int:
        return len({tuple(_identity(mapping, key) for key in tried) for mapping in settings})

    ranked = sorted(
        keys,
        key=lambda key: (any(key not in mapping for mapping in settings), not key.endswith(_USE)),
    )
    few: list[str] = []
    while combinations(few) < combinations(keys):
        few.append(max(ranked, key=lambda key: combinations([*few, key])))
    return [key for key in keys if key in few]


def labels(
    settings: Mapping[str, Any], keys: Sequence[str], *, components: bool = False
) -> tuple[str, ...]:
    """Return a text `key=value` per key; keys are shortened as long as they stay distinct.

    With `components`, `guard.use=latte-x/evidence` becomes `guard=evidence`.
    """
    texts = []
    for key in keys:
        name, value = _short(key, keys), "(none)"
        if key in settings:
            value = _text(key, settings[key])
            if components and key.endswith(_USE):
                name, value = _component_name(key), value.rpartition("/")[2]
        texts.append(f"{name}={value}")
    return tuple(texts)


def _order(settings: Mapping[str, Any], keys: Sequence[str]) -> tuple[tuple[int, float, str], ...]:
    """Return a key to sort rows by their settings: numbers by size, then texts."""
    values = [settings.get(key) for key in keys]
    return tuple(
        (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, repr(value))
        for value in values
    )


def _identity(settings: Mapping[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "absent"


def _short(key: str, keys: Sequence[str]) -> str:
    steps = key.split(".")
    for start in range(len(steps) - 1, -1, -1):
        short = ".".join(steps[start:])
        if sum(full_key == short or full_key.endswith(f".{short}") for full_key in keys) == 1:
            return one_line(short)
    return one_line(key)


def _component_name(key: str) -> str:
    """Return `guard` for the key `guard.use`, and `labels.0` for `labels.0.use`."""
    steps = key.removesuffix(_USE).split(".")
    return one_line(".".join(steps[-2:] if steps[-1].isdecimal() else steps[-1:]))


def _text(key: str, value: Any) -> str:
    if key == INPUTS:
        return str(value)[:_DIGEST_DIGITS]
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        text = f"[{', '.join(_text('', item) for item in value)}]"
        if len(text) <= _LONGEST_VALUE:
            return text
        value_digest = digest_json(value)[:_DIGEST_DIGITS]  # long lists may begin alike
        return f"[{_text('', value[0])}, …] ({len(value)} values, {value_digest})"
    text = one_line(str(value))
    return text if len(text) <= _LONGEST_VALUE else "…" + text[1 - _LONGEST_VALUE :]


def mean_seconds(row: ResultRow) -> float:
    """Return the mean time of the row's runs in seconds, over all stages."""
    return fmean(run.seconds for run in row.runs)
