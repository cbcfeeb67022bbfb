"""A finished run's method, fitted in memory to the answers in the run's file while they come in.

Nothing is written and no image is read: features, class names and content keys are those of the
run, and the answers are read by the same function as in stage `train`. So the labels equal those of
the run that `latte.run.learning.learn` writes with the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from latte.data.cache import ImageCache
from latte.data.scan import Scan
from latte.data.series import Series
from latte.describe.bank import DescriptionBank
from latte.interfaces import ImageReference, LatteError, ProgressTask, TrainingStart, Verdict
from latte.interfaces.answer_facts import AnswerFacts
from latte.interfaces.record import JudgeFacts
from latte.models.adapted import Adapted
from latte.models.classified import OwnLabels
from latte.models.left_out import LeftOutScores
from latte.models.live_labels import LiveLabels, SupersededError
from latte.models.posterior import OwnImages, of_first
from latte.models.zero_shot import ZeroShot, load_zero_shot
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.results.run import Run
from latte.results.run_answers import current_names
from latte.run.corrections import read_corrections
from latte.run.cross_fit import LEAST_SERIES, answer_facts, distinct_rows, left_out_order
from latte.run.describing import load_bank
from latte.run.evaluating import calibrated_labels, classified_by
from latte.run.fitting import adapted_of, build_method, frozen_start, training_start
from latte.run.frozen_texts import FrozenTexts
from latte.run.images import Images, images_of
from latte.run.judging import answered_verdict, outcome_of, zero_shot_model
from latte.run.learning import taught_recipe
from latte.run.workspace import Workspace
from latte.run.zero_shot import with_classes_of
from latte.train.fit import Fit, fit, judge

_MADE_AGAIN = "make the run again: the labels or images beside it have changed"


class _Stopping:
    """Progress that shows nothing, and ends the work in `SupersededError` when it is stale."""

    def __init__(self) -> None:
        self.is_stale: Callable[[], bool] = lambda: False

    @contextmanager
    def task(
        self, name: str, total: int | None, unit: str, done: int = 0
    ) -> Iterator[ProgressTask]:
        """Yield an object whose `advance` raises `SupersededError` when the work is stale."""
        self.advance()
        yield self

    def advance(self, amount: int = 1, **figures: float | str) -> None:
        """Raise `SupersededError` if a newer answer makes the work useless."""
        if self.is_stale():
            raise SupersededError

    def say(self, line: str) -> None:
        """Print nothing."""


def why_not_live(recipe: Recipe) -> str:
    """Return why a recipe cannot be fitted in memory while a person answers; empty if it can."""
    if recipe.train.takes_steps:
        return "This recipe trains: your answers are saved, and teach the model at Finish."
    if recipe.questioned is not None:
        return (
            "This recipe asks a describer: your answers are saved, and teach the model at Finish."
        )
    return ""


@dataclass(frozen=True)
class _Fitted:
    """A fit, and the images and answers that it was made from."""

    images: Images
    start: TrainingStart
    fit: Fit


class LiveMethod:
    """The method of a finished run, to be fitted again and again; one thread at a time uses it.

    Raises `LatteError` if the run's recipe, or a component of it, cannot be opened.
    """

    def __init__(self, run: Run, registry: Registry) -> None:
        self._run, self._registry, self._progress = run, registry, _Stopping()
        limit, recipe = run.record.source.limit, taught_recipe(run, registry)
        progress = self._progress
        self._opened = Workspace(recipe, registry, progress, run.folder, limit, quiet=progress)
        self._workspace, self._class_names = self._opened, current_names(run)
        self.why_not: str = why_not_live(recipe)
        self._fitted: _Fitted | None = None
        self._verdict = run.record.judge.verdict
        self._is_measured = False
        self._left_out: LeftOutScores | None = None

    def fit(self, is_stale: Callable[[], bool]) -> LiveLabels:
        """Fit the method to the answers in the run's file, and label the run's images.

        Verdict and calibration are those of the last `measure`. Raises `SupersededError` soon
        after `is_stale` returns True, and `LatteError` if the answers cannot teach.
        """
        self._progress.is_stale = is_stale
        self._follow_classes()
        images = self._images()
        joined, zero_shot = images.joined, self._zero_shot.joined
        texts = FrozenTexts(self._workspace, self._bank)
        start = training_start(self._workspace, joined, zero_shot, None, texts)
        self._fitted = _Fitted(images, start, fit(build_method(self._workspace), start))
        return self._labels(self._fitted, self._verdict_so_far(images))

    def measure(self, is_stale: Callable[[], bool]) -> LiveLabels:
        """Leave the answers of the last fit out in turn, and let them, or the guard, judge the fit.

        Raises `SupersededError` soon after `is_stale` returns True.
        """
        assert self._fitted is not None, "a fit comes first"
        self._progress.is_stale = is_stale
        fitted, zero_shot = self._fitted, self._zero_shot.joined
        inputs = (self._workspace, fitted.images.joined, zero_shot, self._bank)
        answers, self._left_out = answer_facts(*inputs, lambda: self._series(fitted.images))
        self._is_measured = self._left_out is not None
        self._verdict = self._judge(fitted, answers)
        labels = self._labels(fitted, self._verdict)
        return replace(labels, answers=answers, left_out_right=self._left_out_right(fitted.images))

    def _left_out_right(self, images: Images) -> Mapping[str, bool]:
        """Return whether a fit without an answer gives it, too, by content key."""
        given = images.joined.corrections
        if self._left_out is None or given is None:
            return {}
        rows = distinct_rows(images.joined.training.keys, given)
        numbers = self._series(images).numbers
        series = {key: int(numbers[row]) for key, row in rows.items()}
        keys = left_out_order({key: given.labels[row] for key, row in rows.items()}, series)
        is_right = self._left_out.own.labels[:, 0] == self._left_out.answers
        return dict(zip(keys, is_right.tolist(), strict=True))

    def _follow_classes(self) -> None:
        """Take over the class names if a person has changed them; the loaded CLIP stays."""
        if (names := current_names(self._run)) == self._class_names:
            return
        recipe = taught_recipe(self._run, self._registry)
        self._workspace = self._opened.control(recipe, self._run.folder)
        self._class_names, self._is_measured = names, False
        for name in ("_zero_shot", "_bank", "_recorded"):
            self.__dict__.pop(name, None)

    @cached_property
    def _zero_shot(self) -> ZeroShot:
        names = self._workspace.recipe.encoder_names
        zero_shot = load_zero_shot(self._run.folder.zero_shot, names)
        table = {
            name: replace(features, evaluation=features.evaluation[:0])
            for name, features in zero_shot.table.items()
        }
        zero_shot = replace(zero_shot, clip=table.pop(""), encoders=table)
        if self._class_names == self._run.class_names:
            return zero_shot
        return with_classes_of(self._workspace, self._recorded, zero_shot)

    @cached_property
    def _bank(self) -> DescriptionBank:
        return load_bank(self._workspace, self._recorded)

    @cached_property
    def _recorded(self) -> Images:
        """The images of the run, without evaluation images; none is read."""
        rows, dataset = self._run.rows, self._workspace.dataset
        if tuple(dataset.class_names) != self._class_names:
            raise LatteError("the class names have changed since this run", hint=_MADE_AGAIN)
        references = tuple(ImageReference(name, Path(name)) for name in rows.training_ids)
        cache = ImageCache(references, keys=rows.training_keys)
        training = Scan(references, rows.training_keys, (), cache)
        nothing = Scan((), (), (), ImageCache(()))
        return images_of(dataset, training, nothing, ())

    def _images(self) -> Images:
        """Return the images with the classes that a person has given by now."""
        recorded, dataset = self._recorded, self._workspace.dataset
        names, aliases = recorded.class_names, dataset.class_aliases
        given = read_corrections(self._workspace, recorded.training, names, aliases)
        images = replace(recorded, corrections=given)
        examples = self._zero_shot.clip.examples
        if (images.example_count or 0) != (0 if examples is None else len(examples)):
            raise LatteError("the examples have changed since this run", hint=_MADE_AGAIN)
        return images

    def _series(self, images: Images) -> Series:
        """Return the series of the images and the examples that the run found."""
        ids = [image.id for image in images.joined.training.images]
        folder, numbers = self._run.folder, [*range(len(ids))]
        if folder.wrote("evaluate", folder.series):
            numbers = [number for _, number, _ in self._run.rows.series_rows(ids)]
        return Series(torch.tensor(numbers), ((),) * (max(numbers) + 1))

    def _verdict_so_far(self, images: Images) -> Verdict | None:
        """Return the newest verdict; as soon as there are enough answers to measure, trust them.

        The verdict that answers measure takes several fits, and is rarely against them.
        """
        answered = self._series(images).numbers[images.joined.given >= 0]
        is_enough = len({*answered.tolist()}) >= LEAST_SERIES
        return None if is_enough and not self._is_measured else self._verdict

    def _judge(self, fitted: _Fitted, answers: AnswerFacts | None) -> Verdict | None:
        choice = self._workspace.recipe.guard
        if choice is None:
            return None
        start = frozen_start(fitted.images, self._zero_shot, "cpu")
        own = self._of_own_images(fitted)
        verdict = answered_verdict(answers, lambda: own, start)
        if verdict is not None:
            return verdict
        return judge(own, start, self._workspace.build(choice, silent=True), choice.label)

    def _of_own_images(self, fitted: _Fitted) -> Fit:
        """Return the fit without the examples."""
        count = len(fitted.images.training.images)
        features = {name: rows[:count] for name, rows in fitted.fit.features.items()}
        return Fit(fitted.fit.classifiers, features, of_first(fitted.fit.posterior, count))

    def _labels(self, fitted: _Fitted, verdict: Verdict | None) -> LiveLabels:
        """Return the labels by the models of a run with this verdict."""
        workspace, images, zero_shot = self._workspace, fitted.images, self._zero_shot
        adapted = adapted_of(workspace, fitted.fit, images.class_names)
        frozen = zero_shot_model(workspace, images, zero_shot)
        outcome = outcome_of(frozen, adapted, JudgeFacts(verdict=verdict))
        own = self._of_own_images(fitted).posterior
        posterior = None if own is None else OwnImages(own, images.training.keys)
        by_adapted = self._own_labels(adapted, images, posterior, self._left_out)
        used = by_adapted
        if outcome.used != "adapted":
            used = self._own_labels(outcome.models[outcome.used], images, None, None)
        return LiveLabels(zero_shot.zero_shot_labels, used, by_adapted)

    def _own_labels(
        self,
        model: Adapted,
        images: Images,
        posterior: OwnImages | None,
        left_out: LeftOutScores | None,
    ) -> OwnLabels:
        scale = float(self._workspace.frozen_clip.logit_scale.detach())
        classified = classified_by(model, self._zero_shot, posterior, left_out)
        return calibrated_labels(classified, self._zero_shot, scale, images, self._progress)[1]
