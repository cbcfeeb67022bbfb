"""Results of a finished run, and the reporters that present them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latte.interfaces.classifier import Classifier
from latte.interfaces.component import Component, OptionsT
from latte.interfaces.dataset import ImageReference
from latte.interfaces.progress import Figures, RunStart, StageEnd
from latte.interfaces.record import RunRecord


@dataclass(frozen=True)
class Described:
    """Texts about one training image, from one description of the recipe.

    Attributes:
        group: For scope `group`: the images shown to the describer, in order; empty for scope
            `image`.
        others: Further texts, if the recipe has several prompts, or asks for several answers per
            prompt.

    Example:
        >>> from latte.api import Described
        >>> Described("a grey cat on a sofa").group
        ()
    """

    text: str
    group: tuple[ImageReference, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class GalleryEntry:
    """Training image with its descriptions and its zero-shot, adapted and true label.

    Attributes:
        descriptions: Texts by description name, in the recipe's order, without descriptions of
            scope `class`.
        true_label: True label, if known. Training sees it only in recipes with `oracle: true`.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import Described, GalleryEntry, ImageReference
        >>> image = ImageReference("1.jpg", Path("/photos/1.jpg"))
        >>> GalleryEntry(image, {"image": Described("a grey cat")}, 0, 1, None).adapted_label
        1
    """

    image: ImageReference
    descriptions: Mapping[str, Described]
    frozen_label: int
    adapted_label: int
    true_label: int | None


@dataclass(frozen=True)
class ClassifiedImage:
    """Image with the one or two most probable classes, as the run predicts them.

    Attributes:
        labels: The predicted class, and the second likeliest class if it is known.
        confidences: Probability of each class in `labels`.
        true_label: True label of an evaluation image; None for a training image.

    Example:
        >>> from pathlib import Path
        >>> from latte.api import ClassifiedImage, ImageReference
        >>> image = ImageReference("1.jpg", Path("/photos/1.jpg"))
        >>> ClassifiedImage(image, (2, 0), (0.5, 0.4), zero_shot_label=0, true_label=None).labels
        (2, 0)
    """

    image: ImageReference
    labels: tuple[int, ...]
    confidences: tuple[float, ...]
    zero_shot_label: int
    true_label: int | None


@dataclass(frozen=True)
class Confusion:
    """Number of evaluation images of class `true` that are classified as class `predicted`.

    Example:
        >>> from latte.api import Confusion
        >>> Confusion(true=0, predicted=2, images=5).images
        5
    """

    true: int
    predicted: int
    images: int


@dataclass(frozen=True)
class LabelFlow:
    """Number of training images with zero-shot label `frozen` and adapted label `adapted`.

    Example:
        >>> from latte.api import LabelFlow
        >>> LabelFlow(frozen=0, adapted=1, images=12).images
        12
    """

    frozen: int
    adapted: int
    images: int


@dataclass(frozen=True)
class LearnerPrototypes:
    """Classifier of one learner before and after adapting, on the CPU; D is the feature width.

    Attributes:
        before: The zero-shot classifier: class text features (C, D) of the frozen CLIP.
        after: The adapted prototypes (C·K, D).

    Example:
        >>> import torch
        >>> from latte.api import Classifier, LearnerPrototypes
        >>> rows = Classifier(torch.eye(2), torch.arange(2))
        >>> LearnerPrototypes("main", before=rows, after=rows).after.classes
        2
    """

    learner: str
    before: Classifier
    after: Classifier


@dataclass(frozen=True)
class RunResults:
    """Results of a run, as input of reporters: its record, and what is read from other files.

    Results that were not measured are None or empty.

    Attributes:
        folder: The run folder; a reporter writes only below it.
        record: All facts of the run, apart from stage `report`, as in its `results.json`.
        metrics: Lines of `metrics.jsonl`; the key `event` is `step` or `epoch`.
        gallery: Random sample of the training images, chosen with the run's seed.
        pseudo_label_counts: Two numbers of training images per class, in label order: images with
            this zero-shot label, and images with this adapted label.
        confusions: For `zero-shot`, and as `adapted` for the model that the run uses: pairs of true
            and predicted class, the pair with most images first; empty without an evaluation split.
        label_flows: Pairs of zero-shot and adapted label, the pair with most training images first.
        none_images: Number of training images whose adapted label is "none of these". They have
            neither an adapted label in `pseudo_label_counts` nor a pair in `label_flows`.
        mistakes: Evaluation images that `predictions.csv` classifies wrongly, the most confident
            first.
        uncertain: Up to 200 training images, the least certain first.
        examples: For each class, in label order: its eight most confident training images, then
            its four least confident ones, by falling confidence.
        near_copies: Two ids of training images from each series of equal files or near-copies; of
            many series, from the first 50.
        prototypes: Prototypes of each learner, in the recipe's order; `==` does not compare them.

    Example:
        >>> from latte.api import RunResults
        >>> def summary(results: RunResults) -> str:
        ...     return f"{results.record.name}: {results.record.data.training_images} images"
    """

    folder: Path
    record: RunRecord
    metrics: tuple[Mapping[str, Any], ...]
    gallery: tuple[GalleryEntry, ...]
    pseudo_label_counts: tuple[tuple[int, int], ...]
    confusions: Mapping[str, tuple[Confusion, ...]] = field(default_factory=dict)
    label_flows: tuple[LabelFlow, ...] = ()
    mistakes: tuple[ClassifiedImage, ...] = ()
    uncertain: tuple[ClassifiedImage, ...] = ()
    examples: tuple[ClassifiedImage, ...] = ()
    near_copies: tuple[tuple[str, str], ...] = ()
    prototypes: tuple[LearnerPrototypes, ...] = field(default=(), compare=False)
    none_images: int = 0


class Reporter(Component[OptionsT]):
    """Writes files about a run, for people or for other programs.

    Only `report` is required. The other methods are hooks: they are called during a run, on the
    same object, in the order below. `latte report` calls `report` only, so `report` must not rely
    on hooks. If a hook raises an exception, the run prints a warning and calls only `report` from
    then on. Hooks are not called for control runs (variants of the recipe).

    Example:
        >>> from pathlib import Path
        >>> from latte.api import NoOptions, Reporter, RunResults, write_text
        >>> class Count(Reporter[NoOptions]):
        ...     def report(self, results: RunResults) -> list[Path]:
        ...         path = results.folder / "report" / "count.txt"
        ...         write_text(path, f"{results.record.data.training_images} images")
        ...         return [path]
    """

    def on_run_start(self, run: RunStart) -> None:
        """Called when the recipe and its images are known, before anything is computed."""

    def on_stage_start(self, stage: str) -> None:
        """Called when `data`, `zero-shot`, `describe`, `train`, `evaluate` or `report` starts."""

    def on_steps(self, steps: Sequence[Figures]) -> None:
        """Called with the training steps that were just added to `metrics.jsonl`, in order.

        The call comes when a checkpoint is written or an epoch ends. A resumed run sends the steps
        after its last checkpoint again, with equal step numbers and values.
        """

    def on_epoch_end(self, epoch: Figures) -> None:
        """Called after an epoch; if measured, `values` has `top1`, `confidence` and `margin`."""

    def on_stage_end(self, stage: StageEnd) -> None:
        """Called after each stage; for a reused stage, `on_stage_start` is not called before."""

    @abstractmethod
    def report(self, results: RunResults) -> list[Path]:
        """Write files in `results.folder` and return their paths.

        Write each file under a temporary name and rename it, as `write_text` does.
        """

    def on_run_end(self) -> None:
        """Called after all requested stages, including `report` if it was requested."""

    def on_run_failure(self, error: BaseException) -> None:
        """Called instead of `on_run_end` if an exception ends the run, even `KeyboardInterrupt`."""
