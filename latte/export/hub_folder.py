"""The folder that is pushed to the hub: a run folder with a model, its class names and a card.

Everything in it is written anew from the loaded model and from a list of allowed facts, so that no
image, text about an image, answer or path of the run can be among it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latte.interfaces import Interval, LatteError, RunModel, RunRecord, RunResults
from latte.interfaces.measurements import ZERO_SHOT
from latte.interfaces.record import DataFacts, EvaluateFacts, Source, StageRecord, TrainFacts
from latte.io.files import write_json, write_text
from latte.io.hub import HubName
from latte.io.redaction import as_yaml, redact, without_passwords
from latte.models.loaded import LoadedModel
from latte.models.saved_model import save_adapted
from latte.predict.hub import CARD, LAST_STAGE, is_read
from latte.registry.spec import BUILTIN_DISTRIBUTION, USE
from latte.report.facts import backbone_use
from latte.report.hub_card import hub_card
from latte.results.folder import RunFolder
from latte.results.stages import STAGES

_RECIPE = "# What latte needs to know of the recipe to open the model; it cannot be run.\n"


def write_hub_folder(loaded: LoadedModel, folder: Path, name: HubName) -> list[Path]:
    """Write the model, its record and its card to the empty `folder`; return the files.

    The model becomes the adapted model of the new run folder, even if it is zero-shot CLIP or a
    mix. Raises `LatteError` if its backbone writes files that are never read from the hub, or if a
    file names a place on this machine or a secret.
    """
    target, record = RunFolder(folder), loaded.run.record
    values = _recipe(record, name)
    save_adapted(target.adapted_model, loaded.model)
    _remove_places(folder)
    write_text(target.recipe, _RECIPE + as_yaml(values))
    packages = _packages(loaded)
    results = RunResults(loaded.run.folder.path, record, (), (), ())
    write_text(folder / CARD, hub_card(results, name.repository, loaded.role, packages))
    _write_record(target, loaded, values, packages)
    files = _files(folder)
    _refuse_private(folder, files, (Path.home(), loaded.run.folder.path))
    return files


def _recipe(record: RunRecord, name: HubName) -> dict[str, Any]:
    """Return the values of the recipe that are read when the model is opened, under its name."""
    train = record.recipe.get("train")
    precision = train.get("precision") if isinstance(train, Mapping) else None
    backbone = backbone_use(record.recipe)
    return {
        "name": name.repository.partition("/")[2],
        **({} if backbone is None else {"backbone": {USE: backbone}}),
        **({} if precision is None else {"train": {"precision": precision}}),
    }


def _packages(loaded: LoadedModel) -> list[str]:
    """Return the packages with plugins that load the model, apart from latte."""
    components = [backbone_use(loaded.run.recipe)]
    components += [member.component for member in loaded.model.members]
    packages = (component.rpartition("/")[0] for component in components if component)
    return [name for name in dict.fromkeys(packages) if name and name != BUILTIN_DISTRIBUTION]


def _write_record(
    target: RunFolder, loaded: LoadedModel, values: Mapping[str, Any], packages: Sequence[str]
) -> None:
    """Write `results.json`, in which the last stage has all files of the model as its outputs."""
    record, results = loaded.run.record, target.results
    versions = record.environment.get("plugins")
    plugins = versions if isinstance(versions, Mapping) else {}
    results.begin(Source(recipe=target.recipe.name, values=values))
    latte_version = record.environment.get("latte")
    results.note_environment(
        {
            **({"latte": latte_version} if isinstance(latte_version, str) else {}),
            "plugins": {name: plugins[name] for name in packages if name in plugins},
        }
    )
    facts = {
        "data": DataFacts(
            class_names=loaded.model.class_names, training_images=record.data.training_images
        ),
        "train": TrainFacts(trains_clip=record.train.trains_clip),
        "evaluate": EvaluateFacts(models=_models(loaded)),
    }
    outputs = [target.relative(file) for file in _files(target.models)]
    for stage in STAGES[:-1]:
        written = tuple(outputs) if stage == LAST_STAGE else ()
        stage_record = StageRecord(fingerprint="", seconds=0.0, outputs=written)
        results.finish(stage, stage_record, facts.get(stage))


def _models(loaded: LoadedModel) -> tuple[RunModel, RunModel]:
    """Return zero-shot CLIP and the pushed model, with accuracies and calibration."""
    evaluated = loaded.run.record.evaluate
    zero_shot, model = evaluated.model(ZERO_SHOT), evaluated.model(loaded.role)
    accuracy = model.classifier if model else None
    if accuracy is not None:
        accuracy = replace(accuracy, gain=accuracy.gain or Interval(0, 0, 0))
    calibration = loaded.calibration and replace(loaded.calibration, own_exponent=None)
    return (
        RunModel(ZERO_SHOT, ZERO_SHOT, zero_shot.classifier if zero_shot else None),
        RunModel("adapted", "adapted", accuracy, calibration=calibration),
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _remove_places(folder: Path) -> None:
    """Replace the path of `folder` in configurations: that of a text tower has its absolute path.

    latte reads a text tower from the folder in which it finds the configuration.
    """
    place = str(folder.absolute())
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        cleaned = _without(content, place)
        if cleaned != content:
            write_json(path, cleaned)


def _without(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _without(child, place) for key, child in value.items()}
    if isinstance(value, list):
        return [_without(child, place) for child in value]
    return "." if isinstance(value, str) and value.startswith(place) else value


def _refuse_private(folder: Path, files: Sequence[Path], places: Sequence[Path]) -> None:
    """Raise `LatteError` if a file is of another kind, or names one of `places` or a secret.

    A component of a plugin writes what it likes into the folder of its model.
    """
    for path in files:
        name = path.relative_to(folder).as_posix()
        if name != CARD and not is_read(name):
            what = "latte reads no such file from the hub, and pushes none"
            raise LatteError(what, where=name, hint="latte export RUN --format onnx writes a file")
        if path.suffix != ".safetensors":
            text = path.read_text(encoding="utf-8", errors="replace")
            if found := _private(text, places):
                raise LatteError(f"it has {found}, so nothing was pushed", where=name)


def _private(text: str, places: Sequence[Path]) -> str | None:
    """Return what in `text` is private: a path below one of `places`, or a secret."""
    for place in places:
        if json.dumps(f"{place.absolute()}{os.sep}")[1:-1] in text:
            return f"a path of this machine, below {place}"
    is_secret = redact(text) != without_passwords(text)
    return "a secret of the environment" if is_secret else None
