"""Model of a run that asks a person about images, and learns from the answers."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex, overload

from latte.data.sources.class_lookup import ClassLookup
from latte.interfaces import LatteError, Progress
from latte.interfaces.measurements import UsedModel
from latte.interfaces.progress import SilentProgress
from latte.interfaces.questions import CANNOT_TELL, NONE_OF_THESE
from latte.io.machine import machine_errors
from latte.io.paths import given_path, path_as_text, relative
from latte.predict.predictor import Predictor, open_predictor
from latte.registry.registry import load_registry
from latte.report.progress import LONG, make_progress
from latte.results.answers import Answer, AnswerKind, append_answers, now
from latte.results.class_lists import digest_of_classes
from latte.results.given_labels import given_label
from latte.results.named_images import NamedImages
from latte.results.one_per_series import one_per_series, shared_answers
from latte.results.run import open_finished

if TYPE_CHECKING:
    from latte.interfaces import ImageReference
    from latte.interfaces.answer_facts import AnswerFacts
    from latte.results.population import ReviewImage
    from latte.results.run import Run
    from latte.review.session import Review

_GROUP = 12
"""Largest number of images in a question's group."""
_LARGE, _SMALL = 240, 72
_ENOUGH = "The next ten answers are expected to change less than a point of accuracy."
_QUEUE = "python"
_ANSWERS = f'give {{path: class}}, or "{NONE_OF_THESE}" or "{CANNOT_TELL}" for the class'


@dataclass(frozen=True)
class PersonQuestion:
    """A question to a person: which class does this image show?

    In a notebook, it is shown with pictures.
    """

    path: Path
    proposed: str
    """The class that the run's model gives to the image."""
    confidence: float
    group: tuple[Path, ...]
    """The image, and the most similar images to which the model gives the same class."""
    others: int
    """Number of other images of its series, about which no question is asked."""
    _picture: Callable[[Path, int], bytes] = field(repr=False, compare=False)

    def _repr_html_(self) -> str:
        group = "".join(_image(self._picture, path, _SMALL) for path in self.group[1:])
        name = html.escape(path_as_text(self.path.name))
        return (
            f"<div>{_image(self._picture, self.path, _LARGE)}<br>{name}: "
            f"<b>{html.escape(self.proposed)}</b>? ({self.confidence:.0%}){self._more}<br>{group}"
            "</div>"
        )

    @property
    def _more(self) -> str:
        return f" + {self.others:,} more" if self.others else ""


class PersonQuestions(Sequence[PersonQuestion]):
    """Questions to a person, the most useful first; a notebook shows them with pictures."""

    def __init__(self, questions: Sequence[PersonQuestion], is_worth_asking: bool) -> None:
        self._questions = tuple(questions)
        self.is_worth_asking = is_worth_asking
        """False if the next ten answers are expected to change less than a point of accuracy."""

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self._questions)

    @overload
    def __getitem__(self, index: int) -> PersonQuestion: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PersonQuestion]: ...

    def __getitem__(self, index: int | slice) -> PersonQuestion | Sequence[PersonQuestion]:
        """Return a question, or several."""
        return self._questions[index]

    def __repr__(self) -> str:
        """Return one line per question, and a sentence if no answer is worth asking for."""
        lines = [
            f"{question.path}: {question.proposed}? ({question.confidence:.0%}){question._more}"
            for question in self
        ]
        return "\n".join([*lines, *([] if self.is_worth_asking else [_ENOUGH])])

    def _repr_html_(self) -> str:
        cells = "".join(question._repr_html_() for question in self)
        note = "" if self.is_worth_asking else f"<p>{_ENOUGH}</p>"
        return f'{note}<div style="display:flex;flex-wrap:wrap;gap:16px">{cells}</div>'


