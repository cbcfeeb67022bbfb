"""Eighty templates: each class text is the mean of 80 sentences.

Source: Radford et al.: *Learning Transferable Visual Models From Natural Language Supervision*,
ICML 2021, section 3.1.4 ("ensembling over multiple zero-shot classifiers").

    t_c = unit(mean over the 80 templates of f(template with the name of c))

The templates are those for ImageNet, as open_clip lists them. A recipe can also name them as the
dataset's `template`; then all labelers and the zero-shot row use them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import normalize

from latte.api import NoOptions
from latte_field.texts import TextsLabeler


class TemplatesLabeler(TextsLabeler[NoOptions]):
    """Labeler by the nearest class text, which is a mean over the 80 templates for ImageNet."""

    stream = "templates"

    def class_texts(self, texts: Tensor) -> Tensor:
        """Return the unit mean features of each class's sentences."""
        from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

        templates: Sequence[Callable[[str], str]] = OPENAI_IMAGENET_TEMPLATES
        names = self.training.class_names
        sentences = [template(name) for name in names for template in templates]
        features = self.context.frozen_clip().encode_texts(sentences)
        means = features.reshape(len(names), -1, features.shape[1]).mean(dim=1)
        return normalize(means.to(texts), dim=1)
