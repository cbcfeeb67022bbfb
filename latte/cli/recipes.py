"""Commands on recipes: `latte new`, `check`, and `recipes` for the shipped recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from latte.cli import shared
from latte.interfaces import LatteError, RecipeErrors
from latte.new.arguments import NEW, file_or_names, naming_argument
from latte.recipe.dump import dump_yaml, yaml_lines
from latte.recipe.load import load_recipe
from latte.recipe.places import dotted
from latte.recipe.shipped import find, is_part, recipes_by_folder, shown
from latte.registry.registry import load_registry
from latte.report.output import echo, print_json, results, write_file
from latte.report.terminal import WIDTH, fitted, in_lines, indented

if TYPE_CHECKING:
    from latte.new.choices import Choices
    from latte.new.images import Findings
    from latte.recipe.model import Recipe

_WIDEST = 44
"""Largest column at which `latte check` aligns its comments."""


def new(
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="Your images.")],
    classes: shared.ClassesOption = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled images by class, to measure the gain."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The recipe to write.")
    ] = Path("recipe.yaml"),
    method: shared.MethodOption = "auto",
    model: shared.ModelOption = None,
    encoder: shared.EncoderOption = None,
) -> None:
    """Write a recipe for your images and this machine; run nothing."""
    from latte.data.few_images import quick_look
    from latte.new.adapting import check_method
    from latte.new.choices import choose
    from latte.new.encoders import encoder_keys
    from latte.new.images import look_at
    from latte.new.models import refuse_backbone, this_machine
    from latte.new.writing import recipe_text, write_recipe

    check_method(method, NEW.method)
    if output.exists():
        hint = "Name another file: --output FILE"
        raise LatteError("exists already, and is not overwritten", where=str(output), hint=hint)
    registry = load_registry()
    if model is not None:
        refuse_backbone(model, registry)
    with naming_argument(NEW.encoder):
        encoders = encoder_keys(encoder or (), registry)
    findings = look_at(images, file_or_names(classes), evaluation, arguments=NEW)
    machine = this_machine()
    choices = choose(findings, machine, registry, method, model, encoders)
    size = f", {findings.size[0]} x {findings.size[1]} pixels (median)" if findings.size else ""
    echo(in_lines(f"images: {findings.images:,}{size}"))
    echo(f"classes: {len(findings.class_names):,}")
    if findings.evaluation:
        echo(f"labelled images: {findings.labelled:,}")
    echo(in_lines(f"machine: {machine}"))
    print_reasons(findings, choices)
    for line in findings.left_out:
        echo(in_lines(f"warning: {line}"))
    write_recipe(output, recipe_text(findings, choices, output), registry)
    look = quick_look(findings.images, len(findings.class_names))
    limit = f" --limit {look}" if look else ""
    echo(in_lines(f"wrote {output}; next: latte run {output}{limit}"))


def print_reasons(findings: Findings, choices: Choices) -> None:
    """Print the reasons for the chosen settings, then warnings, with long lines wrapped."""
    from latte.new.adapting import reasons

    for line in reasons(findings, choices):
        echo(in_lines(line))


def check(
    recipe: shared.OptionalRecipeArgument = None,
    set_: shared.SetOption = None,
    plugin: shared.PluginOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the recipe and the origins as JSON.")
    ] = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--schema",
            help="Print a JSON Schema of recipes, with every installed component, for an editor.",
        ),
    ] = False,
) -> None:
    """Check a recipe, and print all its values; run nothing.

    Each value, defaults included, is printed with its origin.
    No model is loaded and no image is opened. The dataset's folders, class names and lists of
    images are checked, unless the dataset is slow to list. Warns of files that look like images
    but are not read, of links that leave the dataset's folder, and of too few images for the class
    names, and of labelled images that an earlier run of the recipe found to be near-copies of
    training images; before a run, says how to count them. Lists the files whose content a run sends
    to another machine, and the machine's address.
    """
    if schema:
        from latte.recipe.schema import recipe_schema

        if recipe or set_ or json:
            hint = "it is the same for all recipes: latte check --schema"
            raise LatteError("is used without other arguments", where="--schema", hint=hint)
        print_json(recipe_schema(load_registry()))
        return
    if recipe is None:
        hint = "latte check RECIPE; for a JSON Schema of all recipes: latte check --schema"
        raise LatteError("names no recipe", where="RECIPE", hint=hint)
    from latte.data.few_images import warn_of_few
    from latte.run.ready import check_dataset, check_models, load_recipe_or_saved
    from latte.run.sending import check_sending, sent_files

    shared.require_recipe(recipe)
    registry = load_registry()
    checked = load_recipe_or_saved(recipe, registry, set_ or ())
    errors, dataset = [], None
    try:
        check_models(checked, registry)
    except LatteError as error:
        errors.append(error)
    try:
        dataset = check_dataset(checked, registry)
        check_sending(checked, dataset, registry)
    except LatteError as error:
        errors.append(error)
    if errors:
        raise RecipeErrors(errors)
    if json:
        print_json({"recipe": checked.resolved, "origins": checked.origins})
    else:
        echo(annotated(checked.model_copy(update={"path": recipe})), nl=False)
    if dataset is not None:
        echo(f"class names: {shared.number_of_names(dataset.class_names)}", err=True)
        if sentences := sum(map(len, dataset.class_sentences)):
            echo(f"sentences about the classes: {sentences:,}", err=True)
        few = warn_of_few(len(dataset.training_images()), len(dataset.class_names))
        for warning in [*dataset.warnings(), *([few] if few else [])]:
            echo(f"warning: {warning}", err=True)
    for line in sent_files(checked, dataset):
        echo(line, err=True)
    has_labelled_images = dataset is not None and bool(dataset.evaluation_images())
    command = f"latte run {recipe}"
    if copies := _copies_line(checked, command, has_labelled_images=has_labelled_images):
        echo(in_lines(copies), err=True)


def _copies_line(recipe: Recipe, command: str, *, has_labelled_images: bool) -> str | None:
    """Return a line on test images that are near-copies, as a run of the recipe has found them.

    Before a run, the line names the `command` that counts them: this needs features and pixels of
    all images.
    """
    from latte.report.accuracy import copies_sentence
    from latte.run.workspace import run_folder

    try:
        results = run_folder(recipe, None).results
        if results.exists() and results.finished("evaluate") is not None:
            copies = results.read().evaluate.near_copies
            return f"warning: {copies_sentence(copies)}" if copies else None
    except LatteError:  # the run says what is damaged
        return None
    if not (has_labelled_images and recipe.series.near_copies):
        return None
    return f"labelled images that are near-copies of training images: `{command}` counts them"


def annotated(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML, with the origin of each value as a comment."""
    lines = [*yaml_lines(recipe.resolved)]
    column = min(_WIDEST, max(len(line.text) for line in lines))
    text = [f"# {recipe.path} is valid. With every default, and where each value comes from:"]
    text += [f"# It extends {shown(base)}." for base in recipe.bases]
    for line in lines:
        origin = recipe.origins.get(dotted(line.path), "") if line.holds_value else ""
        for base in recipe.bases:
            origin = origin.replace(f"{base}:", f"{shown(base)}:", 1)
        for recipe_path in (recipe.path.absolute(), recipe.path):
            origin = origin.replace(f"{recipe_path}:", "line ", 1)
        beside = f"{line.text:<{column}}  # {origin}" if origin else line.text
        if origin and len(beside) > WIDTH:
            indent = len(line.text) - len(line.text.lstrip())
            text.append(f"{' ' * indent}# {origin}")
            beside = line.text
        text.append(beside)
    return "".join(f"{line}\n" for line in text)


