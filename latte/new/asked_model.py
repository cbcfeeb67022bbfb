"""Large multimodal model (LMM) on a server, which `latte adapt --ask-model` asks about images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from latte.interfaces import LatteError
from latte.registry.registry import Registry
from latte.registry.spec import USE, Kind
from latte.report.numbers import plural

QUESTIONS = 60
"""Number of questions unless the user names one."""
DESCRIBER: tuple[Kind, str] = ("describer", "openai")
LABELER: tuple[Kind, str] = ("labeler", "choices")
_PACKAGES = {DESCRIBER: "latte-openai", LABELER: "latte-questions"}
_ARGUMENTS = {"base_url": "--ask-url", "model": "--ask-model"}
"""Options of the describer, and the arguments that set them."""


@dataclass(frozen=True)
class AskedModel:
    """An LMM, the address of its server, and the largest number of questions to it."""

    name: str
    url: str
    questions: int = QUESTIONS

    @property
    def describer(self) -> Mapping[str, str]:
        """Keys of the recipe's describer."""
        return {USE: DESCRIBER[1], "base_url": self.url, "model": self.name}

    @property
    def sent(self) -> str:
        """Phrase that says how much the server gets at most; each question shows one image."""
        host = urlsplit(self.url).netloc
        return f"at most {plural(self.questions, 'image')}, and the class names, to {host}"


def asked_model(
    name: str | None, url: str | None, questions: int | None, registry: Registry
) -> AskedModel | None:
    """Return the model that the arguments name; None if they name none.

    Raises `LatteError` if an argument is missing or wrong, or if a package is not installed.
    """
    if name is None:
        for argument, value in (("--ask-url", url), ("--questions", questions)):
            if value is not None:
                hint = "name the model, too: --ask-model NAME"
                raise LatteError("is used with --ask-model only", where=argument, hint=hint)
        return None
    if url is None:
        hint = "name its server's address, as in --ask-url http://localhost:8000/v1"
        raise LatteError("needs --ask-url", where="--ask-model", hint=hint)
    asked = AskedModel(name, url.strip(), QUESTIONS if questions is None else questions)
    _refuse_absent(registry)
    _check(asked.describer, registry)
    _refuse_few(asked.questions, registry)
    return asked


def _refuse_absent(registry: Registry) -> None:
    """Raise `LatteError` that names the packages to install, if one is not installed."""
    absent = [
        package
        for (kind, name), package in _PACKAGES.items()
        if not any(component.spec.name == name for component in registry.all(kind))
    ]
    if absent:
        what = f"needs {' and '.join(absent)}"
        hint = f"pip install {' '.join(absent)}"
        raise LatteError(what, where="--ask-model", hint=hint)


def _refuse_few(questions: int, registry: Registry) -> None:
    """Raise `LatteError` if there are too few questions for the labeler."""
    fewest = registry.options_model(registry.get(*LABELER))().fewest_questions
    if questions < fewest:
        what = f"{plural(questions, 'question')} cannot show whether a model is right"
        hint = f"allow {fewest} or more, as a wrong model costs accuracy"
        raise LatteError(what, where="--questions", hint=hint)


def _check(keys: Mapping[str, Any], registry: Registry) -> None:
    """Raise `LatteError` if the describer refuses its options."""
    options = {key: value for key, value in keys.items() if key != USE}
    try:
        registry.options_model(registry.get(*DESCRIBER)).model_validate(options)
    except ValidationError as error:
        mistake = error.errors(include_url=False, include_input=False)[0]
        where = _ARGUMENTS.get(str(mistake["loc"][0]), "--ask-model")
        raise LatteError(mistake["msg"].removeprefix("Value error, "), where=where) from None
