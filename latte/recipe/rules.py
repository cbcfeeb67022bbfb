"""Step 5 of loading a recipe: check the rules about several keys.

Comes in: the valid keys of a recipe and its controls, and the merged documents. Goes out: nothing,
or one error that lists every broken rule. A new rule is a new function in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from latte.interfaces import LatteError, Options
from latte.interfaces.errors import suggestion
from latte.interfaces.measurements import ZERO_SHOT
from latte.interfaces.settings import BackboneSettings
from latte.recipe.component import find_component
from latte.recipe.errors import Check, Mistakes
from latte.recipe.merge import Merged
from latte.recipe.model import BACKBONE, LISTS, RecipeKeys, component_above
from latte.recipe.places import ENCODERS, LEARNERS, KeyPath, has
from latte.registry.registry import Registry
from latte.registry.spec import BY

_PLUGIN_MODEL = "plugin:"


def check_rules(
    variants: Mapping[KeyPath, RecipeKeys], documents: Merged, registry: Registry
) -> None:
    """Raise `RecipeErrors` if the recipe or one of its controls breaks a rule."""
    mistakes = Mistakes()
    for prefix, keys in variants.items():
        check = Check(documents.variants[prefix], registry, prefix, mistakes)
        for rule in RULES:
            rule(keys, check)
    mistakes.raise_if_any()


def _prompts_contain_no_variables(keys: RecipeKeys, check: Check) -> None:
    """Refuse variables in prompts: prompts are exported, and a variable may hold a secret."""
    for path, place in check.document.places.items():
        if not (place.variables and has(check.document.data, path)):
            continue
        head, component = component_above(path) or (path, None)
        option = str(path[len(head)]) if len(path) > len(head) else ""
        if component and component.kind in ("describer", "description") and "prompt" in option:
            for name in place.variables:
                what = f"a prompt cannot contain the variable {name}"
                reason = "prompts are stored and exported with the texts"
                check.add(path, f"{what}: {reason}", "Write the text itself.")


def _models_of_plugins_are_installed(keys: RecipeKeys, check: Check) -> None:
    options = keys.backbone.options
    if isinstance(options, BackboneSettings) and options.model.startswith(_PLUGIN_MODEL):
        try:
            find_component(check.registry, "model", options.model.removeprefix(_PLUGIN_MODEL))
        except LatteError as error:
            check.add((BACKBONE, "model"), error.what, error.hint)


def _items_of_a_list_have_different_names(keys: RecipeKeys, check: Check) -> None:
    """Refuse a name that occurs twice: results and files are named after components."""
    for key in LISTS:
        items = getattr(keys, key)
        names = [item.name if key == LEARNERS else item.label for item in items]
        for index, name in enumerate(names):
            if name in names[:index]:
                check.add(
                    (key, index),
                    f'a second item of this list is called "{name}"',
                    "Give it a name of its own, as in: name: second",
                )


def _encoders_and_learners_have_different_names(keys: RecipeKeys, check: Check) -> None:
    """Refuse an encoder with a learner's name: classifiers have the names of both."""
    names_in_use = {learner.name for learner in keys.learners} | {ZERO_SHOT}
    for index, encoder in enumerate(keys.encoders):
        if encoder.label in names_in_use:
            check.add(
                (ENCODERS, index),
                f'a learner is called "{encoder.label}", too',
                "Give the encoder another name, as in: name: eyes",
            )


def _training_needs_learners_labels_and_a_loss(keys: RecipeKeys, check: Check) -> None:
    if not keys.learners:
        check.add((LEARNERS,), "needs at least one learner")
    if not keys.train.takes_steps:
        return
    if not keys.labels:
        check.add(
            ("labels",),
            "training needs pseudo-labels, and there are none",
            "Add labels: [frozen, current], or train: {max_steps: 0} to train nothing.",
        )
    for index, learner in enumerate(keys.learners):
        if learner.loss is None:
            check.add(
                (LEARNERS, index, "loss"),
                'training needs a loss, and the key "loss" is missing',
                "Add loss: contrastive, or train: {max_steps: 0} to train nothing.",
            )


