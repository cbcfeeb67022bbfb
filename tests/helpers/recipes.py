"""Recipes that tests load, and types of the fixtures that load them."""

from __future__ import annotations

from collections.abc import Callable

from latte.components import latte_components
from latte.recipe.model import Recipe
from latte.registry.discovery import discover_plugins
from latte.registry.registry import Registry
from latte.registry.spec import BUILTIN_DISTRIBUTION, ComponentSpec, Plugin

MINIMAL = """\
backbone: {model: ViT-B-32}
dataset: {use: folder, root: photos, classes: classes.txt}
train: {max_steps: 0}
"""
TRAINING = """\
backbone: {model: ViT-B-32, pretrained: laion2b_s34b_b79k}
dataset: {use: folder, root: photos, classes: classes.txt}
describer: phrases
descriptions: [class, image, {use: group, size: 4}]
labels: [frozen, current]
prototypes: {use: momentum, momentum: 0.99}
loss: latte-clip/contrastive
"""

Load = Callable[..., Recipe]
Complaints = Callable[..., list[str]]


def builtin_plugin() -> Plugin:
    specs = tuple(latte_components())
    return Plugin("latte", BUILTIN_DISTRIBUTION, "0.1", status="ok", specs=specs)


def registry_with(*specs: ComponentSpec) -> Registry:
    """Return the registry of all installed plugins and a plugin with these components."""
    plugin = Plugin("latte_test", "latte-test", "1", status="ok", specs=specs)
    return Registry([*discover_plugins(), plugin])


LEARNERS = """\
learners:
  - name: text
    trainable: text_layer_norms
    optimizer: {name: sgd, learning_rate: 0.1}
    loss: latte-clip/contrastive
  - {name: visual, prototypes: momentum, loss: latte-clip/contrastive}
"""


FIVE_MISTAKES = """\
backbone: {model: ViT-B-32}
dataset: {use: foldr, root: photos}
descriptions:
  - class
  - {use: image, promt: "What is it?"}
describer: phrases
labels: [frozen]
loss: latte-clip/contrastive
train:
  batch_size: "512"
  learning_rate: 1e-6
  warmup_steps: -1
"""
