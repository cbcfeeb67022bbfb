"""The model card: `README.md` beside the exported model."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from latte.backbone.names import licence_of, repository_of
from latte.interfaces import Calibration, RunRecord, RunResults
from latte.interfaces.record import EncoderFacts
from latte.io.redaction import one_line
from latte.report import facts
from latte.report.accuracy import measured_models
from latte.report.markdown import escaped, quoted, table
from latte.report.numbers import count, plural
from latte.report.statement import Statement
from latte.report.statements import details
from latte.results.oracle import is_oracle

_LATTE = """\
import latte  # of the package latte-clip

model = latte.load({run!r})  # path of the run folder
for prediction in model.predict_iter("photos"):
    print(prediction.image, prediction.name, prediction.confidence)
"""

_STRONG = ("headline", "label-use", "ask", "verdict")
"""Kinds of statements in bold."""

INTENDED_USE = (
    "This model classifies images like those that it was adapted to into the classes below. It "
    "gives one of these classes to each image, even to an image that shows none. Do not use it "
    "for decisions about people or other important decisions, unless a person checks its answers "
    "on labelled images of exactly that kind."
)

DATA_TERMS = "The terms of the images and of the texts that it was adapted with apply too."

_UNCALIBRATED = (
    "Scores are the softmax of the similarities, multiplied by the model's logit scale. "
    "They are usually overconfident: 0.9 does not promise that nine of ten such answers are right."
)
_UNLABELLED = "on unlabelled images"
_ANSWERS_FAIL = (
    "The calibration is wrong for images unlike those that the answers are about, such as images "
    "that are easier or harder."
)
_CALIBRATION_FAILS = (
    "The calibration is wrong if zero-shot CLIP is confident and wrong, as on kinds of images that "
    "it has rarely seen."
)


def model_card(results: RunResults) -> str:
    """Return the model card of a run: a YAML header and Markdown.

    Example:
        from latte.api import model_card, write_text

        def report(self, results):
            path = results.folder / "models" / "adapted" / "model" / "README.md"
            write_text(path, model_card(results))
            return [path]
    """
    used = results.record.used_model
    sections = (
        header(results.record, results.record.name),
        f"# {escaped(facts.run_title(results.record))}",
        *(_statement(stated) for stated in details(results)),
        "## Model",
        _summary(results),
        "## Intended use",
        INTENDED_USE,
        "## Data",
        _listed(facts.run_facts(results)),
        "## Method",
        _listed(
            [
                *facts.method_facts(results.record.recipe),
                *facts.gate_facts(results.record.describe.held_back),
            ]
        ),
        "The complete recipe is `recipe.yaml` in the run folder.",
        "## Confidence",
        confidence(used.calibration if used else None, _left_out_answers(results.record)),
        "## Limits",
        "\n".join(f"- {limit}" for limit in limits(results)),
        "## Licence",
        _licence(results),
        "## Use",
        *_use(results),
        "## Classes",
        "\n".join(
            f"{label}. {escaped(name)}"
            for label, name in enumerate(results.record.data.class_names)
        ),
    )
    return "\n\n".join(filter(None, sections)) + "\n"


def starting_model(recipe: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return Hugging Face repository and licence of the starting CLIP, each None if unknown."""
    backbone = recipe.get("backbone") if facts.backbone_use(recipe) is None else None
    backbone = backbone if isinstance(backbone, Mapping) else {}
    pretrained = backbone.get("pretrained")
    tag = pretrained if isinstance(pretrained, str) else None
    repository = repository_of(str(backbone.get("model", "")), tag)
    return repository, licence_of(repository)


def header(record: RunRecord, name: str, loaded_by: str | None = None) -> str:
    """Return the YAML header that model hubs read; an unknown licence is written as `other`.

    `loaded_by` is the library that opens the model; by default, it is that of the backbone.
    """
    repository, licence = starting_model(record.recipe)
    backbone = facts.backbone_use(record.recipe)
    library, tag = (
        ("open_clip", "open_clip") if backbone is None else ("latte", quoted(_short(backbone)))
    )
    lines = [
        "---",
        f"license: {licence or 'other'}",
        *([] if licence else ["license_name: terms-of-the-starting-model"]),
        f"library_name: {loaded_by or library}",
        "pipeline_tag: zero-shot-image-classification",
        f"tags: [clip, {tag}, latte]",
    ]
    if repository:
        lines.append(f"base_model: {quoted(repository)}")
        lines.append("base_model_relation: finetune")
    return "\n".join([*lines, f"model_name: {quoted(name)}", "---"])


