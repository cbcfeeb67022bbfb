"""Facts about a run as pairs (term, text), and Python code that loads the run's model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from latte.interfaces import HeldBack, RunRecord, RunResults, Verdict
from latte.interfaces.record import EncoderFacts
from latte.io.paths import ascii_name
from latte.io.redaction import one_line
from latte.registry.spec import DEFAULT_BACKBONE, USE
from latte.report.numbers import count, duration, mebibytes, plural, size

Fact = tuple[str, str]

OPENED = """\
def opened(path):
    image = ImageOps.exif_transpose(Image.open(path))  # phones store rotated photos
    if image.mode.startswith("I"):  # Pillow would clip 16-bit grey values
        grey = numpy.asarray(image, dtype=numpy.float32).clip(0, 65535) / 257
        image = Image.fromarray(grey.round().astype(numpy.uint8))
    return image.convert("RGB")


"""
"""Python code of a function that opens a photo as latte does."""
READING = (
    "The code opens photos as latte does: upright by their EXIF orientation, and with 16-bit grey "
    "values scaled to 8 bits. Grey images of 32 bits differ: latte finds out their range of values "
    "first."
)
"""Sentences about `OPENED`."""

_IMPORTS = """\
import json
from pathlib import Path

import numpy
import open_clip
import torch
from PIL import Image, ImageOps
from safetensors import safe_open

adapted = Path({run!r}) / "models" / "adapted"  # in the run folder


{opened}photo = opened("photo.jpg")
"""

_ONE_LEARNER = """\
model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{{adapted / 'model'}}")
with safe_open(adapted / "prototypes.safetensors", framework="pt") as file:
    class_names = json.loads(file.metadata()["latte"])["class_names"]
    weights, owners = file.get_tensor({weights!r}), file.get_tensor({owners!r})
    bias = file.get_tensor({bias!r}) if {bias!r} in file.keys() else 0
with torch.inference_mode():
    feature = model.eval().encode_image(preprocess(photo).unsqueeze(0), normalize=True)[0]
label = owners[(weights @ feature + bias).argmax()].item()
print(class_names[label])
"""

_SEVERAL_LEARNERS = """\
with safe_open(adapted / "prototypes.safetensors", framework="pt") as file:
    class_names = json.loads(file.metadata()["latte"])["class_names"]
    tensors = {{key: file.get_tensor(key) for key in file.keys()}}
similarities = torch.zeros(len(class_names))
for learner in {learners!r}:
    folder = adapted / "model" / learner
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{{folder}}")
    with torch.inference_mode():
        feature = model.eval().encode_image(preprocess(photo).unsqueeze(0), normalize=True)[0]
    rows, owners = tensors[f"{{learner}}.weights"] @ feature, tensors[f"{{learner}}.owners"]
    rows = rows + tensors.get(f"{{learner}}.bias", 0)
    lowest = torch.full_like(similarities, -torch.inf)
    similarities += lowest.scatter_reduce(0, owners, rows, "amax")
