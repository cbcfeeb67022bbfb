"""Mistakes in settings and options are explained in plain words."""

import pytest

from tests.helpers.recipes import MINIMAL, TRAINING, Complaints, Load

REMOTE = "describer: {{use: remote, model: x, {0}}}\n"


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ("batch_size: 0", "batch_size: must be greater than 0, got 0"),
        ("max_epochs: -1", "max_epochs: must be at least 0, got -1"),
        ("optimizer: {momentum: 2}", "optimizer.momentum: must be at most 1.0, got 2"),
        ("batch_size: true", "batch_size: expected a whole number, got true"),
        ("batch_size: null", "batch_size: expected a whole number, got nothing (null)"),
        (
            'batch_size: "512"',
            'batch_size: expected a whole number, got the text "512"\n  Remove the quotes: 512',
        ),
        (
            "batch_size: 1_000",
            'batch_size: expected a whole number, got the text "1_000"\n'
            "  Write 1000, without quotes.",
        ),
        (
            "batch_size: 1e3",
            "batch_size: expected a whole number, got the number 1000.0\n  Write 1000.",
        ),
        ("batch_size: 1.5", "batch_size: expected a whole number, got the number 1.5"),
        ("batch_size: many", 'batch_size: expected a whole number, got the text "many"'),
        ("batch_size: [1]", "batch_size: expected a whole number, got a list"),
        ("optimizer: {betas: 0.9}", "betas: expected a list, got the number 0.9\n  Write it in br"),
        ("optimizer: {betas: [0.9]}", "betas: needs more items than the 1 that are given"),
        ("optimizer: {betas: [0, 0, 0]}", "betas: takes at most 2 items, got 3"),
        ("optimizer: {betas: [0, x]}", 'betas.1: expected a number, got the text "x"'),
        (
            "schedule: cosin",
            'schedule: must be cosine or constant, got the text "cosin"\n  Did you mean "cosine"?',
        ),
        ("schedule: 3", "schedule: must be cosine or constant, got the number 3"),
        (
            "batch_sise: 3",
            'batch_sise: unknown key "batch_sise"\n  Did you mean "batch_size"? All keys here: ba',
        ),
        ("optimizer: {lr: 1}", 'optimizer.lr: unknown key "lr"\n  All keys here: name, learning_'),
    ],
)
def test_settings(complaints: Complaints, train: str, message: str) -> None:
    text = MINIMAL.replace("{max_steps: 0}", f"{{max_steps: 0, {train}}}")
    (found,) = complaints(text)
    assert found.startswith("r.yaml:3 train.")
    assert message in found


def test_whole_numbers_do_for_numbers(load: Load) -> None:
    assert load(MINIMAL, "train.optimizer.weight_decay=1").train.optimizer.weight_decay == 1.0


@pytest.mark.parametrize(
    ("key", "home"),
    [
        ("train: {max_steps: 0, learning_rate: 1}", "train.optimizer"),
        ("train: {max_steps: 0, model: x}", "backbone"),
        ("train: {max_steps: 0, seed: 1}", "the top of the recipe"),
        ("train: {max_steps: 0}\nmax_epochs: 1", "train"),
        ("train: {max_steps: 0}\nevaluate: {root: x}", "dataset"),
    ],
)
def test_a_misplaced_key_is_reported_with_its_place(
    complaints: Complaints, key: str, home: str
) -> None:
    (message,) = complaints(MINIMAL.replace("train: {max_steps: 0}", key))
    assert message.endswith(f"\n  It belongs to {home}.")


def test_a_mapping_in_place_of_a_list_is_no_place_of_keys(complaints: Complaints) -> None:
    text = MINIMAL + "descriptions: {imge: {use: image}}\nevaluate: {prompt: x}\n"
    misplaced = complaints(text)[1]
    assert misplaced.startswith('r.yaml:5 evaluate.prompt: unknown key "prompt"\n  All keys here')


def test_an_unknown_top_level_key_suggests_the_nearest(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "lables: [frozen]\n")
    assert message.startswith(
        'r.yaml:4 lables: unknown key "lables"\n  Did you mean "labels"? All keys here: name, seed'
    )


def test_a_misspelt_key_is_reported_once(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL.replace("model:", "modle:"))
    assert 'unknown key "modle"' in message


def test_a_missing_key_is_reported_with_its_description(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL.replace("root: photos, ", ""))
    assert message.startswith('r.yaml:2 dataset.root: the key "root" is missing\n  Add root: ...')
    assert "folder of the training images" in message


