"""Predictions: the likeliest classes of each image, written as CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from latte.interfaces.questions import NONE_OF_THESE
from latte.io.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

PredictionFormat = Literal["csv", "jsonl"]
Cell: TypeAlias = str | float | None
LabelSource = Literal["classifier", "own"]
"""`own` for a training image that is not classified again."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class and its score for one image."""

    name: str
    score: float
    """Softmax over all classes of scale times similarity, between 0 and 1."""
    label: int
    """The class's index among the run's classes."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The likeliest classes of one image, best first."""

    image: str
    """The image's id in its dataset, or the path that the user gave."""
    classes: tuple[ClassScore, ...]
    source: LabelSource = "classifier"
    """`own` for a training image whose class comes from a person or from the run's posterior."""
    true_class: str | None = None
    """Name of the true class in a run's predictions of its labelled images; otherwise None."""
    zero_shot: str | None = None
    """Name of zero-shot CLIP's class, where `true_class` is given; otherwise None."""
    match: float | None = None
    """Probability that the image shows one of the classes, if answers "none of these" taught it;
    or, by a sigmoid model with unit prototypes, that the likeliest class fits. Else None."""
    key: str | None = field(default=None, compare=False, repr=False)
    """Hash of the content of the image file that was classified; None if it is not known."""

    @property
    def label(self) -> int:
        """Index of the likeliest class."""
        return self.classes[0].label

    @property
    def name(self) -> str:
        """Name of the likeliest class."""
        return self.classes[0].name

    @property
    def confidence(self) -> float:
        """Score of the likeliest class."""
        return self.classes[0].score


def class_probabilities(similarities: Tensor, scale: float, none: Tensor | None) -> Tensor:
    """Return the probabilities (M, C) of the classes, from unscaled similarities (M, C).

    `none` (M,) are the similarities to "none of these", a class whose probability is left out;
    None if it is no class.
    """
    logits = similarities.detach().float() * scale
    if none is None:
        return logits.softmax(dim=1)
    total = logits.logsumexp(dim=1).logaddexp(none.detach().float() * scale)
    return (logits - total.unsqueeze(1)).exp()


def predict_rows(
    images: Sequence[str],
    similarities: Tensor,
    class_names: Sequence[str],
    *,
    logit_scale: float,
    top_k: int,
    matches: Tensor | None = None,
    none: Tensor | None = None,
) -> list[Prediction]:
    """Return the `top_k` likeliest classes of each image, or all classes if there are fewer.

    `similarities` (M, C) are not scaled. `matches` (M, C) are the probabilities, from a sigmoid
    model, that a class fits an image. `none` (M,) are the similarities to "none of these", if it is
    one more class: the probabilities of the classes then add up to that of showing any of them.
    """
    probabilities = class_probabilities(similarities, logit_scale, none)
    scores, labels = probabilities.topk(min(top_k, len(class_names)), dim=1)
    label_matches: list[float | None] = [None] * len(images)
    if none is not None:
        label_matches = probabilities.sum(dim=1).clamp(max=1).tolist()
    elif matches is not None:
        label_matches = matches.gather(1, labels[:, :1]).flatten().tolist()
    rows = zip(images, label_matches, labels.tolist(), scores.tolist(), strict=True)
    return [
        Prediction(
            image,
            tuple(
                ClassScore(class_names[label], score, label)
                for label, score in zip(image_labels, image_scores, strict=True)
            ),
            match=match,
        )
        for image, match, image_labels, image_scores in rows
    ]


@dataclass(frozen=True)
class Columns:
    """Settings that choose the columns of a predictions file."""

    classes: int | None = None
    """Largest number of classes per row, for CSV; None for the number in the first row."""
    source: bool = True
    true_class: bool = False
    match: bool = False
    key: bool = False
    zero_shot: bool = False
    """Only for CSV, as the last column."""


PLAIN = Columns()
"""Columns without a true class and without `match`."""


