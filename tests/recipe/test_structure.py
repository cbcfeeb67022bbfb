"""Structure of recipes: names of components, optional keys, keys that need each other."""

from importlib.metadata import version

import pytest

from tests.helpers.recipes import LEARNERS, MINIMAL, TRAINING, Complaints, Load


def test_a_string_is_shorthand_for_use(load: Load) -> None:
    short = load(
        MINIMAL + "descriptions: [class]\nlabels: [frozen]\nloss: latte-clip/contrastive\n"
    )
    long = load(
        MINIMAL
        + "descriptions: [{use: class}]\nlabels: [{use: frozen}]\n"
        + "loss: {use: latte-clip/contrastive}\n"
    )
    assert short.resolved == long.resolved


def test_a_recipe_may_omit_keys_with_defaults(load: Load) -> None:
    recipe = load(MINIMAL)
    assert recipe.name == "r"
    assert recipe.describers == ()
    assert (recipe.descriptions, recipe.labels) == ((), ())
    assert [choice.spec.name for choice in recipe.reporters] == ["html", "model-card"]
    (main,) = recipe.learners
    assert (main.name, main.trainable.spec.name) == ("main", "all")
    assert main.prototypes.spec.name == "templates"
    assert main.loss is None


def test_a_choice_knows_its_package_and_its_label(load: Load) -> None:
    recipe = load(MINIMAL + "describer: {use: remote, model: x, name: mine}\n")
    (describer,) = recipe.describers
    assert (describer.distribution, describer.version, describer.label) == (
        "latte-scenes",
        "1.2",
        "mine",
    )
    assert recipe.dataset.label == "folder"


def test_top_level_keys_make_the_learner_main(load: Load) -> None:
    (main,) = load(TRAINING + "trainable: projections\n").learners
    assert main.trainable.spec.name == "projections"
    assert main.prototypes.spec.name == "momentum"
    assert main.loss is not None


def test_several_learners(load: Load) -> None:
    recipe = load(MINIMAL + LEARNERS)
    text, visual = recipe.learners
    assert text.optimizer is not None
    assert (text.name, text.optimizer.name) == ("text", "sgd")
    assert (text.prototypes.spec.name, visual.prototypes.spec.name) == ("templates", "momentum")
    assert visual.optimizer is None
    assert [*recipe.resolved["learners"][1]] == [
        "name",
        "optimizer",
        "trainable",
        "prototypes",
        "loss",
    ]


def test_learners_exclude_the_keys_of_a_single_one(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + LEARNERS + "trainable: all\n")
    assert message == (
        'r.yaml:10 trainable: "trainable" cannot stand beside "learners": each learner has its '
        "own\n"
        '  Move "trainable" into the learners, or remove "learners".'
    )


@pytest.mark.parametrize(
    ("learners", "message"),
    [
        ("[]", "r.yaml:4 learners: needs at least one learner"),
        ("{name: a}", "r.yaml:4 learners: expected a list, got a mapping"),
        ("[a]", 'r.yaml:4 learners.0: expected a mapping (key: value), got the text "a"'),
        ("[{name: a}, {name: a}]", 'learners.1: a second item of this list is called "a"'),
        ("[{name: ../a}]", 'learners.0.name: "../a" cannot be used as a name'),
        ("[{nam: a}]", 'learners.0.nam: unknown key "nam"\n  Did you mean "name"?'),
    ],
)
def test_mistakes_in_learners(complaints: Complaints, learners: str, message: str) -> None:
    (complaint,) = complaints(f"{MINIMAL}learners: {learners}\n")
    assert message in complaint


@pytest.mark.parametrize("train", ["{max_steps: 0}", "{max_epochs: 0}"])
def test_nothing_to_train_needs_neither_labels_nor_loss(load: Load, train: str) -> None:
    text = MINIMAL.replace("{max_steps: 0}", train)
    assert load(text).labels == ()


@pytest.mark.parametrize("train", ["{max_steps: 0}", "{max_epochs: 0}"])
def test_labels_without_a_step_need_no_loss(load: Load, train: str) -> None:
    found = load(MINIMAL.replace("{max_steps: 0}", train) + "labels: [frozen]\n")
    assert [choice.label for choice in found.labels] == ["frozen"]
    assert found.learners[0].loss is None


