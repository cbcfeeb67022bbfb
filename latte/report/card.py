"""The model card: `README.md` beside the exported model, for whoever gets it in their hands."""

from __future__ import annotations

from pathlib import Path

from latte.files import write_text
from latte.interfaces import Evaluation, NoOptions, Reporter, RunResults
from latte.report.confidence import confidence_text
from latte.report.facts import learner_names, method_facts, run_facts, steps
from latte.report.gates import gate_facts
from latte.report.headline import ADAPTED, headline, named, own_note
from latte.report.loading import loading_code
from latte.report.markdown import escaped, quoted, table
from latte.report.numbers import count, percent, percent_range, plural, points, points_range
from latte.report.oracle import is_oracle, oracle_note
from latte.report.present import ALL_OCCUR, present_sentence
from latte.report.starting_model import starting_model
from latte.report.verdict import verdict_words

_LATTE = """\
import latte  # of the package latte-clip

model = latte.load({run!r})  # where the run folder lies
for prediction in model.predict_iter("photos"):
    print(prediction.image, prediction.name, prediction.confidence)
"""


class ModelCardReporter(Reporter[NoOptions]):
    """Writes `model/README.md`: what the model is, its data, method, numbers and limits."""

    def report(self, results: RunResults) -> list[Path]:
        """Write the card; see `Reporter`."""
        path = results.folder / "model" / "README.md"
        write_text(path, card(results))
        return [path]


def card(results: RunResults) -> str:
    """The whole card: a YAML header and Markdown."""
    parts = (
        _header(results),
        f"# {escaped(results.name)}",
        *_notes(results),
        _what(results),
        "## Intended use",
        _intended_use(),
        "## Data",
        _facts(run_facts(results)),
        "## Method",
        _method(results),
        "## Numbers",
        _numbers(results),
        "## Confidence",
        confidence_text(results.calibration),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(results)),
        "## Licence",
        _licence(results),
        "## Use",
        *_use(results),
        "## Classes",
        "\n".join(f"{label}. {escaped(name)}" for label, name in enumerate(results.class_names)),
    )
    return "\n\n".join(parts) + "\n"


def _header(results: RunResults) -> str:
    """What model hubs read; a licence that is none of theirs is `other`, with a name."""
    start = starting_model(results.recipe)
    licence = (
        [f"license: {start.licence}"]
        if start.licence
        else ["license: other", "license_name: terms-of-the-starting-model"]
    )
    lines = [
        "---",
        *licence,
        "library_name: open_clip",
        "pipeline_tag: zero-shot-image-classification",
        "tags: [clip, open_clip, latte]",
    ]
    if start.repository:
        lines.append(f"base_model: {quoted(start.repository)}")
        lines.append("base_model_relation: finetune")
    return "\n".join([*lines, f"model_name: {quoted(results.name)}", "---"])


def _notes(results: RunResults) -> list[str]:
    words, oracle = verdict_words(results, results.folder.name), oracle_note(results.recipe)
    strong = (words.sentence if results.verdict else None, oracle)
    plain = words.lines[1:] if results.verdict else words.lines
    return [
        *(f"**{escaped(note)}**" for note in strong if note),
        " ".join(escaped(line) for line in plain),
    ]


def _what(results: RunResults) -> str:
    classes = f"{count(len(results.class_names))} classes"
    if steps(results) == 0:
        return f"The CLIP that the recipe names, not trained, with prototypes for {classes}."
    described = results.recipe.get("describer") or results.recipe.get("describers")
    texts = ", and texts about the images" if described else ""
    if is_oracle(results.recipe):
        return (
            f"A CLIP adapted to {plural(results.training_images, 'image')}, for {classes}. Its "
            f"teachers were pseudo-labels that came from the CLIP itself{texts}, in groups that "
            "ground-truth labels chose."
        )
    return (
        f"A CLIP adapted to {plural(results.training_images, 'image')} without labels, for "
        f"{classes}. Its only teachers were pseudo-labels that came from the CLIP itself{texts}."
    )


