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
    hashes = {identity(recipe_path), *(identity(recipe_path, change) for change in changes)}
    assert len({run for run, _ in hashes}) == len(changes) + 1
    assert len({stage for _, stage in hashes}) == len(changes) + 1


def test_version_of_a_backbone_of_a_plugin_changes_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    fingerprints = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        backbone = replace(recipe.backbone, distribution=package, version=version)
        changed_recipe = recipe.model_copy(update={"backbone": backbone})
        fingerprints.add(fingerprints_of(changed_recipe)["zero-shot"])
    assert len(fingerprints) == 3


def test_package_and_version_of_what_trains_change_the_fingerprint(recipe_path: Path) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    (learner,) = recipe.learners
    fingerprints = set()
    for package, version in (("latte-a", "1"), ("latte-a", "2"), ("latte-b", "1")):
        trainable = replace(learner.trainable, distribution=package, version=version)
        changed_recipe = recipe.model_copy(
            update={"learners": (learner.model_copy(update={"trainable": trainable}),)}
        )
        fingerprints.add(fingerprints_of(changed_recipe)["train"])
    assert len(fingerprints) == 3


def component(kind: Kind, module: str) -> Registered:
    return Registered(ComponentSpec(kind, "mine", f"{module}:Mine", "for tests"), "latte-a", "1")


@pytest.mark.parametrize(
    "files", [("edited_one.py",), ("edited_two/__init__.py", "edited_two/b.py")]
)
def test_edited_code_of_a_plugin_changes_its_digest(
    files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, digests = Path(files[0]).parts[0].removesuffix(".py"), []
    monkeypatch.syspath_prepend(str(tmp_path))
    for text in ("", "x = 1"):
        for name in files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text if name == files[-1] else "")
        (tmp_path / "another.py").write_text(text)
        discovery._digest_of_code.cache_clear()
        digests += [discovery.plugin_code(component("loss", module)) for _ in range(2)]
    assert None not in digests
    assert digests[0] == digests[1] != digests[2] == digests[3]


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
    ("part", "first_stage"), [("dataset", "data"), ("backbone", "zero-shot"), ("labels", "train")]
)
def test_edited_code_changes_the_stages_that_use_it_and_not_the_folder(
    part: str, first_stage: str, recipe_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(recipe_path, load_registry())
    used = getattr(recipe, part)
    edited_component = replace(used[0] if part == "labels" else used, distribution="latte-a")
    recipe = recipe.model_copy(
        update={part: (edited_component,) if part == "labels" else edited_component}
    )
    identities = []
    for code in (None, "1", "2"):
        monkeypatch.setattr(
            identity_module,
            "plugin_code",
            lambda choice, code=code: code if choice.distribution == "latte-a" else None,
        )
        identities.append((run_hash(recipe, None), fingerprints_of(recipe)))
        (stage,) = (stage for stage in PLAN if stage.name == first_stage)
        assert stage.code(recipe) == ({} if code is None else {"latte-a": code})
    assert len({name for name, _ in identities}) == 1
    for stage in STAGES:
        is_affected = STAGES.index(stage) >= STAGES.index(first_stage)
        assert len({stages[stage] for _, stages in identities}) == (3 if is_affected else 1)
