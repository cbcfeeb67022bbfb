"""Find and call what opens a folder with a classifier, by the name in the folder's file."""

from __future__ import annotations

from pathlib import Path

from packaging.utils import canonicalize_name

from latte.interfaces import ImageClassifier, LatteError
from latte.interfaces.errors import error_line
from latte.interfaces.provider import Provider, note_provider
from latte.registry.discovery import STRICT_HINT, import_target, is_strict, raise_plugin_error
from latte.registry.registry import load_registry
from latte.registry.spec import ClassifierSpec, Plugin


def open_image_classifier(name: str, folder: Path, device: str, where: str) -> ImageClassifier:
    """Open the classifier in `folder` by the plugin's function `name`, a `DISTRIBUTION/NAME`.

    Raises `LatteError` at the place `where` if the plugin is missing or fails.
    """
    plugin, spec = _declared(name, where)
    try:
        classifier = import_target(spec.target)(folder, device)
    except LatteError:
        raise
    except Exception as error:
        if is_strict():
            raise_plugin_error(plugin.package, error)
        what = f'classifier "{name}" of {plugin.package} failed with {error_line(error)}'
        hint = f"upgrade the package, or report it to its authors\n  {STRICT_HINT}"
        raise LatteError(what, where=where, hint=hint) from error
    if not isinstance(classifier, ImageClassifier):
        what = f"{spec.target} returned no ImageClassifier"
        raise LatteError(what, where=where, hint=f"report it to the authors of {plugin.package}")
    note_provider(
        classifier, Provider(f"classifier {spec.name}", plugin.distribution, plugin.version)
    )
    return classifier


def _declared(name: str, where: str) -> tuple[Plugin, ClassifierSpec]:
    distribution, _, short_name = name.partition("/")
    package = canonicalize_name(distribution)
    plugins = [plugin for plugin in load_registry().plugins if plugin.distribution == package]
    for plugin in plugins:
        for spec in plugin.classifiers:
            if spec.name == short_name:
                return plugin, spec
    what = f'its classifier "{name}" needs the package {distribution}'
    if not plugins:
        raise LatteError(f"{what}, which is not installed", where=where, hint=f"install {package}")
    reason = plugins[0].error or "it has no classifier of this name: upgrade it"
    raise LatteError(f"{what}, which is {plugins[0].status}", where=where, hint=reason)
