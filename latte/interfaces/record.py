"""The record of a run, which is the file `results.json` of a run folder.

The facts of a stage are written together with the record of the stage. A new fact is a field of the
class of its stage, which the stage fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from latte.interfaces.answer_facts import AnswerFacts, SureLabels
from latte.interfaces.checked import Checked, Count, Positive
from latte.interfaces.descriptions import CutTexts, FailedRequests
from latte.interfaces.gate import HeldBack
from latte.interfaces.guard import Verdict, check_verdict
from latte.interfaces.measurements import Role, RunModel
from latte.interfaces.questions import QuestionCounts

_Amount = Annotated[float, Field(ge=0, lt=1e12)]
"""A number of seconds, or of MiB of memory."""


def _checked_path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("this is no path")
    return path


def _checked_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("a name occurs twice")
    return names


def _checked_verdict(verdict: Verdict) -> Verdict:
    check_verdict(verdict)
    return verdict


_Path = Annotated[str, AfterValidator(_checked_path)]
_UniqueNames = Annotated[tuple[str, ...], AfterValidator(_checked_names)]


class StoredLoader(Checked):
    """Component that loaded a run's original CLIP, from which the CLIP can be loaded again.

    Attributes:
        use: Full name of the component, `distribution/name`.
        options: Its options. `${NAME}` stands for an environment variable with a secret, and `$${`
            for `${`. Relative paths start at the folder of the recipe's file.
    """

    use: str
    options: Mapping[str, Any] = {}


class Source(Checked):
    """Origin of a run: the recipe's file and values, and the limit on the images.

    Attributes:
        recipe: Absolute path of the recipe's file.
        recipe_from_run: The same path, relative to the run folder; None if they are on different
            drives.
        limit: Largest number of training images and of evaluation images; None means all.
        backbone: Identity of the original CLIP weights; see `BackboneLoader.identity`.
        loader: Component that loads these weights; None in a run of an earlier version.
        plugin: Absolute path of the file with components of this run that `--plugin` named; a
            digest of its content is in the environment, as the version of the plugin.
        values: The resolved recipe; environment variables in its values are not replaced.
        origins: Place of each value of the recipe, by the value's key path.
    """

    recipe: _Path
    recipe_from_run: _Path | None = None
    limit: Positive | None = None
    backbone: str = ""
    loader: StoredLoader | None = None
    plugin: _Path | None = None
    values: Mapping[str, Any] = {}
    origins: Mapping[str, str] = {}


class StageRecord(Checked):
    """The record of a finished stage.

    Attributes:
        fingerprint: Digest of everything that the stage's results depend on, including earlier
            stages.
        outputs: Paths of files and folders that the stage wrote, relative to the run folder.
        peak_memory_mb: Peak memory in MiB, of the GPU if there is one, else of the process; None
            if unknown.
        code: Digests of the plugin code that the stage used, by package.
    """

    fingerprint: str
    seconds: _Amount
    outputs: tuple[str, ...] = ()
    peak_memory_mb: _Amount | None = None
    code: Mapping[str, str] = {}


class Facts(Checked):
    """Base class of the facts of one stage; an unfinished stage has the default values."""

    @property
    def to_repeat(self) -> str | None:
        """The part of the stage that the next run repeats with the same inputs; None if nothing."""
        return None


class DataFacts(Facts):
    """Facts of stage `data`: class names in label order, and numbers of images.

    Attributes:
        copies: Training images that are exact copies of another training image.
    """

    class_names: _UniqueNames = ()
    training_images: Count = 0
    copies: Count = 0
    skipped_images: Count = 0


class SeriesFacts(Checked):
    """Facts about the series of a run's images: sets of images that count once.

    Attributes:
        series: Number of series with several images; all other images are alone.
        images: Number of images in these series.
        largest: Number of images of the largest series.
        origins: Number of series per reason why images belong together: `copies` (equal files),
            `near-copies`, `burst` and `column`. A series may have several reasons.
        ignored_dates: Photos whose date was not used, because it is before 1990 or in the future.
    """

    series: Count = 0
    images: Count = 0
    largest: Count = 0
    origins: Mapping[str, Positive] = {}
    ignored_dates: Count = 0


class EvaluationCopies(Checked):
    """Labelled test images that are near-copies of training images, and so measure too much.

    Attributes:
        images: Number of these images; equal files are not among them, as they are known to be
            training images.
        examples: Ids of some of them, each with the training image that it shows.
        left_out: True if they are not used for measuring.
    """

    images: Positive
    examples: tuple[tuple[str, str], ...]
    left_out: bool = False


class DescribeFacts(Facts):
    """Facts of stage `describe`.

    Attributes:
        held_back: Numbers of texts that gates held back, per description and gate.
        failed: Failed requests, which the next run sends again; None if no request failed.
    """

    held_back: tuple[HeldBack, ...] = ()
    failed: FailedRequests | None = None

    @property
    def to_repeat(self) -> str | None:
        """The failed requests, such as `2 failed requests`; None if no request failed."""
        if self.failed is None:
            return None
        return f"{self.failed.count:,} failed request{'s' if self.failed.count > 1 else ''}"


class EncoderFacts(Checked):
    """Facts about an image-only encoder of the recipe.

    Attributes:
        model: Title of the model; see `ModelLoader.title`.
        licence: Licence of the weights; None if unknown.
        parameters: Number of weights.
        bytes: Size of the weights in memory.
        classifies: True if the adapted model has a classifier over the encoder's features.
    """

    name: str
    model: str
    licence: str | None = None
    parameters: Count
    bytes: Count
    classifies: bool


class TrainFacts(Facts):
    """Facts of stage `train`.

    Attributes:
        trains_clip: True if training steps changed parameters of CLIP.
        answers: Facts about the classes that a person gave; None if the recipe has no corrections.
        encoders: The recipe's encoders, in the recipe's order.
        cut_texts: Descriptions with texts that the text tower cuts, in the recipe's order.
        questions: Counts of a labeler's questions to a describer, per purpose.
        reliability: Sentence on the reliability of the describer that a labeler asked, or None.
        sent_images: Number of distinct images that a labeler's questions showed, those with stored
            answers included; a grid of images counts once.
        sent_to: Address of the other machine that got them; None if they stayed on this machine.
        extras: Facts of components, by package and name; see `Component.extras`.
    """

    trains_clip: bool = False
    answers: AnswerFacts | None = None
    encoders: tuple[EncoderFacts, ...] = ()
    cut_texts: tuple[CutTexts, ...] = ()
    questions: tuple[QuestionCounts, ...] = ()
    reliability: str | None = None
    sent_images: Count = 0
    sent_to: str | None = None
    extras: Mapping[str, Mapping[str, str | int | float]] = {}


class JudgeFacts(Facts):
    """Facts of stage `judge`.

    Attributes:
        verdict: Verdict of the recipe's guard, or of a person's answers in its place; None if the
            recipe has no guard.
        extras: Facts of the guard, by package and name; see `Component.extras`.
    """

    verdict: Annotated[Verdict, AfterValidator(_checked_verdict)] | None = None
    extras: Mapping[str, Mapping[str, str | int | float]] = {}

    @property
    def strength(self) -> float:
        """Share of the adapted model in the model that the run uses; the rest is zero-shot CLIP."""
        return 1.0 if self.verdict is None else self.verdict.strength

    @property
    def used(self) -> Role:
        """Role of the model that the run uses: `zero-shot`, `adapted` or `mixed`."""
        roles: dict[float, Role] = {0: "zero-shot", 1: "adapted"}
        return roles.get(self.strength, "mixed")


class EvaluateFacts(Facts):
    """Facts of stage `evaluate`.

    Attributes:
        models: The zero-shot model, the adapted model, the mix of both if the run uses one, and the
            model that each control uses.
        unsupported: Class names with an estimate below 0.5 training images, in label order; None
            before the stage is finished.
        sure_labels: How many of the confident labels of own images are right, if the run uses the
            adapted model, and answers that were left out show it; otherwise None.
        series: Facts about the series of the training images and examples; None if unknown.
        near_copies: Test images that are near-copies of training images; None if there are none,
            or if the recipe does not look for near-copies.
    """

    models: tuple[RunModel, ...] = ()
    unsupported: tuple[str, ...] | None = None
    sure_labels: SureLabels | None = None
    series: SeriesFacts | None = None
    near_copies: EvaluationCopies | None = None

    @model_validator(mode="after")
    def _check(self) -> EvaluateFacts:
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):
            raise ValueError("a model occurs twice")
        if names and names[:2] != ["zero-shot", "adapted"]:
            raise ValueError("zero-shot or adapted is missing")
        return self

    def model(self, name: str) -> RunModel | None:
        """Return the model called `name`; None if there is none."""
        return next((model for model in self.models if model.name == name), None)


class RunRecord(Checked):
    """All facts that a run records: the content of `results.json`.

    Attributes:
        environment: Versions of packages, device and machine.
        stages: The records of the finished stages, in order.

    Example:
        >>> from latte.api import RunRecord
        >>> def line(record: RunRecord) -> str:
        ...     return f"{record.name}: {len(record.data.class_names)} classes"
    """

    source: Source
    environment: Mapping[str, Any] = {}
    stages: Mapping[str, StageRecord] = {}
    data: DataFacts = DataFacts()
    describe: DescribeFacts = DescribeFacts()
    train: TrainFacts = TrainFacts()
    judge: JudgeFacts = JudgeFacts()
    evaluate: EvaluateFacts = EvaluateFacts()

    @model_validator(mode="after")
    def _check(self) -> RunRecord:
        names = self.data.class_names
        unsupported = self.evaluate.unsupported or ()
        if unknown_names := {*unsupported} - {*names}:
            raise ValueError(f"{min(unknown_names)} is none of the classes")
        if len({*unsupported}) < len(unsupported):
            raise ValueError("a class without an image occurs twice")
        for model in self.evaluate.models:
            for title, evaluation in model.accuracies():
                if (classes := len(evaluation.classes)) != len(names):
                    raise ValueError(f"{title}: it is about {classes} classes")
        return self

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return str(self.source.values["name"])

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The resolved recipe as plain data; environment variables are not replaced."""
        return self.source.values

    @property
    def used_model(self) -> RunModel | None:
        """The model that the run uses; None before stage `evaluate`."""
        return self.evaluate.model(self.judge.used)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds of each finished stage; a reused stage keeps its earlier time."""
        return {stage: record.seconds for stage, record in self.stages.items()}

    @property
    def peak_memory_mb(self) -> dict[str, float]:
        """Peak memory per stage in MiB, of the GPU, or of the process if there is no GPU.

        Memory of the process may include memory that earlier stages freed.
        """
        peaks = {stage: record.peak_memory_mb for stage, record in self.stages.items()}
        return {stage: peak for stage, peak in peaks.items() if peak is not None}

    def to_repeat(self, stage: str) -> str | None:
        """Return what the next run repeats of a finished stage; None if nothing."""
        facts = dict(self).get(stage)
        return facts.to_repeat if isinstance(facts, Facts) else None

    def with_controls(self, controls: Mapping[str, RunRecord]) -> RunRecord:
        """Return a copy with the models that the `controls` use, by name, and no other controls."""
        models = [model for model in self.evaluate.models if model.role != "control"]
        for name, control in controls.items():
            if control.used_model is not None:
                models.append(control.used_model.as_control(name))
        facts = {**dict(self.evaluate), "models": tuple(models)}
        evaluate = EvaluateFacts(**facts)
        return self.model_copy(update={"evaluate": evaluate})

    def with_stage(self, stage: str, record: StageRecord, facts: Facts | None) -> RunRecord:
        """Return a copy in which `stage` is finished, with its `facts` if it has any."""
        stages = {**self.stages, stage: record}
        return RunRecord(**{**dict(self), "stages": stages, **({stage: facts} if facts else {})})

    def without_stages(self, *names: str) -> RunRecord:
        """Return a copy without the records of the stages `names`, and without their facts."""
        facts = {name: value for name, value in self if name not in names}
        stages = {name: record for name, record in self.stages.items() if name not in names}
        return RunRecord(**{**facts, "stages": stages})