print(class_names[similarities.argmax()])
"""


def run_facts(results: RunResults) -> list[Fact]:
    """Return facts about a run: numbers of images and classes, seed, time and memory."""
    facts = [
        ("Training images", count(results.record.data.training_images)),
        ("Exact copies among them", count(results.record.data.copies)),
        *_series(results),
        ("Skipped images", count(results.record.data.skipped_images)),
        ("Classes", count(len(results.record.data.class_names))),
        ("Training steps", count(steps(results))),
        *_signals(results.record.judge.verdict),
        ("Seed", str(results.record.recipe.get("seed", "not recorded"))),
    ]
    facts += [
        (
            f"Cut texts of {one_line(counts.description)}",
            f"{count(counts.cut)} of {count(counts.texts)}",
        )
        for counts in results.record.train.cut_texts
    ]
    facts += [
        (
            f"{one_line(name)} ({one_line(package)})",
            one_line(value) if isinstance(value, str) else f"{value:,}",
        )
        for stage in (results.record.train, results.record.judge)
        for package, extras in stage.extras.items()
        for name, value in extras.items()
    ]
    facts += [_encoder_fact(encoder) for encoder in results.record.train.encoders]
    if results.record.seconds:
        facts.append(("Time", duration(sum(results.record.seconds.values()))))
    if results.record.peak_memory_mb:
        facts.append(("Peak memory", peak_memory(results.record.peak_memory_mb)))
    return facts


def _series(results: RunResults) -> list[Fact]:
    """Return how many series there are, and why their images belong together."""
    facts = results.record.evaluate.series
    if facts is None:
        return []
    reasons = ", ".join(f"{count(number)} {name}" for name, number in facts.origins.items())
    text = f"{count(facts.series)} with {plural(facts.images, 'image')} ({reasons})"
    ignored = facts.ignored_dates
    dates = [("Dates of photos that are not plausible", count(ignored))] if ignored else []
    return [("Series of images that count once", text if facts.series else "0"), *dates]


def _encoder_fact(encoder: EncoderFacts) -> Fact:
    """Return the model, size and licence of an encoder, and whether the classifier uses it."""
    licence = f"licence {one_line(encoder.licence)}" if encoder.licence else "unknown licence"
    usage = f"the adapted classifier {'uses it' if encoder.classifies else 'does not use it'}"
    weights = f"{encoder.parameters:,} parameters, {size(encoder.bytes)}"
    return (
        f"Encoder {one_line(encoder.name)}",
        f"{one_line(encoder.model)}; {weights}; {licence}; {usage}",
    )


def _signals(verdict: Verdict | None) -> list[Fact]:
    """Return the measurements, which need no label, that led to the guard's verdict."""
    if verdict is None or not verdict.signals:
        return []
    signals = (f"{one_line(name)} {value:.3g}" for name, value in verdict.signals.items())
    return [("Signals of the guard", ", ".join(signals))]


def run_title(record: RunRecord) -> str:
    """Return a run's name for people: that of its recipe's file, as in `Größe`, if it is the same.

    A run folder has the name in ASCII, as in `Groesse`.
    """
    file_name = Path(record.source.recipe).stem
    return file_name if ascii_name(file_name) == record.name else record.name


def page_title(results: RunResults) -> str:
    """Return a run's name with its model and data, as in `birds: ViT-B-32 on folder photos`."""
    dataset, backbone = (
        _mapping(results.record.recipe.get(key)) for key in ("dataset", "backbone")
    )
    component, root = str(dataset.get("use", "")), Path(str(dataset.get("root") or "")).name
    data = component if root in ("", component) else f"{component} {root}"
    model = str(backbone.get("model") or backbone.get(USE) or "")
    about = " on ".join(text for text in (model, data) if text)
    title = run_title(results.record)
    return f"{title}: {about}" if about else title


def peak_memory(of_stages: Mapping[str, float]) -> str:
    """Return the largest peak memory of any stage, such as `1.6 GiB, in stage train`."""
    stage = max(of_stages, key=lambda name: of_stages[name])
    return f"{mebibytes(of_stages[stage])}, in stage {stage}"


def steps(results: RunResults) -> int:
    """Return the number of training steps that the metrics record."""
    recorded = (row["step"] for row in results.metrics if row.get("event") == "step")
    return int(max(recorded, default=0))


def method_facts(recipe: Mapping[str, Any]) -> list[Fact]:
    """Return facts about the recipe's components and main settings."""
    facts = [("Starting model", _starting_model(recipe)), ("Dataset", _used(recipe.get("dataset")))]
    describers = recipe.get("describers") or []
    facts.append(("Describer" if len(describers) == 1 else "Describers", _used(describers)))
    facts += [(key.capitalize(), _used(recipe.get(key))) for key in ("descriptions", "gates")]
    facts.append(("Pseudo-labels", _used(recipe.get("labels"))))
    train = _mapping(recipe.get("train"))
    takes_steps = bool(train.get("max_steps", 1) and train.get("max_epochs", 1))
    facts += [
        fact for learner in _learners(recipe) for fact in _learner_facts(learner, takes_steps)
    ]
    if takes_steps:
        facts.append(("Augmentation", _with_options(recipe.get("augmentation"))))
    facts.append(("Training", _training(train) if takes_steps else "none: no step is taken"))
    return [(term, one_line(text)) for term, text in facts if text]


def learner_names(recipe: Mapping[str, Any]) -> list[str]:
    """Return the learners' names; saved models and prototypes have the same names."""
    return [str(learner.get("name", "main")) for learner in _learners(recipe)]