class Model(Predictor):
    """Classifier of images with a run's model, which a person's answers can teach.

    `latte.adapt` and `latte.load` return one.
    """

    def _repr_html_(self) -> str:
        """Return what the reports of the run state, which notebooks show in place of `repr`."""
        from latte.report.notebook import run_html

        try:
            return run_html(self.folder)
        except (LatteError, OSError):  # the model is usable without its run folder
            return f"<pre>{html.escape(repr(self))}</pre>"

    @property
    def taught(self) -> AnswerFacts | None:
        """The answers that taught the model, and the gain that they measure; None without answers.

        The gain is estimated by leaving answers out in turn (`taught.measured.gain`).
        """
        return self._run.record.train.answers

    def ask(self, count: int = 10) -> PersonQuestions:
        """Return up to `count` questions about images of the run, the most useful first.

        An answer is most useful where labels are doubtful and no similar image has an answer. One
        image of each series is asked about. The images must still be where they were. Raises
        `LatteError` if the run has no such images.

        Example:
            >>> for question in model.ask(3):  # doctest: +SKIP
            ...     print(question.path, question.proposed)
        """
        import torch

        from latte.models.similar_images import training_with_encoders
        from latte.models.zero_shot import load_zero_shot
        from latte.review.asking import order_of_images

        if isinstance(count, bool) or not isinstance(count, SupportsIndex) or index(count) < 1:
            what = f"{count!r} is no number of questions"
            raise LatteError(what, where="count", hint="give a whole number, 1 or more")
        run = self._teachable
        review = self._review
        images = one_per_series([image for image in review.images if self._path(run, image.row)])
        rows = [image.row for image in images]
        features = training_with_encoders(load_zero_shot(run.folder.zero_shot))[rows]
        answered = shared_answers(review.images, review.answers())
        order = order_of_images(images, features, answered, count)
        labels = torch.tensor([image.used_label for image in images])
        questions = []
        for place in order.rows.tolist():
            cosines = (features @ features[place]).masked_fill(labels != labels[place], -2)
            cosines[place] = 2
            near = cosines.sort(descending=True).indices[: int((cosines > -2).sum())]
            group = [images[index].row for index in near[:_GROUP].tolist()]
            questions.append(self._question(run, images[place], group))
        return PersonQuestions(questions, order.is_worth_asking)

    def _question(self, run: Run, image: ReviewImage, rows: Sequence[int]) -> PersonQuestion:
        """Return the question about an image; `rows` are the training images of its group."""
        paths = [self._path(run, row) for row in rows]
        group = dict(zip(filter(None, paths), rows, strict=True))
        return PersonQuestion(
            next(iter(group)),
            run.class_names[image.used_label],
            image.used_confidence,
            tuple(group),
            image.others,
            lambda path, side: self._picture(group[path], side),
        )

    def _path(self, run: Run, row: int) -> Path | None:
        """Return the path of a training image; None if the dataset no longer has the image."""
        return self._paths.get(run.rows.training_ids[row])

    def answer(self, answers: Mapping[str | PathLike[str], str]) -> None:
        """Save the classes of images of the run; `refit` returns a model that they have taught.

        Keys are paths of images, or ids as in `pseudo_labels.csv`. A class is a name of the run's
        classes, `none of these` or `cannot tell`. A later answer about an image replaces the
        earlier one. Raises `LatteError`, and saves nothing, for an unknown image or class.

        Example:
            >>> model.answer({"photos/1.jpg": "cat", "photos/2.jpg": "dog"})  # doctest: +SKIP
        """
        if not isinstance(answers, Mapping):
            raise LatteError(f"{answers!r} is no mapping", where="answers", hint=_ANSWERS)
        run = self._teachable
        ids = dict(zip(run.rows.training_keys, run.rows.training_ids, strict=True))
        images = NamedImages({image: key for key, image in ids.items()}, lambda: self._references)
        lookup, time = ClassLookup(run.class_names), now()
        classes = digest_of_classes(run.class_names)
        lines = []
        for image, name in answers.items():
            where = f"answers[{image!r}]"
            if not isinstance(name, str):
                raise LatteError(f"{name!r} is no class", where=where, hint=_ANSWERS)
            given_path(image, where)  # raises an error for anything that is no path
            key = images.key(path_as_text(fspath(image)), where, Path())
            if images.examples:
                hint = "latte.adapt(..., labels=...) takes labels of other images"
                raise LatteError("this is no image of the run", where=where, hint=hint)
            label = given_label(name, where, lookup, run.class_names)
            kind: AnswerKind = (
                "class" if label is not None else "none" if name == NONE_OF_THESE else "unsure"
            )
            class_name = None if label is None else run.class_names[label]
            about = (_QUEUE, self.folder.name, time, ids[key])
            lines.append(Answer(key, kind, class_name, *about, classes=classes))
        append_answers(run.folder.review, lines)

    def refit(self, progress: Progress | bool | None = None) -> Model:
        """Return the model of a run that all answers teach; a model without answers stays as it is.

        A run that fewer answers taught is replaced by the new one.

        Recipes without training steps take seconds, because images are not encoded again.
        `progress` is that of `latte.adapt`; by default, it is shown unless this model shows none.

        Example:
            >>> model = model.refit()  # doctest: +SKIP
            >>> model.taught.measured.gain.value  # doctest: +SKIP
            0.28
        """
        from latte.run.learning import learn

        if progress is None:
            progress = not isinstance(self.progress, SilentProgress)
        with machine_errors():
            results = learn(self._teachable, load_registry(), display(progress))
        return load(results.folder, self.device, progress)

    @property
    def _run(self) -> Run:
        return open_finished(self.folder)

    @property
    def _teachable(self) -> Run:
        """The run. Raises `LatteError` if it came without its images, as from the hub."""
        if self.reviewed is None:
            raise LatteError(
                "this model came without the images of its run, so that no answer can teach it",
                where=str(self.folder),
                hint="load the run folder that was pushed",
            )
        return self._run

    @property
    def _review(self) -> Review:
        from latte.review.session import Review

        return Review(self._run)

    @cached_property
    def _references(self) -> tuple[ImageReference, ...]:
        from latte.run.reopen import training_images

        return tuple(training_images(self.folder, load_registry(), make_progress(quiet=True)))

    @cached_property
    def _paths(self) -> dict[str, Path]:
        places = {image.id: os.path.normpath(image.path) for image in self._references}
        return {image: Path(relative(Path(place))) for image, place in places.items()}

    @cached_property
    def _picture(self) -> Callable[[int, int], bytes]:
        """Function from a training image's index and a largest side in pixels to a JPEG."""
        from latte.review.pictures import picture_of

        rows = self._run.rows
        return picture_of(rows.training_ids, rows.training_keys, self._references)


