"""WaffleCLIP: class texts with random words and characters.

Source: Roth et al.: *Waffling around for Performance: Visual Classification with Random Words and
Broad Concepts*, ICCV 2023, arXiv 2306.07282, section 3.2.

    sentences of c: "{c}, which has {two random words}." and "{c}, which has {random characters}."
    score of c = mean over its sentences of x · f(sentence)

The 15 pairs of sentences have the same words for all classes. They stand in the dataset's template,
as in "a photo of a cat, which has window river.". Words are drawn from the list below, by the
run's seed.
"""

from __future__ import annotations

import string

import torch
from pydantic import Field
from torch import Tensor

from latte.api import Options
from latte_field.texts import TextsLabeler

WORDS = (
    *("apple", "arrow", "basket", "beach", "bell", "bottle", "branch", "bread", "bridge", "button"),
    *("candle", "carpet", "castle", "chair", "circle", "clock", "cloud", "corner", "cotton", "cup"),
    *("curtain", "desert", "door", "dress", "drum", "engine", "farm", "feather", "fence", "field"),
    *("finger", "flame", "flower", "forest", "garden", "glass", "hammer", "harbour", "hat", "hill"),
    *("island", "jacket", "kettle", "ladder", "lamp", "leaf", "letter", "market", "mirror", "moon"),
    *("morning", "mountain", "needle", "ocean", "paper", "pencil", "pillow", "plate", "pocket"),
    *("rain", "ring", "river", "road", "rope", "salt", "school", "shadow", "ship", "shoulder"),
    *("silver", "spoon", "station", "stone", "street", "summer", "table", "ticket", "tower"),
    *("village", "wall", "water", "wheel", "window", "winter", "wire", "wood", "wool", "yard"),
)
_LETTERS = string.ascii_lowercase + string.digits
_WORD_LENGTH = 5


class WaffleOptions(Options):
    """Options of the labeler `waffle`."""

    pairs: int = Field(
        default=15, ge=1, description="sentences with words, and as many with characters"
    )


class WaffleLabeler(TextsLabeler[WaffleOptions]):
    """Labeler by mean similarities with class texts that have random words."""

    stream = "waffle"

    def class_texts(self, texts: Tensor) -> Tensor:
        """Return the mean features of each class's sentences."""
        names, ends = self.training.class_names, self._ends()
        sentences = [f"{name}, which has {end}" for name in names for end in ends]
        features = self.training.encode_names(sentences)
        return features.reshape(len(names), len(ends), -1).mean(dim=1).to(texts)

    def _ends(self) -> list[str]:
        """Return the random ends of the sentences, words and characters in turns."""
        generator = torch.Generator().manual_seed(self.context.seed)

        def drawn(choices: tuple[str, ...] | str, count: int) -> list[str]:
            places = torch.randint(len(choices), (count,), generator=generator)
            return [choices[place] for place in places.tolist()]

        ends = []
        for _ in range(self.options.pairs):
            ends.append(" ".join(drawn(WORDS, 2)))
            ends.append(", ".join("".join(drawn(_LETTERS, _WORD_LENGTH)) for _ in range(2)))
        return ends