def write_predictions(path: Path, rows: Iterable[Prediction], columns: Columns = PLAIN) -> None:
    """Write all rows to `path` as CSV, atomically."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        stream_predictions(file, rows, "csv", columns)


def stream_predictions(
    stream: TextIO, rows: Iterable[Prediction], format: PredictionFormat, columns: Columns = PLAIN
) -> None:
    """Write each row as soon as `rows` yields it, for instance to standard output.

    `jsonl`: one object `{"image", "classes": [{"class", "score"}, ...]}` per line.
    `csv`: the columns `image,class_1,score_1,class_2,...`; unused cells of a row are empty. Without
    rows, only the header is written.
    In both formats, `source`, `true_class`, `match` and `key` follow `image` if `columns` chooses
    them.
    """
    if format == "csv":
        _stream_csv(stream, rows, columns)
        return
    for row in rows:
        classes = [
            {"class": class_score.name, "score": _rounded(class_score.score)}
            for class_score in row.classes
        ]
        record = {**_about_image(row, columns), "classes": classes}
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")


def _stream_csv(stream: TextIO, rows: Iterable[Prediction], columns: Columns) -> None:
    csv.writer(_LineFeeds(stream)).writerows(table_rows(rows, columns))


def table_rows(rows: Iterable[Prediction], columns: Columns = PLAIN) -> Iterator[list[Cell]]:
    """Yield the cells of a table, the header first; unused cells of a row are None."""
    class_count = columns.classes
    has_header = False
    for row in rows:
        class_count = len(row.classes) if class_count is None else class_count
        if not has_header:
            yield [*_header(columns, class_count)]
            has_header = True
        scores: list[Cell] = [
            field
            for class_score in row.classes
            for field in (class_score.name, _rounded(class_score.score))
        ]
        empty_cells = [None] * (2 * (class_count - len(row.classes)))
        zero_shot_cells = [row.zero_shot] if columns.zero_shot else []
        yield [*_about_image(row, columns).values(), *scores, *empty_cells, *zero_shot_cells]
    if not has_header:
        yield [*_header(columns, class_count or 0)]


def _header(columns: Columns, classes: int) -> list[str]:
    ranks = range(1, classes + 1)
    names = [name for rank in ranks for name in (f"class_{rank}", f"score_{rank}")]
    zero_shot_columns = ["zero_shot"] if columns.zero_shot else []
    return [*_about_image(Prediction("", ()), columns), *names, *zero_shot_columns]


def _about_image(row: Prediction, columns: Columns) -> dict[str, Cell]:
    match = None if row.match is None else _rounded(row.match)
    values: dict[str, Cell] = {
        "source": row.source,
        "true_class": row.true_class,
        "match": match,
        "key": row.key,
    }
    chosen_fields = {name: value for name, value in values.items() if getattr(columns, name)}
    return {"image": row.image, **chosen_fields}


class _LineFeeds:
    """Stream that ends CSV rows with LF.

    If `csv.writer` itself ended rows with LF, it would not quote cells that contain CR.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def _rounded(score: float) -> float:
    return round(score, 6)


NO_LABEL = -1
LEAST_MATCH = 0.5
"""If an image shows one of the classes with a smaller probability, its label is none of them."""


def with_unknown(
    rows: Iterable[Prediction], below: float | None, *, knows_none: bool = False
) -> Iterator[Prediction]:
    """Put the class `NONE_OF_THESE` first in rows of images that seem to show no known class.

    These are rows whose `match` (probability that a class fits) is less than `below`. A
    row without `match` is judged by its highest score, the usual baseline (Hendrycks and Gimpel
    2017). If `below` is None, they are images that more probably show none of the classes, as
    answers taught: the run's own images, and if the model `knows_none`, all images. The last class
    is removed, so that rows keep their length.
    """
    for row in rows:
        best_score, match = row.classes[0].score, row.match
        is_taught = knows_none or row.source == "own"
        least = (
            (LEAST_MATCH if is_taught and match is not None else 0.0) if below is None else below
        )
        if (best_score if match is None else match) >= least:
            yield row
        else:
            none_score = best_score if match is None else 1 - match
            none_class = ClassScore(NONE_OF_THESE, none_score, NO_LABEL)
            yield replace(row, classes=(none_class, *row.classes)[: len(row.classes)])