def _image(picture: Callable[[Path, int], bytes], path: Path, side: int) -> str:
    """Return an image as HTML, or its name if it cannot be read any more."""
    try:
        data = base64.b64encode(picture(path, side)).decode()
    except LatteError:
        return html.escape(path_as_text(path.name))
    return f'<img src="data:image/jpeg;base64,{data}">'


def load(
    run: str | PathLike[str],
    device: str = "auto",
    progress: Progress | bool | None = None,
    *,
    use: UsedModel | None = None,
) -> Model:
    """Open the model of a run folder or of the hub; needs neither images nor the recipe's plugins.

    If CLIP was trained, zero-shot CLIP needs the original weights and the plugin that loads them.

    Args:
        run: the path of a run folder, such as `runs/birds-1a2b3c4d`; or a model of the Hugging Face
            hub, `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`, which is downloaded once.
        device: auto, cpu, cuda, cuda:N or mps.
        progress: how the model shows work that takes more than two seconds, on standard error by
            default. False shows nothing, True also shows the loading, and an object shows both.
        use: `adapted` or `zero-shot`, to open this model even if the run's guard chose another one.

    Raises:
        LatteError: if there is no trained model or no such device, if the hub does not give the
            model, or for a fault of the machine, such as too little memory.

    Example:
        >>> model = latte.load("runs/birds-1a2b3c4d")  # doctest: +SKIP
        >>> model.verdict.outcome, model.folder.name  # doctest: +SKIP
        ('cannot tell', 'birds-1a2b3c4d')
    """
    loading = display(progress or False)
    work = make_progress(after=LONG) if progress is None or progress is True else loading
    return open_predictor(Model, run, device, loading, use=use, work=work)


def display(progress: Progress | bool) -> Progress:
    """Return a display of progress: the given one, one on standard error if True, else none."""
    return make_progress(quiet=not progress) if isinstance(progress, bool) else progress