def _intended_use() -> str:
    return (
        "To tell the classes below apart in images like those that it was adapted to. It is not "
        "for images that show none of the classes: it gives each image one of them. Nor is it for "
        "decisions about people, or others that matter, without somebody who checks its answers on "
        "labelled images of the very kind."
    )


def _licence(results: RunResults) -> str:
    start = starting_model(results.recipe)
    known = (
        f"The starting weights, {escaped(start.repository)}, are published under the licence "
        f"`{start.licence}`."
        if start.repository and start.licence
        else "latte does not know the licence of the starting weights; it goes on to hold for this "
        "model."
    )
    return f"{known} The terms of the images and of the texts that it was adapted with apply too."


def _use(results: RunResults) -> list[str]:
    """In latte, in open_clip, and how to get the model into other libraries."""
    run = results.folder.name
    several = len(learner_names(results.recipe)) > 1
    shown = " Each learner has a folder of its own." if several else ""
    return [
        "With latte:",
        f"```python\n{_LATTE.format(run=run)}```",
        f"With open_clip alone.{shown}",
        f"```python\n{loading_code(results.folder, results.recipe)}```",
        "For transformers (where its CLIP can hold the towers) and for ONNX runtimes:",
        "```console\nlatte export RUN --format transformers\nlatte export RUN --format onnx\n```",
    ]


def _facts(facts: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {escaped(term)}: {escaped(text)}" for term, text in facts)


def _method(results: RunResults) -> str:
    facts = [*method_facts(results.recipe), *gate_facts(results.held_back)]
    return _facts(facts) + ("\n\nThe complete recipe is `recipe.yaml` in the run folder.")


def _numbers(results: RunResults) -> str:
    verdict = headline(results.evaluations)
    parts = [escaped(verdict.sentence)]
    if verdict.control:
        parts.append(escaped(verdict.control))
    if results.evaluations:
        header = ["", "Top-1", "95 % interval", "Images", "Gain, points", "95 % interval"]
        rows = [_row(evaluation) for evaluation in results.evaluations]
        parts += [table(header, rows), "The gain is over zero-shot, on the same images."]
        if note := own_note(results.evaluations):
            parts.append(escaped(note))
    return "\n\n".join(parts)


def _row(evaluation: Evaluation) -> list[str]:
    images, gain = evaluation.images, evaluation.gain
    return [
        escaped(evaluation.name),
        percent(evaluation.top1.value, images),
        percent_range(evaluation.top1, images),
        count(images),
        points(gain.value, images) if gain else "",
        points_range(gain, images) if gain else "",
    ]


def _limits(results: RunResults) -> list[str]:
    return [
        "Nobody checked what it learnt from: where pseudo-labels or texts are wrong in the same "
        "way for many images, the model has learnt the mistake.",
        *_evaluation_limits(results),
        *_unseen_classes(results),
        "Other classes, other kinds of images and other uses of the embeddings were not evaluated; "
        "the model may have become worse at them.",
    ]


def _evaluation_limits(results: RunResults) -> list[str]:
    after = named(results.evaluations, ADAPTED)
    if after is None:
        return ["Its accuracy was not measured."]
    limits = [
        f"The numbers hold for one evaluation split of {plural(after.images, 'image')} and one run "
        "with one seed; the intervals cover the choice of images, not that of the seed."
    ]
    absent = sum(one.images == 0 for one in after.classes)
    if absent:
        limits.append(f"Classes without a single evaluation image: {count(absent)}.")
    return limits


def _unseen_classes(results: RunResults) -> list[str]:
    unseen = sum(adapted == 0 for _, adapted in results.pseudo_label_counts)
    lines = [f"Classes that it gives to no training image: {count(unseen)}."] if unseen else []
    if present := present_sentence(results.present, len(results.class_names)):
        lines.append(f"{escaped(present)}.")
    elif results.present is not None:
        lines.append(ALL_OCCUR)
    return lines