recipes: typer.Typer = shared.command_group(
    "recipes", "List, show and copy the recipes that come with latte."
)

NameArgument = Annotated[
    str,
    typer.Argument(
        help="A recipe's name, as in `flyp/sun397`.", autocompletion=shared.complete_shipped_recipe
    ),
]


@recipes.command("ls")
def list_(
    all_: Annotated[
        bool, typer.Option("--all", help="Also list the parts that recipes extend.")
    ] = False,
) -> None:
    """List the recipes by folder, with the purpose of each."""
    console = results()
    for folder, recipes_of_folder in recipes_by_folder(parts=all_).items():
        console.print(folder, style="bold")
        console.print(
            fitted(("", ""), [(indented(name), summary) for name, summary in recipes_of_folder])
        )
        console.print()
    echo(in_lines("Run one by its name: latte run demo. Read it: latte recipes show demo."))
    echo(in_lines("--all also lists the parts that they extend."))


@recipes.command()
def show(
    name: NameArgument,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Complete: with what it extends and every default.")
    ] = False,
) -> None:
    """Print a recipe as it is written, or with all values that it inherits and all defaults."""
    path = find(name)
    if not resolved:
        echo(path.read_text(encoding="utf-8"), nl=False)
        return
    if is_part(name):
        hint = "Show a recipe that extends it, as in: latte recipes show sun397 --resolved"
        raise LatteError(f'"{name}" is a part of recipes, and not a complete recipe', hint=hint)
    echo(dump_yaml(load_recipe(path, load_registry()).resolved), nl=False)


@recipes.command()
def copy(
    name: NameArgument,
    target: Annotated[
        Path | None,
        typer.Argument(help="A file, or a folder to copy it into.  [default: NAME.yaml, here]"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the target.")] = False,
) -> None:
    """Copy a shipped recipe, to change the copy. The copy still extends other shipped recipes."""
    source = find(name)
    file = Path(f"{name.replace('/', '-')}.yaml")
    if target is not None:
        file = target / file if target.is_dir() else target
    if file.exists() and not force:
        hint = "Name another file, or overwrite: --force"
        raise LatteError("exists already", where=str(file), hint=hint)
    write_file(file, source.read_text(encoding="utf-8"))
    echo(f"wrote {file}; print it with every default: latte check {file}")
