"""A question as JSON data for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latte.io.redaction import one_line
from latte.results.population import ReviewImage
from latte.review.photo_map import DOUBTFUL
from latte.review.revisions import Revision
from latte.review.session import Review
from latte.review.views import Kind, Question

_TYPICAL = 9
"""Number of photos at the start of a group that are typical; the others are doubtful."""


def question_data(question: Question, review: Review, revision: Revision) -> Mapping[str, Any]:
    """Return a question as JSON data; only sheets show labels, because they check them."""
    ids = review.run.rows.training_ids
    photos = [
        {
            "index": image.row,
            "name": ids[image.row],
            "others": image.others,
            "doubtful": _is_doubtful(question.kind, place, image),
            **(_label(image, revision) if question.kind == "sheet" else {}),
        }
        for place, image in enumerate(question.images)
    ]
    named = question.class_
    return {
        "id": question.id,
        "view": question.view,
        "kind": question.kind,
        **({} if named is None else {"class": named, "text": _text(review.class_names[named])}),
        "photos": photos,
        "likely": revision.likely.labels(question.images),
    }


def _label(image: ReviewImage, revision: Revision) -> Mapping[str, Any]:
    runners_up = revision.runners_up
    return {
        "label": image.used_label,
        "runnerUp": None if runners_up is None else runners_up[image.row],
        "confidence": round(image.used_confidence, 3),
    }


def _is_doubtful(kind: Kind, place: int, image: ReviewImage) -> bool:
    return place >= _TYPICAL if kind == "group" else image.used_confidence < DOUBTFUL


def _text(name: str) -> str:
    return f"Do you see {one_line(name)} here?"
