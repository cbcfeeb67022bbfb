"""Run hashes and stage fingerprints, by settings of training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latte.recipe.load import load_recipe
from latte.registry import discovery
from latte.registry.registry import load_registry
from latte.registry.spec import ComponentSpec, Kind, Registered
from latte.results.stages import STAGES
from latte.run import identity as identity_module
from latte.run.identity import run_hash
from latte.run.plan import PLAN
from tests.helpers.fingerprints import fingerprints_of

OPTIONAL = ("micro_batch_size",)

RECIPE = """
backbone: {model: x}
dataset: {use: folder, root: a, classes: [b, c]}
labels: [frozen]
loss: contrastive
controls: {short: {train: {max_steps: 1}}}
"""


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return path


def identity(path: Path, *overrides: str) -> tuple[str, str]:
    registry = load_registry()
    recipe = load_recipe(path, registry, overrides)
    stages = fingerprints_of(recipe)
    return run_hash(recipe, None), stages["report"]


def test_explicit_defaults_do_not_change_the_run_hash(recipe_path: Path) -> None:
    written = [f"train.{name}=null" for name in OPTIONAL]
    written += ["train.precision=auto", "train.gradient_checkpointing=false"]
    assert identity(recipe_path, *written) == identity(recipe_path)


def test_each_training_setting_changes_the_run_hash(recipe_path: Path) -> None:
    changes = [f"train.{name}=2" for name in OPTIONAL]
    changes += ["train.batch_size=2", "train.gradient_checkpointing=true"]
    changes += [f"train.precision={name}" for name in ("fp32", "tf32", "bf16", "fp16")]
    found = {identity(recipe_path), *(identity(recipe_path, one) for one in changes)}
    assert len({run for run, _ in found}) == len(changes) + 1
    assert len({stage for _, stage in found}) == len(changes) + 1


def test_version_of_a_backbone_of_a_plugin_changes_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    found = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        backbone = replace(recipe.backbone, distribution=package, version=version)
        other = recipe.model_copy(update={"backbone": backbone})
        found.add(fingerprints_of(other)["zero-shot"])
    assert len(found) == 3


def test_package_and_version_of_what_trains_change_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    (learner,) = recipe.learners
    found = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        trainable = replace(learner.trainable, distribution=package, version=version)
        other = recipe.model_copy(
            update={"learners": (learner.model_copy(update={"trainable": trainable}),)}
        )
        found.add(fingerprints_of(other)["train"])
    assert len(found) == 3


def component(kind: Kind, module: str) -> Registered:
    return Registered(ComponentSpec(kind, "mine", f"{module}:Mine", "for tests"), "latte-a", "1")


@pytest.mark.parametrize(
    "files", [("edited_one.py",), ("edited_two/__init__.py", "edited_two/b.py")]
)
def test_edited_code_of_a_plugin_changes_its_digest(
    files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, found = Path(files[0]).parts[0].removesuffix(".py"), []
    monkeypatch.syspath_prepend(str(tmp_path))
    for text in ("", "x = 1"):
        for name in files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text if name == files[-1] else "")
        (tmp_path / "another.py").write_text(text)
        discovery._digest_of_code.cache_clear()
        found += [discovery.plugin_code(component("loss", module)) for _ in range(2)]
    assert None not in found
    assert found[0] == found[1] != found[2] == found[3]


def test_installed_plugins_have_no_digest_of_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "installed_plugin.py").write_text("")
    monkeypatch.syspath_prepend(str(site))
    for module in ("installed_plugin", "a_module_that_nobody_has", "sys", "__main__"):
        assert discovery.plugin_code(component("loss", module)) is None


@pytest.mark.parametrize(
    ("part", "first"), [("dataset", "data"), ("backbone", "zero-shot"), ("labels", "train")]
)
def test_edited_code_changes_the_stages_that_use_it_and_not_the_folder(
    part: str, first: str, recipe_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    used = getattr(recipe, part)
    one = replace(used[0] if part == "labels" else used, distribution="latte-a")
    recipe = recipe.model_copy(update={part: (one,) if part == "labels" else one})
    found = []
    for code in (None, "1", "2"):
        monkeypatch.setattr(
            identity_module,
            "plugin_code",
            lambda choice, code=code: code if choice.distribution == "latte-a" else None,
        )
        found.append((run_hash(recipe, None), fingerprints_of(recipe)))
        (stage,) = (stage for stage in PLAN if stage.name == first)
        assert stage.code(recipe) == ({} if code is None else {"latte-a": code})
    assert len({name for name, _ in found}) == 1
    for stage in STAGES:
        several = STAGES.index(stage) >= STAGES.index(first)
        assert len({stages[stage] for _, stages in found}) == (3 if several else 1)
