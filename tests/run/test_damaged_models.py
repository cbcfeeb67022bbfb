"""A CLIP with damaged weights is refused with one error before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from latte_author.testing import TinyRuns
from safetensors.torch import load_file, save_file

RECIPE = "prototypes: templates\ntrain: {max_steps: 0}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> TinyRuns:
    return TinyRuns(tmp_path_factory.mktemp("damaged"))


@pytest.mark.parametrize(
    ("weight", "factor", "message"),
    [
        ("visual.proj", float("nan"), "the image tower gives features that are zero or not finite"),
        ("visual.proj", 0.0, "the image tower gives features that are zero or not finite"),
        ("text_projection", float("nan"), "the text tower gives features that are zero or not"),
        ("text_projection", 0.0, "the text tower gives features that are zero or not finite"),
        ("logit_scale", float("inf"), "the logit scale of this model is not a finite number"),
    ],
)
def test_model_with_nan_or_zero_weights_is_refused(
    runs: TinyRuns, tmp_path: Path, weight: str, factor: float, message: str
) -> None:
    path = runs.folder / "clip" / "open_clip_model.safetensors"
    intact = path.read_bytes()
    weights = load_file(path)
    save_file({**weights, weight: weights[weight] * factor}, path)
    runs.check(RECIPE)
    ended = runs.latte("run", "recipe.yaml", f"--set=output={tmp_path}")
    path.write_bytes(intact)
    assert ended.code == 2, ended.err
    (error,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert message in error
    assert "damaged" in ended.err.split(error)[1]
    assert not list(tmp_path.rglob("*.safetensors"))