def test_training_needs_labels_and_a_loss(complaints: Complaints) -> None:
    assert complaints(MINIMAL, "train.max_steps=1") == [
        "r.yaml:1 labels: training needs pseudo-labels, and there are none\n"
        "  Add labels: [frozen, current], or train: {max_steps: 0} to train nothing.",
        'r.yaml:1 loss: training needs a loss, and the key "loss" is missing\n'
        "  Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
    ]


def test_every_trained_learner_needs_its_loss(complaints: Complaints) -> None:
    text = MINIMAL + LEARNERS.replace(", loss: latte-clip/contrastive}", "}") + "labels: [frozen]\n"
    (message,) = complaints(text, "train.max_steps=1")
    assert message.startswith("r.yaml:9 learners.visual.loss: training needs a loss")


@pytest.mark.parametrize("kind", ["image", "group", "scene"])
def test_descriptions_of_images_need_a_describer(complaints: Complaints, kind: str) -> None:
    (message,) = complaints(MINIMAL + f"descriptions: [class, {kind}]\n")
    assert f'r.yaml:4 descriptions.{kind}: "{kind}" is about images' in message
    assert "Add describer: phrases" in message


def test_descriptions_of_classes_need_none(load: Load) -> None:
    assert load(MINIMAL + "describer: null\ndescriptions: [class]\n").describers == ()


def test_two_of_a_kind_need_names(complaints: Complaints, load: Load) -> None:
    text = MINIMAL + "describer: phrases\ndescriptions: [image, {use: image}]\n"
    (message,) = complaints(text)
    assert message == (
        'r.yaml:5 descriptions.1: a second item of this list is called "image"\n'
        "  Give it a name of its own, as in: name: second"
    )
    named = load(text.replace("{use: image}", "{use: image, name: scene}"))
    assert [choice.label for choice in named.descriptions] == ["image", "scene"]


@pytest.mark.parametrize("name", ["a/b", "..", '""', "a b", "-x"])
def test_names_can_be_part_of_a_file_name(complaints: Complaints, name: str) -> None:
    (message,) = complaints(MINIMAL + f"descriptions: [{{use: class, name: {name}}}]\n")
    assert "cannot be used as a name" in message


@pytest.mark.parametrize("path", ["os.system", "module:Class", "latte-clip/os.system"])
def test_only_registered_components_can_be_named(complaints: Complaints, path: str) -> None:
    (message,) = complaints(MINIMAL + f'describer: {{use: "{path}"}}\n')
    assert message == (
        f'r.yaml:4 describer.use: "{path}" is a path to code, and a recipe can name registered '
        "components only\n  All names: latte components describer"
    )


def test_an_unknown_component_gets_the_nearest_name(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "describer: phrase\n")
    assert 'r.yaml:4 describer.use: no describer named "phrase" is installed' in message
    assert 'Did you mean "phrases"' in message


def test_a_component_is_named_by_use(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "describer: {model: x}\n")
    assert 'describer.use: the key "use" is missing' in message
    assert "All names: phrases, latte-scenes/remote" in message


@pytest.mark.parametrize("component", ["3", "[phrases]", "{use: 3}"])
def test_components_that_are_no_name_or_mapping_are_refused(
    complaints: Complaints, component: str
) -> None:
    (message,) = complaints(MINIMAL + f"describer: {component}\n")
    assert "expected the name of a component" in message


def test_a_component_whose_options_hide_a_key_of_recipes_is_refused(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "describer: reserved\n")
    assert "latte-scenes/reserved has an option name, which no recipe can set" in message


@pytest.mark.parametrize(
    ("model", "message"),
    [("plugin:smal", 'no model named "smal"'), ("plugin:a.b:c", "is a path to code")],
)
def test_models_of_plugins_must_be_installed(
    complaints: Complaints, load: Load, model: str, message: str
) -> None:
    (found,) = complaints(MINIMAL.replace("ViT-B-32", f'"{model}"'))
    assert found.startswith("r.yaml:1 backbone.model: ")
    assert message in found
    assert (
        load(MINIMAL.replace("ViT-B-32", "plugin:small")).backbone.options.model == "plugin:small"
    )


