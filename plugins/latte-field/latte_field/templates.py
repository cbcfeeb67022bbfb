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
from latte_field.base import FieldLabeler, Fit, Problem


class TemplatesLabeler(FieldLabeler[NoOptions]):
    """Labeler by the nearest class text, which is a mean over the 80 templates for ImageNet."""

    stream = "templates"

    def fit(self, problem: Problem) -> Fit:
        """Return the probabilities by the class texts, and these as classifier."""
        from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

        templates: Sequence[Callable[[str], str]] = OPENAI_IMAGENET_TEMPLATES
        names = self.training.class_names
        sentences = [[template(name) for template in templates] for name in names]
        return by_texts(problem, normalize(self.mean_texts(sentences).to(problem.texts), dim=1))

    def mean_texts(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """Return the mean features (C, D) of each class's sentences, not normalised."""
        flat = [sentence for own in sentences for sentence in own]
        features = self.context.frozen_clip().encode_texts(flat)
        return features.reshape(len(sentences), -1, features.shape[1]).mean(dim=1)


def by_texts(problem: Problem, texts: Tensor) -> Fit:
    """Return the zero-shot probabilities with other class texts (C, D), and their classifier."""
    rows = problem.scale * texts
    return Fit((problem.images @ rows.T).softmax(dim=1), problem.linear(rows))