def _descriptions_have_a_describer(keys: RecipeKeys, check: Check) -> None:
    """Refuse descriptions that ask an unknown describer, or one where there is none.

    Without a describer, one mistake is reported: for the first description that needs one.
    """
    names = [describer.label for describer in keys.describers]
    for index, choice in enumerate(keys.descriptions):
        path = ("descriptions", index)
        if choice.by is not None and choice.scope == "class":
            what = f'"{choice.label}" is about classes, and asks no describer'
            check.add((*path, BY), what, f'Remove "{BY}".')
        elif not names and choice.scope in ("image", "group"):
            check.add(
                path,
                f'"{choice.label}" is about images, and there is no describer to look at them',
                "Add describer: phrases, or another: latte components describer",
            )
            break
        elif choice.by is not None and names and choice.by not in names:
            what = f'no describer of this recipe is called "{choice.by}"'
            check.add((*path, BY), what, suggestion(choice.by, names, "Its describers"))


def _questions_have_a_describer_and_a_budget(keys: RecipeKeys, check: Check) -> None:
    names = [describer.label for describer in keys.describers]
    asking = [
        index
        for index, labeler in enumerate(keys.labels)
        if labeler.options.questions_to is not None
    ]
    if not asking:
        return
    path, choice = ("labels", asking[0]), keys.labels[asking[0]]
    name = choice.options.questions_to
    if len(asking) > 1:
        what = "only one labeler of a recipe may ask questions, as there is one budget"
        check.add(("labels", asking[1]), what, "Remove one of them.")
    if not names:
        what = f'"{choice.label}" asks questions about images, and there is no describer'
        check.add(path, what, "Add one that answers: latte components describer")
    elif name and name not in names:
        what = f'no describer of this recipe is called "{name}"'
        check.add((*path, "describer"), what, suggestion(name, names, "Its describers"))
    if keys.budget is None:
        what = f'"{choice.label}" asks questions, and the key "budget" is missing'
        check.add(path, what, "Add the largest number of questions, as in budget: 300.")
    elif 0 < keys.budget < (fewest := choice.options.fewest_questions):
        what = (
            f"the budget is {keys.budget} questions; fewer than {fewest} do not show whether a "
            "describer is right"
        )
        hint = f"Allow {fewest} questions or more, or write budget: 0 to ask none."
        check.add(("budget",), what, hint)


def _oracle_is_set_if_true_labels_are_used(keys: RecipeKeys, check: Check) -> None:
    """Refuse options that use true labels without `oracle: true`, and the other way round."""
    paths = [
        ("descriptions", index, key)
        for index, choice in enumerate(keys.descriptions)
        for key in choice.options.oracle_options
        if getattr(choice.options, key) is not None
    ]
    if keys.oracle and not paths:
        check.add(
            ("oracle",),
            "oracle is true, and nothing here uses ground-truth labels of training images",
            "Write oracle: false, or set correct: NUMBER of a group description.",
        )
    for path in () if keys.oracle else paths:
        check.add(
            path,
            f'"{path[-1]}" uses ground-truth labels of training images, and oracle: true is '
            "missing",
            f'Add oracle: true beside "{path[0]}" if this is an ablation; its results are then '
            "marked as those of an oracle.",
        )


def _budget_has_a_labeler_that_obeys_it(keys: RecipeKeys, check: Check) -> None:
    """Refuse a budget if no labeler asks questions: a budget does not limit descriptions.

    Controls are not checked, because they inherit the recipe's budget.
    """
    described = [choice.label for choice in keys.descriptions if choice.scope != "class"]
    obeys = any(labeler.options.questions_to is not None for labeler in keys.labels)
    is_set = keys.budget is not None and not check.prefix
    if obeys or not (is_set and described and keys.describers):
        return
    askers = ", ".join(_askers(check.registry)) or "none is installed"
    check.add(
        ("budget",),
        '"budget" limits the questions of a labeler, and no labeler here asks any: requests '
        f'for the description "{described[0]}" have no limit',
        "Write budget: null, and count the requests with latte describe RECIPE --dry-run; or "
        f"add a labeler that obeys a budget: {askers}",
    )


def _askers(registry: Registry) -> Iterator[str]:
    """Yield the names of installed labelers that ask questions; skip broken plugins."""
    for registered in registry.all("labeler"):
        with suppress(LatteError):
            model = registry.options_model(registered)
            if model.questions_to is not Options.questions_to:
                yield registered.spec.name


RULES: tuple[Callable[[RecipeKeys, Check], None], ...] = (
    _prompts_contain_no_variables,
    _models_of_plugins_are_installed,
    _items_of_a_list_have_different_names,
    _encoders_and_learners_have_different_names,
    _training_needs_learners_labels_and_a_loss,
    _descriptions_have_a_describer,
    _questions_have_a_describer_and_a_budget,
    _oracle_is_set_if_true_labels_are_used,
    _budget_has_a_labeler_that_obeys_it,
)