@pytest.mark.parametrize("key", ["backbone", "dataset"])
def test_every_recipe_has_a_backbone_and_a_dataset(complaints: Complaints, key: str) -> None:
    text = "".join(line for line in MINIMAL.splitlines(keepends=True) if not line.startswith(key))
    (message,) = complaints(text)
    assert message.startswith(f'r.yaml:1 {key}: the key "{key}" is missing\n  As in: {key}: {{')


def test_required_packages_are_installed(load: Load) -> None:
    requires = ["pydantic>=2", f"PyYAML=={version('pyyaml')}", "nowhere; python_version < '3'"]
    assert load(MINIMAL + f"requires: {requires}\n").requires == tuple(requires)


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        (
            "latte-nowhere>=0.1,<1",
            "this recipe needs latte-nowhere, which is not installed\n"
            '  pip install "latte-nowhere<1,>=0.1"',
        ),
        (
            "pydantic<1",
            f"this recipe needs pydantic <1, and {version('pydantic')} is installed\n"
            '  pip install "pydantic<1"',
        ),
        ("a b", '"a b" is not a package with a range of versions'),
        ("a @ https://example.org/a.whl", "is not a package with a range of versions"),
    ],
)
def test_missing_packages(complaints: Complaints, requirement: str, message: str) -> None:
    (found,) = complaints(MINIMAL + f'requires: [pydantic, "{requirement}"]\n')
    assert found.startswith("r.yaml:4 requires.1: ")
    assert message in found


@pytest.mark.parametrize("key", ["labels", "describers", "learners"])
def test_a_key_of_the_wrong_type_is_reported_once(complaints: Complaints, key: str) -> None:
    text = "".join(
        line
        for line in TRAINING.splitlines(keepends=True)
        if not line.startswith(
            {"describers": "describer", "learners": ("prototypes", "loss")}.get(key, key)
        )
    )
    (message,) = complaints(f"{text}{key}: 3\n")
    assert f"{key}: expected a list, got the number 3" in message


def test_rules_about_several_keys_are_checked_once_each_value_is_valid(
    complaints: Complaints,
) -> None:
    wrong = "[{nam: a}, {name: b, optimizer: 3}]"
    text = MINIMAL.replace("max_steps: 0", "max_steps: 1") + "seed: x\nlearners: " + wrong
    assert [message.split(": ")[0] for message in complaints(text)] == [
        "r.yaml:4 seed",
        "r.yaml:5 learners.0.nam",
        "r.yaml:5 learners.b.optimizer",
    ]
    valid = text.replace("seed: x", "seed: 1").replace(wrong, "[{name: a}, {name: b}]")
    assert [message.split(": ")[0] for message in complaints(valid)] == [
        "r.yaml:1 labels",
        "r.yaml:5 learners.a.loss",
        "r.yaml:5 learners.b.loss",
    ]


def test_a_component_without_use_is_reported_beside_other_mistakes(complaints: Complaints) -> None:
    messages = complaints(MINIMAL + "describer: {model: x}\nlabels: [forzen]\nloss: {}\n")
    assert [message.split(": ")[0] for message in messages] == [
        "r.yaml:4 describer.use",
        "r.yaml:5 labels.forzen.use",
        "r.yaml:6 loss.use",
    ]


def test_null_in_a_list_of_components_is_refused(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "descriptions: [class, null]\n")
    assert message == (
        "r.yaml:4 descriptions.1: expected the name of a component or a mapping with use: NAME, "
        "got nothing (null)"
    )


def test_a_describer_with_mistakes_may_have_any_name(complaints: Complaints) -> None:
    text = "describers: [phrases, {use: phrases, nme: second}]\n"
    (message,) = complaints(MINIMAL + text + "descriptions: [{use: image, by: second}]\n")
    assert 'unknown key "nme"' in message


def test_replaced_names_say_what_to_write(complaints: Complaints) -> None:
    old = 'requires: ["latte-transductive>=0.1,<0.2"]\nlabels: [transductive]\n'
    package, labeler = sorted(complaints(MINIMAL + old))
    assert "latte-transductive was replaced by latte-selftaught" in package
    assert 'Write "latte-selftaught>=0.1,<0.2".' in package
    assert 'the labeler "transductive" was replaced by "self-taught"' in labeler
    assert 'Write "self-taught".' in labeler