def _statement(statement: Statement) -> str:
    """Return a statement as Markdown; a table comes above its note."""
    mark = "**" if statement.kind in _STRONG else ""
    texts = [f"{mark}{escaped(statement.text)}{mark}"] if statement.text else []
    texts += [f"{escaped(purpose)}: {escaped(line)}" for purpose, line in statement.commands]
    lines = "  \n".join(texts)
    return f"{scores_table(statement.scores)}\n\n{lines}" if statement.scores else lines


def scores_table(scores: Iterable[Mapping[str, str]]) -> str:
    """Return the accuracies of models, as `score_rows` gives them, as a table."""
    titles = ["", "Top-1", "95 % interval", "Images", "Gain, points", "95 % interval"]
    columns = ("top1", "interval", "images", "gain", "gain_interval")
    rows = [[escaped(row["name"]), *(row[column] for column in columns)] for row in scores]
    return table(titles, rows)


def _summary(results: RunResults) -> str:
    classes = f"{count(len(results.record.data.class_names))} classes"
    if results.record.judge.verdict is not None and not results.record.judge.verdict.adapt:
        return f"The CLIP that the recipe names, with its class texts as classifier for {classes}."
    if facts.steps(results) == 0:
        return f"The CLIP that the recipe names, not trained, with prototypes for {classes}."
    images = plural(results.record.data.training_images, "image")
    described = results.record.recipe.get("describers")
    texts = ", and texts about the images" if described else ""
    labels = f"pseudo-labels that came from the CLIP itself{texts}"
    if is_oracle(results.record.recipe):
        groups = "in groups that were formed by ground-truth labels"
        return f"A CLIP adapted to {images}, for {classes}. It was trained on {labels}, {groups}."
    adapted = f"A CLIP adapted to {images} without labels, for {classes}."
    return f"{adapted} It was trained only on {labels}."


def _listed(pairs: list[facts.Fact]) -> str:
    return "\n".join(f"- {escaped(term)}: {escaped(text)}" for term, text in pairs)


def confidence(calibration: Calibration | None, answers: int) -> str:
    """Return how confidence was calibrated; `answers` is the number of answers that did it."""
    if calibration is None:
        return _UNCALIBRATED
    basis = f"by {plural(answers, 'answer')} that were left out" if answers else _UNLABELLED
    matched = (
        "makes these answers likeliest, with a prior around the estimate without labels; the mean "
        f"confidence on {count(calibration.images)} training images is then"
        if answers
        else f"makes the mean confidence on {count(calibration.images)} training images equal to "
        "the accuracy that the probabilities of zero-shot CLIP imply,"
    )
    text = (
        f"Confidence is calibrated {basis}: before the softmax, similarities are "
        f"multiplied by {calibration.scale:.3g}. The model's own factor, its logit scale, is "
        f"{calibration.logit_scale:.3g} (temperature {calibration.temperature:.2f}). The new scale "
        f"{matched} {100 * calibration.expected_accuracy:.0f} %."
    )
    if calibration.error is None or calibration.uncalibrated_error is None:
        error = "Its error was not measured, because there are no labelled images."
    else:
        error = (
            "Measured on the labelled images, the classifier's expected calibration error "
            f"(15 bins) is {calibration.error:.3f}, and {calibration.uncalibrated_error:.3f} with "
            "the model's own scale."
        )
    if calibration.own_exponent is not None:
        purpose = (
            "a power that makes these answers likeliest."
            if answers
            else "so that the mean confidence equals the accuracy that zero-shot CLIP implies for "
            "them."
        )
        text += (
            " This is the confidence of new images. The training images have the probabilities of "
            f"their posterior, raised to the power {calibration.own_exponent:.3g} and divided by "
            f"their sum, {purpose}"
        )
    return f"{text} {_ANSWERS_FAIL if answers else _CALIBRATION_FAILS} {error}"


