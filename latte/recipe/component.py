"""Fields of a recipe that name a component: look it up in the registry, and check its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from latte.interfaces import LatteError, Options
from latte.io.paths import is_label
from latte.recipe.fields import combined, model_of
from latte.registry.registry import Registry
from latte.registry.spec import (
    BUILTIN_DISTRIBUTION,
    BY,
    FILE_ENDING,
    NAME,
    USE,
    Kind,
    Registered,
    reserved_keys,
)

KIND = "latte kind"
"""Key that marks a component in the JSON schema of `Recipe`; its value is the kind."""


@dataclass(frozen=True)
class ChosenComponent(Registered):
    """One component that a recipe uses: `{use: NAME, name: LABEL, ...options}`."""

    label: str
    """The key `name` in the recipe, else the component's short name; unique within its list."""
    options: Options
    by: str | None = None
    """Label of the describer that a description asks; None means the recipe's first describer."""

    @property
    def shown_name(self) -> str:
        """Name of the component in messages: its label in the recipe."""
        return self.label

    @property
    def scope(self) -> str | None:
        """Scope of a description: `class`, `image` or `group`; None for other kinds."""
        return getattr(type(self.options), "scope", None)


@dataclass(frozen=True)
class ComponentField:
    """Annotation of a field that names a component of one kind."""

    kind: Kind
    default: str | None = None
    """Component that is meant if the recipe writes options without `use`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema that converts plain data to a `ChosenComponent`, and back."""
        return core_schema.with_info_plain_validator_function(
            self._choice,
            serialization=core_schema.plain_serializer_function_ser_schema(_written, info_arg=True),
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """Return a marker, which `recipe_schema` replaces by the installed components."""
        return {KIND: self.kind}

    def found(self, value: Any, registry: Registry) -> tuple[Registered, type[Options]]:
        """Return the installed component that `value` names, and the class of its options."""
        use = value.get(USE, self.default) if isinstance(value, Mapping) else None
        if use is None:
            names = (written_name(registry, registered) for registered in registry.all(self.kind))
            raise LatteError(
                'the key "use" is missing: it names the component',
                hint=f"Add use: NAME. All names: {', '.join(names)}.",
            )
        registered = find_component(registry, self.kind, str(use))
        model = registry.options_model(registered)
        if reserved := {*reserved_keys(self.kind)} & {*model.model_fields}:
            raise LatteError(
                f"{registered.full_name} has an option {min(reserved)}, which no recipe can set",
                hint=f"Report it to the authors of {registered.distribution}.",
            )
        return registered, model

    def _choice(self, value: Any, info: ValidationInfo) -> ChosenComponent:
        if isinstance(value, ChosenComponent):
            return value
        if not isinstance(value, Mapping):
            raise expected("the name of a component or a mapping with use: NAME")
        if not isinstance(value.get(USE, ""), str):
            raise combined([_at(USE, expected("the name of a component"))])
        assert isinstance(info.context, Registry), "names of components depend on the registry"
        try:
            registered, model = self.found(value, info.context)
        except LatteError as error:
            raise combined([_at(USE, mistake(error.what, error.hint))]) from error
        errors: list[ErrorDetails] = []
        reserved = reserved_keys(self.kind)
        values = {key: below for key, below in value.items() if key not in reserved}
        names = {key: below for key, below in value.items() if key in reserved and key != USE}
        options = _checked(model, values, errors, reserved)
        labels = _checked(_NameKeys, names, errors)
        if options is None or labels is None:
            raise combined(errors)
        label = labels.name or registered.spec.name
        distribution, version = registered.distribution, registered.version
        by = labels.by or None
        return ChosenComponent(registered.spec, distribution, version, label, options, by)


def mistake(what: str, hint: str | None = None) -> PydanticCustomError:
    """Return an error for a validator to raise: a message in latte's words, and the fix."""
    return PydanticCustomError("mistake", "{what}", {"what": what, "hint": hint or ""})


def expected(what: str) -> PydanticCustomError:
    """Return an error for a validator to raise: the value has the wrong type."""
    return PydanticCustomError("expected", "expected {expected}", {"expected": what})


def find_component(registry: Registry, kind: Kind, name: str) -> Registered:
    """Return the installed component that a recipe calls `name`.

    Raises `LatteError` if there is none, or if `name` is a path to code. The name of a package may
    be that of a file which a person named on the command line, as in `my_loss.py/cosine`.
    """
    package, _, component = name.rpartition("/")
    if any(mark in package.removesuffix(FILE_ENDING) + component for mark in ":."):
        raise LatteError(
            f'"{name}" is a path to code, and a recipe can name registered components only',
            hint=f"All names: latte components {kind}",
        )
    return registry.get(kind, name)


def written_name(registry: Registry, registered: Registered) -> str:
    """Return the name that a resolved recipe uses for a component.

    A built-in component gets its short name, unless another package has the same name. Every other
    component gets its full name, which stays unique if packages are installed later.
    """
    if registered.distribution != BUILTIN_DISTRIBUTION:
        return registered.full_name
    names = [component.spec.name for component in registry.all(registered.spec.kind)]
    is_unique = names.count(registered.spec.name) == 1
    return registered.spec.name if is_unique else registered.full_name


def unusable(name: str) -> tuple[str, str]:
    """Return message and hint for a name that cannot be part of a file name."""
    return f'"{name}" cannot be used as a name', "Use letters, digits, _ - and . (not in front)."


def _usable(name: str) -> str:
    if not is_label(name):
        raise mistake(*unusable(name))
    return name


ItemLabel = Annotated[str, AfterValidator(_usable)]
"""Name of a list item or a control, which becomes part of file names."""


class _NameKeys(BaseModel):
    """Keys that components have beside their options."""

    model_config = ConfigDict(extra="forbid")

    name: ItemLabel = ""
    by: ItemLabel = ""


def _checked(
    model: type[Any], values: Any, errors: list[ErrorDetails], other_keys: Sequence[str] = ()
) -> Any:
    """Return `values` as an object of the class `model`; None if errors were added to `errors`."""
    try:
        return model_of(model, values, None, other_keys)
    except ValidationError as error:
        errors += error.errors(include_url=False)
    except LatteError as error:
        errors.append(_at(None, mistake(error.what, error.hint)))
    return None


def _at(key: str | None, error: PydanticCustomError) -> ErrorDetails:
    """Return the error with the key of the component that it is about; None: the whole of it."""
    loc = () if key is None else (key,)
    context, message = error.context or {}, error.message()
    return ErrorDetails(type=error.type, loc=loc, msg=message, input=None, ctx=context)


def _written(choice: ChosenComponent | dict[str, Any], info: SerializationInfo) -> dict[str, Any]:
    """Return the component as a resolved recipe names it; `info.context` is the registry.

    A default is returned as it is.
    """
    if not isinstance(choice, ChosenComponent):
        return choice
    assert isinstance(info.context, Registry), "names of components depend on what is installed"
    label = {NAME: choice.label} if choice.label != choice.spec.name else {}
    by = {BY: choice.by} if choice.by else {}
    use = written_name(info.context, choice)
    return {USE: use, **label, **by, **choice.options.model_dump(mode="json")}