def test_a_section_is_a_mapping(complaints: Complaints) -> None:
    messages = complaints(MINIMAL.replace("{max_steps: 0}", ""))
    assert messages == ["r.yaml:3 train: expected a mapping (key: value), got nothing (null)"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("frozen", 'expected a list, got the text "frozen"\n  Write it in brackets: [frozen].'),
        ("{use: frozen}", "expected a list, got a mapping\n  Put a - in front, or [ ] around it."),
        ("null", "expected a list, got nothing (null)\n  Write []."),
    ],
)
def test_lists_are_lists(complaints: Complaints, labels: str, message: str) -> None:
    assert complaints(MINIMAL + f"labels: {labels}\n") == [f"r.yaml:4 labels: {message}"]


@pytest.mark.parametrize(
    ("general", "message"),
    [
        ("output: 3", 'output: expected text, got the number 3\n  Put it in quotes: "3".'),
        ("name: 007", 'name: expected text, got the number 7\n  Put it in quotes: "007".'),
        ("output: 1.50", 'output: expected text, got the number 1.5\n  Put it in quotes: "1.50".'),
        ("output: true", 'output: expected text, got true\n  Put it in quotes: "true".'),
        ("name: my run", 'name: "my run" does not match the pattern'),
        ("requires: [3]", "requires.0: expected text, got the number 3"),
        ("trainable: null", "trainable: names no component"),
        ("prototypes: null", "prototypes: names no component"),
        ("trainable: al", 'trainable.use: no trainable named "al" is installed'),
    ],
)
def test_the_plain_keys_at_the_top(complaints: Complaints, general: str, message: str) -> None:
    (found,) = complaints(MINIMAL + general + "\n")
    assert found.startswith(f"r.yaml:4 {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("limit: 1.5", "limit: expected a whole number or text, got the number 1.5"),
        ("limit: [1]", "limit: expected a whole number or text, got a list"),
        ("retry: {times: 2}", 'retry.wait: the key "wait" is missing\n  Add wait: ... (seconds)'),
        ("retry: {wait: 1, time: 2}", 'retry.time: unknown key "time"\n  Did you mean "times"?'),
        (
            "retry: 'yes'",
            'retry: expected a mapping (key: value) or true or false, got the text "yes"\n'
            "  Write true, without quotes.",
        ),
        ("headers: {a: 1}", "headers.a: expected text, got the number 1"),
        ("cache: 1", "cache: expected text, got the number 1"),
        ("patience: x", "patience: input should be a valid duration"),
    ],
)
def test_options_of_plugins(complaints: Complaints, options: str, message: str) -> None:
    (found,) = complaints(MINIMAL + REMOTE.format(options))
    assert found.startswith(f"r.yaml:4 describer.{message}")


def test_the_message_of_a_plugin_validator_is_quoted(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + 'describer: {use: remote, model: "http://x"}\n')
    assert message == "r.yaml:4 describer.model: takes a name, not an address"


def test_options_of_plugins_keep_their_own_defaults(load: Load) -> None:
    resolved = load(MINIMAL + REMOTE.format("stops: [a], cache: x/y")).resolved["describers"][0]
    assert resolved["cache"] == "x/y"
    assert resolved["patience"] == "PT5S"
    assert resolved["stops"] == ["a"]


def test_a_component_without_options_takes_none(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "reporters: [{use: silent, loud: 1}]\n")
    assert message.startswith('r.yaml:4 reporters.silent.loud: unknown key "loud"')


def test_mistakes_come_in_the_order_of_the_file_each_once(complaints: Complaints) -> None:
    text = TRAINING.replace("size: 4", "size: 99").replace("class, image", 'class, "${NOBODY}"')
    messages = complaints("seed: x\n" + text + "train: {a: 1, batch_size: 0}\nseed: 1\n")
    assert [message.split(": ")[0] for message in messages] == [
        "r.yaml:1 seed",
        "r.yaml:5 descriptions.1",
        "r.yaml:5 descriptions.group.size",
        "r.yaml:9 train.a",
        "r.yaml:9 train.batch_size",
        "r.yaml:10 seed",
    ]


def test_merge_keys_of_yaml_1_1_are_refused_with_a_way_out(complaints: Complaints) -> None:
    (message,) = complaints(MINIMAL + "evaluate: {<<: {batch_size: 1}}\n")
    assert 'evaluate.<<: unknown key "<<"' in message
    assert "extend another recipe" in message
