"""`extends:`: recipes that contain only their changes to other recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from latte.cli.main import run_command_line
from latte.interfaces import LatteError, RecipeErrors
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry
from latte.run.identity import run_hash
from tests.helpers.recipes import MINIMAL, TRAINING, builtin_plugin

Chain = Callable[..., Recipe]

LEARNERS = """\
extends: base.yaml
learners: [{name: a, loss: latte-clip/contrastive}]
"""


@pytest.fixture
def chain(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Chain:
    """Write `files` (`__` in a name separates folders), and load the first one, `r.yaml`."""
    monkeypatch.chdir(tmp_path)

    def chain(text: str, *overrides: str, **files: str) -> Recipe:
        for name, content in {"r": text, **files}.items():
            path = Path(f"{name.replace('__', '/')}.yaml")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return load_recipe(Path("r.yaml"), registry, overrides, {"SET": "x"})

    return chain


def complaint(chain: Chain, text: str, **files: str) -> str:
    with pytest.raises(LatteError) as caught:
        chain(text, **files)
    return str(caught.value)


def test_a_recipe_merges_its_base_and_its_own_keys(chain: Chain) -> None:
    recipe = chain("extends: base.yaml\ntrain: {max_steps: 7}\n", base=TRAINING)
    assert recipe.train.max_steps == 7
    assert recipe.learners[0].prototypes.spec.name == "momentum"
    assert recipe.bases == (Path("base.yaml"),)


def test_run_hash_depends_only_on_the_merged_content(chain: Chain) -> None:
    flat = chain("name: r\n" + TRAINING + "train: {max_steps: 7}\n")
    parted = chain("name: r\nextends: base.yaml\ntrain: {max_steps: 7}\n", base=TRAINING)
    assert flat.resolved == parted.resolved
    assert run_hash(flat, None) == run_hash(parted, None)
    assert run_hash(chain("extends: base.yaml\n", base=TRAINING), None) != run_hash(parted, None)


def test_mappings_merge_but_lists_and_other_components_replace(chain: Chain) -> None:
    base = TRAINING + "train: {max_steps: 5, optimizer: {learning_rate: 1.0, weight_decay: 0.5}}\n"
    text = """\
extends: base.yaml
labels: [current]
prototypes: {mixer: mean}
train: {optimizer: {learning_rate: 2.0}}
"""
    recipe = chain(text, base=base)
    assert [choice.label for choice in recipe.labels] == ["current"]
    assert recipe.resolved["learners"][0]["prototypes"]["mixer"] == "mean"
    assert recipe.resolved["learners"][0]["prototypes"]["momentum"] == 0.99
    assert (recipe.train.max_steps, recipe.train.optimizer.weight_decay) == (5, 0.5)
    assert recipe.train.optimizer.learning_rate == 2.0
    with_templates = chain("extends: base.yaml\nprototypes: templates\n", base=TRAINING)
    assert with_templates.resolved["learners"][0]["prototypes"] == {
        "use": "templates",
        "refresh": "start",
    }


def test_one_item_of_a_list_is_changed_by_its_name(chain: Chain) -> None:
    text = """\
extends: base.yaml
descriptions: {group: {size: 8}}
labels: {frozen: {weight: 0.5}, "1": {use: frozen, name: again}}
"""
    recipe = chain(text, base=TRAINING)
    names = [choice.label for choice in recipe.descriptions]
    assert names == ["class", "image", "group"]
    assert recipe.resolved["descriptions"][2]["size"] == 8
    assert recipe.origins["descriptions.2.size"] == "r.yaml:2"
    assert recipe.origins["descriptions.2.use"] == "base.yaml:4"
    assert recipe.resolved["labels"][0] == {"use": "frozen", "weight": 0.5}
    assert recipe.resolved["labels"][1] == {"use": "frozen", "name": "again", "weight": 1.0}


def test_one_learner_and_one_item_of_a_control_are_changed_by_name(chain: Chain) -> None:
    text = """\
