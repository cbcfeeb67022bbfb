"""The model card of a pushed model: what the hub shows, without anything about single images.

It is written from counts, accuracies and class names, never from a run's sentences: those may name
images, files and servers.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from latte.interfaces import RunRecord, RunResults
from latte.interfaces.measurements import Role
from latte.io.redaction import one_line
from latte.report.accuracy import score_rows
from latte.report.card import (
    DATA_TERMS,
    INTENDED_USE,
    confidence,
    header,
    limits,
    scores_table,
    starting_terms,
)
from latte.report.markdown import escaped
from latte.report.numbers import count, plural
from latte.results.oracle import oracle_mark

_PYTHON = """\
import latte  # of the package latte-clip

model = latte.load({address!r})
for prediction in model.predict_iter("photos"):
    print(prediction.image, prediction.name, prediction.confidence)
"""
_UNMEASURED = "Its accuracy is unknown: there were no labelled images to measure it on."


def hub_card(results: RunResults, repository: str, role: Role, packages: Sequence[str]) -> str:
    """Return the model card for a `repository` of the hub: a YAML header and Markdown.

    Args:
        results: the record and the metrics of the run; nothing else is read.
        repository: its name, as in `owner/name`.
        role: the model that is pushed.
        packages: packages with plugins that the model needs.
    """
    record, title = results.record, repository.partition("/")[2]
    model = record.evaluate.model(role)
    calibration = model.calibration if model else None
    answers = record.train.answers
    left_out = answers.left_out if answers is not None and role == "adapted" else 0
    sections = (
        header(record, title, loaded_by="latte"),
        f"# {escaped(title)}",
        _summary(record, role),
        oracle_mark(record.recipe) or "",
        _use(f"hf:{repository}", packages),
        "## Intended use",
        INTENDED_USE,
        "## Accuracy",
        _accuracy(record, role),
        "## Confidence",
        confidence(calibration and replace(calibration, own_exponent=None), left_out),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits(results)),
        "## Licence",
        f"{starting_terms(record)}{_encoders(record, role)} {DATA_TERMS}",
        "## Classes",
        "\n".join(
            f"{label}. {escaped(name)}" for label, name in enumerate(record.data.class_names)
        ),
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def _summary(record: RunRecord, role: Role) -> str:
    """Return what the model is, and what taught it."""
    classes = f"{count(len(record.data.class_names))} classes"
    if role == "zero-shot":
        return f"A zero-shot CLIP, whose classifier is made of texts about {classes}."
    weights = "trained on" if record.train.trains_clip else "not trained, with prototypes of"
    texts = " and texts about them" if record.recipe.get("describers") else ""
    answers = record.train.answers
    taught = f" A person gave the classes of {count(answers.answers)}." if answers else ""
    share = f"{100 * record.judge.strength:.0f} %"
    mixed = f" {share} of it are adapted, the rest is zero-shot CLIP." if role == "mixed" else ""
    images = plural(record.data.training_images, "unlabelled image")
    return f"A CLIP for {classes}, {weights} pseudo-labels of {images}{texts}.{taught}{mixed}"


def _use(address: str, packages: Sequence[str]) -> str:
    installed = " ".join(shlex.quote(one_line(name)) for name in ("latte-clip", *packages))
    commands = f"pip install {installed}\nlatte predict {address} photos --output labels.csv"
    python = _PYTHON.format(address=address)
    return f"## Use\n\n```console\n{commands}\n```\n\n```python\n{python}```"


def _accuracy(record: RunRecord, role: Role) -> str:
    names = dict.fromkeys(("zero-shot", role))
    models = filter(None, map(record.evaluate.model, names))
    rows = score_rows(replace(model, own_images=None) for model in models if model.classifier)
    if not rows:
        return _UNMEASURED
    copies = record.evaluate.near_copies
    number = plural(copies.images, "labelled image") if copies and not copies.left_out else ""
    caution = f"\n\nNear-copies of training images are among them: {number}." if number else ""
    return f"{scores_table(rows)}{caution}"


def _encoders(record: RunRecord, role: Role) -> str:
    """Return sentences on the licences of the encoders whose weights the model contains."""
    encoders = [encoder for encoder in record.train.encoders if encoder.classifies]
    return "".join(
        f" It contains the encoder {escaped(one_line(encoder.name))} "
        f"({f'licence `{one_line(encoder.licence)}`' if encoder.licence else 'unknown licence'})."
        for encoder in (encoders if role != "zero-shot" else ())
    )