def backbone_use(recipe: Mapping[str, Any]) -> str | None:
    """Return the name of the recipe's backbone; None for the built-in open_clip backbone."""
    name = _mapping(recipe.get("backbone")).get(USE)
    return None if name in (None, "open_clip", DEFAULT_BACKBONE) else str(name)


def loading_code(folder: Path, recipe: Mapping[str, Any]) -> str:
    """Return Python code that loads a run's adapted model with open_clip and classifies a photo."""
    learners = learner_names(recipe)
    start = _IMPORTS.format(run=folder.name, opened=OPENED)  # not the path, which may be private
    if len(learners) > 1:
        return start + "\n" + _SEVERAL_LEARNERS.format(learners=learners)
    name = learners[0]
    tensors = {part: f"{name}.{part}" for part in ("weights", "owners", "bias")}
    return start + "\n" + _ONE_LEARNER.format(**tensors)


def gate_facts(records: Sequence[HeldBack]) -> list[Fact]:
    """Return one fact per description: how many of its texts each gate rejected as unusable."""
    facts = []
    for description, group in groupby(records, key=lambda record: record.description):
        gates = [*group]
        total = plural(gates[0].texts, "text")
        counts = [
            f"{one_line(record.gate)} {count(record.held_back)}"
            for record in gates
            if record.held_back
        ]
        held_back = count(sum(record.held_back for record in gates))
        text = f"{held_back} of {total} ({', '.join(counts)})" if counts else f"none of {total}"
        facts.append((f"Held back of {one_line(description)}", text))
    return facts


def _learners(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    learners = recipe.get("learners")
    is_list = isinstance(learners, Sequence) and not isinstance(learners, str)
    return [_mapping(learner) for learner in learners] if learners and is_list else [{}]


def _learner_facts(learner: Mapping[str, Any], takes_steps: bool) -> list[Fact]:
    """Return facts about a learner; terms contain its name if the recipe has several learners."""
    name = str(learner.get("name", ""))
    suffix = f" ({name})" if name and name != "main" else ""
    prototypes = (f"Prototypes{suffix}", _used(learner.get("prototypes")))
    if not takes_steps:
        return [prototypes]
    return [
        (f"Trained parameters{suffix}", _with_options(learner.get("trainable"))),
        prototypes,
        (f"Loss{suffix}", _used(learner.get("loss"))),
    ]


def _starting_model(recipe: Mapping[str, Any]) -> str:
    backbone = _mapping(recipe.get("backbone"))
    if backbone_use(recipe) is not None:
        return _with_options({key: value for key, value in backbone.items() if value is not None})
    return ", ".join(str(backbone[key]) for key in ("model", "pretrained") if backbone.get(key))


def _training(train: Mapping[str, Any]) -> str:
    optimizer = _mapping(train.get("optimizer"))
    settings = []
    if "batch_size" in train:
        settings.append(f"batches of {plural(int(train['batch_size']), 'image')}")
    if "name" in optimizer:
        settings.append(str(optimizer["name"]))
    if "learning_rate" in optimizer:
        settings.append(f"learning rate {float(optimizer['learning_rate']):g}")
    if "max_steps" in train and "max_epochs" in train:
        settings.append(
            f"at most {plural(int(train['max_steps']), 'step')} "
            f"and {plural(int(train['max_epochs']), 'epoch')}"
        )
    return ", ".join(settings)


def _used(choice: Any) -> str:
    """Return components of a recipe as text: `{use: group, name: pairs}` as `group (pairs)`."""
    if isinstance(choice, str):
        return choice
    if isinstance(choice, Mapping):
        component, label = str(choice.get("use", "")), choice.get("name")
        by = f" by {choice['by']}" if choice.get("by") else ""
        return (f"{component} ({label})" if label and label != component else component) + by
    return ", ".join(map(_used, choice)) if isinstance(choice, Sequence) else ""


def _with_options(choice: Any) -> str:
    """Return a component with its options as text: `{use: lora, rank: 8}` as `lora (rank 8)`."""
    options = ", ".join(f"{key} {value}" for key, value in _mapping(choice).items() if key != USE)
    return _used(choice) + (f" ({options})" if options else "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