def _left_out_answers(record: RunRecord) -> int:
    """Return the number of left-out answers that calibrate the model that the run uses."""
    answers = record.train.answers
    return answers.left_out if answers is not None and record.judge.used == "adapted" else 0


def limits(results: RunResults) -> list[str]:
    """Return what the numbers of a run do not say."""
    sentences = [
        "Its pseudo-labels and texts were not checked: where they are wrong in the same way for "
        "many images, the model has learnt the mistake."
    ]
    if evaluation := measured_models(results.record).used:
        sentences.append(
            "The numbers hold for one evaluation split of "
            f"{plural(evaluation.images, 'image')} and one run with one seed; the intervals cover "
            "the choice of images, not that of the seed."
        )
        if absent := sum(counts.images == 0 for counts in evaluation.classes):
            sentences.append(f"Classes without a single evaluation image: {count(absent)}.")
    if unseen := sum(adapted == 0 for _, adapted in results.pseudo_label_counts):
        sentences.append(f"Classes that it gives to no training image: {count(unseen)}.")
    return [
        *sentences,
        "Other classes, other kinds of images and other uses of the embeddings were not evaluated; "
        "the model may have become worse at them.",
    ]


def starting_terms(record: RunRecord) -> str:
    """Return a sentence on the licence of the weights with which the run began."""
    repository, licence = starting_model(record.recipe)
    if repository and licence:
        weights = f"The starting weights, {escaped(repository)},"
        return f"{weights} are published under the licence `{licence}`."
    return (
        "latte does not know the licence of the starting weights, which applies to this model too."
    )


def _licence(results: RunResults) -> str:
    terms = starting_terms(results.record)
    for encoder in _used_encoders(results):
        licence = f"licence `{one_line(encoder.licence)}`" if encoder.licence else "unknown licence"
        model = escaped(one_line(encoder.model))
        terms += f" This model also needs the weights of {model} ({licence})."
    return f"{terms} {DATA_TERMS}"


def _used_encoders(results: RunResults) -> list[EncoderFacts]:
    """Return the encoders that the run's model needs: none if it is zero-shot CLIP."""
    record = results.record
    if record.judge.used == "zero-shot":
        return []
    return [encoder for encoder in record.train.encoders if encoder.classifies]


def _use(results: RunResults) -> list[str]:
    backbone = facts.backbone_use(results.record.recipe)
    needs, alone = list[str](), list[str]()
    if _used_encoders(results):
        return [
            *(_package(results, backbone) if backbone else []),
            "With latte, which loads both the CLIP and the encoder of this model:",
            f"```python\n{_LATTE.format(run=results.folder.name)}```",
            "For ONNX runtimes, in one file:",
            "```console\nlatte export RUN --format onnx\n```",
        ]
    if backbone is None:
        exports = "if its CLIP supports these towers"
        if results.record.judge.used == "adapted":
            are_several = len(facts.learner_names(results.record.recipe)) > 1
            shown = " Each learner has a folder of its own." if are_several else ""
            code = facts.loading_code(results.folder, results.record.recipe)
            alone = [f"With open_clip alone.{shown} {facts.READING}", f"```python\n{code}```"]
    else:
        exports, needs = "if the backbone supports the export", _package(results, backbone)
    return [
        *needs,
        "With latte:",
        f"```python\n{_LATTE.format(run=results.folder.name)}```",
        *alone,
        f"For transformers ({exports}) and for ONNX runtimes:",
        "```console\nlatte export RUN --format transformers\nlatte export RUN --format onnx\n```",
    ]


def _package(results: RunResults, backbone: str) -> list[str]:
    name = f"The backbone {escaped(_short(backbone))}"
    distribution, slash, _ = backbone.rpartition("/")
    if not slash:
        return [f"{name} of the recipe saved this model, and must be installed to load it."]
    plugins = results.record.environment.get("plugins")
    version = plugins.get(distribution) if isinstance(plugins, Mapping) else None
    saved = f" {escaped(str(version))}" if version else ""
    return [
        f"{name} of the package {escaped(distribution)}{saved} saved this model. To load it, "
        "install the package:",
        f"```console\npip install latte-clip {shlex.quote(one_line(distribution))}\n```",
    ]


def _short(backbone: str) -> str:
    return backbone.rpartition("/")[-1]