extends: several.yaml
learners: {b: {prototypes: templates, name: c}}
controls: {large: {descriptions: {group: {size: 16}}}}
"""
    two_learners = LEARNERS.replace("}]", "}, {name: b, loss: latte-clip/contrastive}]")
    recipe = chain(text, several=two_learners, base=TRAINING)
    assert [learner.name for learner in recipe.learners] == ["a", "c"]
    assert recipe.learners[1].prototypes.spec.name == "templates"
    assert recipe.learners[1].loss is not None
    assert recipe.controls["large"].resolved["descriptions"][2]["size"] == 16
    assert recipe.descriptions[2].options.model_dump()["size"] == 4


def test_an_unknown_item_of_a_list_is_refused_with_its_line(chain: Chain) -> None:
    text = "extends: base.yaml\nlabels:\n  forzen: {weight: 2}\n  curent: {weight: 2}\n"
    with pytest.raises(RecipeErrors) as caught:
        chain(text, base=TRAINING)
    assert [str(error) for error in caught.value.errors] == [
        f"r.yaml:{line} labels.{wrong}: labels is a list without an item {wrong}\n"
        "  Items are counted from 0; its items are 0 to 1. "
        f'Did you mean "{right}"? By name: frozen, current.'
        for line, wrong, right in ((3, "forzen", "frozen"), (4, "curent", "current"))
    ]


def test_a_mapping_without_a_list_below_it_is_no_list(chain: Chain) -> None:
    message = complaint(chain, "extends: base.yaml\nlabels: {use: frozen}\n", base=MINIMAL)
    assert message.startswith("r.yaml:2 labels: expected a list, got a mapping")


def test_later_bases_override_earlier_and_the_recipe_overrides_all(chain: Chain) -> None:
    files = {
        "base": MINIMAL + "seed: 1\ndevice: cpu\noutput: a\n",
        "second": "seed: 2\ndevice: cuda\n",
    }
    recipe = chain("extends: [base.yaml, second.yaml]\nseed: 3\n", **files)
    assert (recipe.seed, recipe.device, recipe.output) == (3, "cuda", "a")


def test_a_name_is_not_inherited_and_requirements_are_joined(chain: Chain) -> None:
    files = {
        "base": MINIMAL + "name: theirs\nrequires: [pydantic, typer]\n",
        "second": "requires: [rich]\n",
    }
    recipe = chain("extends: [base.yaml, second.yaml]\nrequires: [typer]\n", **files)
    assert recipe.name == "r"
    assert recipe.requires == ("typer", "rich", "pydantic")


def test_learners_replace_the_single_learner_and_reverse(chain: Chain) -> None:
    assert [learner.name for learner in chain(LEARNERS, base=TRAINING).learners] == ["a"]
    back = "extends: several.yaml\nprototypes: templates\nloss: latte-clip/contrastive\n"
    recipe = chain(back, several=LEARNERS, base=TRAINING)
    assert [learner.name for learner in recipe.learners] == ["main"]


def test_describers_replace_the_single_describer(chain: Chain) -> None:
    text = "extends: base.yaml\ndescribers: [phrases, {use: phrases, name: longer, words: 30}]\n"
    assert [choice.label for choice in chain(text, base=TRAINING).describers] == [
        "phrases",
        "longer",
    ]


def test_controls_are_merged_by_name_and_null_removes_one(chain: Chain) -> None:
    base = TRAINING + "controls: {short: {train: {max_steps: 1}}, other: {labels: [current]}}\n"
    text = "extends: base.yaml\ncontrols: {other: null, short: {train: {warmup_steps: 2}}}\n"
    recipe = chain(text, base=base)
    assert [*recipe.controls] == ["short"]
    assert recipe.controls["short"].train.max_steps == 1
    assert recipe.controls["short"].train.warmup_steps == 2
    for none in ("null", "{}", "{short: null, other: null}"):
        assert chain(f"extends: base.yaml\ncontrols: {none}\n", base=base).controls == {}
        assert chain("extends: base.yaml\n", f"controls={none}", base=base).controls == {}


def test_base_paths_are_relative_to_the_file_that_names_them(chain: Chain) -> None:
    files = {"lower__base": "extends: ../top.yaml\nseed: 4\n", "top": MINIMAL}
    recipe = chain("extends: lower/base.yaml\n", **files)
    assert recipe.seed == 4
    assert recipe.bases == (Path("top.yaml"), Path("lower/base.yaml"))


def test_two_bases_may_extend_the_same_recipe(chain: Chain) -> None:
    """Each base is complete, so that the last one decides keys that both have."""
    files = {
        "a": "extends: base.yaml\nseed: 1\noutput: a\n",
        "b": "extends: base.yaml\n",
        "base": MINIMAL + "seed: 5\n",
    }
    recipe = chain("extends: [a.yaml, b.yaml]\n", **files)
    assert (recipe.seed, recipe.output) == (5, "a")


def test_overrides_come_last_and_origins_name_the_file(chain: Chain) -> None:
    files = {"base": MINIMAL + "seed: 1\noutput: ${SET}\n"}
    recipe = chain("extends: base.yaml\nname: a\n", "seed=9", **files)
    assert recipe.origins["seed"] == "--set"
    assert recipe.origins["output"] == "base.yaml:5 ${SET}"
    assert recipe.origins["name"] == "r.yaml:2"
    assert recipe.origins["backbone.model"] == "base.yaml:1"


def test_a_mistake_names_the_file_that_contains_it(chain: Chain) -> None:
    with pytest.raises(RecipeErrors) as caught:
        chain("extends: base.yaml\nsed: 1\n", base=MINIMAL.replace("max_steps", "max_stps"))
    places = [str(error).split(": ")[0] for error in caught.value.errors]
    assert places == ["base.yaml:3 train.max_stps", "r.yaml:2 sed"]


def test_an_unset_variable_in_a_replaced_value_is_no_mistake(chain: Chain) -> None:
    files = {"base": MINIMAL + "output: ${NOWHERE}\n"}
    assert chain("extends: base.yaml\noutput: here\n", **files).output == "here"
    assert chain("extends: base.yaml\n", "output=there", **files).output == "there"
    assert "base.yaml:4 output: the environment variable NOWHERE is not set" in complaint(
        chain, "extends: base.yaml\n", **files
    )


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("bsae.yaml", 'r.yaml:1 extends: there is no recipe bsae.yaml\n  Did you mean "base.yaml"'),
        ("base", "A file needs its ending: extends: base.yaml"),
        ("demoo", 'no recipe called "demoo" comes with latte\n  Did you mean "demo"?'),
        ("[base.yaml, 3]", "r.yaml:1 extends.1: expected the name of a recipe, a path, or a list"),
        ("{a: b}", "expected the name of a recipe, a path, or a list of them, got a mapping"),
        ('""', "expected the name of a recipe"),
        ("${SET}", "takes no variables"),
        ("${NOWHERE}", "takes no variables"),
        ("/etc/base.yaml", '"/etc/base.yaml" is not a relative path'),
        ("~/base.yaml", "is not a relative path"),
        ("../../etc/passwd", 'no recipe called "../../etc/passwd" comes with latte'),
        ('"a\\0.yaml"', "there is no recipe"),
        (f"{'a' * 300}.yaml", "there is no recipe"),
        ("folder.yaml", "there is no recipe folder.yaml"),
        ("r.yaml", "extends itself: r.yaml -> r.yaml"),
        ("./other/../r.yaml", "extends itself: r.yaml -> r.yaml"),
    ],
)
def test_unusable_bases_are_refused(chain: Chain, extends: str, message: str) -> None:
    Path("folder.yaml").mkdir()
    Path("other").mkdir()
    assert message in complaint(chain, f"extends: {extends}\n", base=MINIMAL)


def test_a_circle_of_bases_is_refused_with_its_files(chain: Chain) -> None:
    files = {"a": "extends: b.yaml\n", "b": "extends: a.yaml\n"}
    assert complaint(chain, "extends: a.yaml\n", **files) == (
        "b.yaml:1 extends: extends itself: a.yaml -> b.yaml -> a.yaml"
    )


def test_a_long_chain_of_bases_is_refused(chain: Chain) -> None:
    files = {f"a{number}": f"extends: a{number + 1}.yaml\n" for number in range(30)}
    assert "more than 20 recipes extend one another" in complaint(
        chain, "extends: a0.yaml\n", **files
    )


@pytest.mark.parametrize(
    "secret",
    ["root:x:0:0", "kind: Secret\ndata: {password: root:x:0:0}", "- root:x:0:0", "a: [root:x:0:0"],
)
def test_errors_do_not_quote_files_that_are_no_recipes(chain: Chain, secret: str) -> None:
    message = complaint(chain, "extends: secret.yaml\n", secret=secret)
    assert "root" not in message
    assert "is not a recipe" in message or "is not valid YAML" in message


def test_a_link_to_another_file_is_refused(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("seed: 1\n")
    (tmp_path / "link.yaml").symlink_to("secret.txt")
    assert "there is no recipe link.yaml" in complaint(chain, "extends: link.yaml\n")


def test_overrides_and_controls_cannot_extend(chain: Chain) -> None:
    with pytest.raises(RecipeErrors, match="--set cannot change what a recipe extends"):
        chain(MINIMAL, "extends=demo")
    with pytest.raises(RecipeErrors, match='unknown key "extends"\n  It belongs to the top of'):
        chain(MINIMAL + "controls: {a: {extends: demo}}\n")


def test_check_shows_the_file_of_each_value(
    chain: Chain, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos").mkdir()
    Path("photos/1.jpg").touch()
    Path("classes.txt").write_text("cat\ndog\n")
    chain("extends: [parts/zero-shot, base.yaml]\nseed: 2\n", base=MINIMAL)
    assert run_command_line(["check", "r.yaml", "--set", "backbone.pretrained=openai"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["# It extends parts/zero-shot.yaml.", "# It extends base.yaml."]
    for key, origin in [
        ("seed: 2", "line 2"),
        ("model: ViT-B-32", "base.yaml:1"),
        ("use: templates", "parts/zero-shot.yaml:2"),
        ("max_steps: 0", "base.yaml:3"),
        ("device: auto", "default"),
    ]:
        assert any(
            line.split("  # ")[0].strip() == key and line.endswith(f"# {origin}") for line in lines
        ), key


KEYS_OF_TRAINING = ("backbone", "dataset", "describer", "descriptions", "labels", "prototypes")


@settings(max_examples=20)
@given(st.sets(st.sampled_from(KEYS_OF_TRAINING)), st.sets(st.sampled_from(KEYS_OF_TRAINING)))
def test_splitting_a_recipe_over_files_does_not_change_it(
    first: set[str], second: set[str]
) -> None:
    registry = Registry([builtin_plugin()])
    lines = TRAINING.splitlines()

    def part(keys: set[str]) -> str:
        return "".join(f"{line}\n" for line in lines if line.partition(":")[0] in keys)

    with TemporaryDirectory() as folder:
        path = Path(folder)
        rest = {line.partition(":")[0] for line in lines} - first - second
        (path / "a.yaml").write_text(f"seed: 1\n{part(first)}")
        (path / "b.yaml").write_text(f"seed: 2\n{part(second)}")
        (path / "r.yaml").write_text(f"extends: [a.yaml, b.yaml]\nseed: 0\n{part(rest)}")
        spread = load_recipe(path / "r.yaml", registry)
        (path / "r.yaml").write_text(TRAINING)
        assert spread.resolved == load_recipe(path / "r.yaml", registry).resolved
