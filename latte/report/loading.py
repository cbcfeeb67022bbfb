"""The lines of Python that open what a run exported, for people to copy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latte.report.facts import learner_names

_IMPORTS = """\
import json
from pathlib import Path

import open_clip
import torch
from PIL import Image
from safetensors import safe_open

run = Path({run!r})  # where the run folder lies
photo = Image.open("photo.jpg").convert("RGB")
"""

_ONE_LEARNER = """\
model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{{run / 'model'}}")
with safe_open(run / "prototypes.safetensors", framework="pt") as file:
    class_names = json.loads(file.metadata()["latte"])["class_names"]
    weights, owners = file.get_tensor({weights!r}), file.get_tensor({owners!r})
    bias = file.get_tensor({bias!r}) if {bias!r} in file.keys() else 0
with torch.inference_mode():
    feature = model.eval().encode_image(preprocess(photo).unsqueeze(0), normalize=True)[0]
label = owners[(weights @ feature + bias).argmax()].item()
print(class_names[label])
"""

_SEVERAL_LEARNERS = """\
with safe_open(run / "prototypes.safetensors", framework="pt") as file:
    class_names = json.loads(file.metadata()["latte"])["class_names"]
    tensors = {{key: file.get_tensor(key) for key in file.keys()}}
similarities = torch.zeros(len(class_names))
for learner in {learners!r}:
    folder = run / "model" / learner
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{{folder}}")
    with torch.inference_mode():
        feature = model.eval().encode_image(preprocess(photo).unsqueeze(0), normalize=True)[0]
    rows, owners = tensors[f"{{learner}}.weights"] @ feature, tensors[f"{{learner}}.owners"]
    rows = rows + tensors.get(f"{{learner}}.bias", 0)
    lowest = torch.full_like(similarities, -torch.inf)
    similarities += lowest.scatter_reduce(0, owners, rows, "amax")
print(class_names[similarities.argmax()])
"""


def loading_code(folder: Path, recipe: Mapping[str, Any]) -> str:
    """Python that classifies a photo with the model of a run; names the folder, not its path."""
    learners = learner_names(recipe)
    start = _IMPORTS.format(run=folder.name)
    if len(learners) > 1:
        return start + "\n" + _SEVERAL_LEARNERS.format(learners=learners)
    name = learners[0]
    parts = {part: f"{name}.{part}" for part in ("weights", "owners", "bias")}
    return start + "\n" + _ONE_LEARNER.format(**parts)
