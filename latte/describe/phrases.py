"""A describer without a language model: the frozen CLIP ranks phrases and names the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from latte.describe.options import PhraseOptions
from latte.describe.phrase_bank import PhraseBank, built_in_bank, read_bank
from latte.describe.sentence import sentence, with_article
from latte.files import digest
from latte.interfaces import Context, DescribedImage, Describer, DescribeRequest

VERSION = 1
"""Count up whenever the same bank and the same features would give another sentence."""

STANDS_OUT = 2.2
"""Standard deviations above its section's mean from which a phrase is worth saying."""


class PhraseDescriber(Describer[PhraseOptions]):
    """Names the phrases of a bank that lie nearest to the frozen CLIP's image feature.

    It does not read prompts: whatever is asked, the answer has the same form, and a prompt's only
    effect is that texts are stored under it. It does not decode images either; a group is
    described by the mean of its images' features, that is by what they have in common. It knows
    nothing that the frozen CLIP does not know, so it is a stand-in where no LMM is at hand.
    """

    def __init__(self, options: PhraseOptions, context: Context) -> None:
        super().__init__(options, context)
        path = options.bank
        self._bank = built_in_bank() if path is None else read_bank(context.path(path))

    @property
    def max_images(self) -> int:
        """As many as a built-in group can have; features are averaged."""
        return 16

    @property
    def batch_size(self) -> int:
        """Requests are cheap, and a batch costs one write to the disk."""
        return 256

    @cached_property
    def fingerprint(self) -> str:
        """The frozen CLIP, the bank's content and the options, whatever the bank's file is."""
        clip = self.context.frozen_clip().fingerprint
        shape = f"words={self.options.words} top={self.options.top}"
        return f"phrases-{VERSION}:{digest(clip, self._bank.digest, shape)}"

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """One sentence for each request, from its images' features alone."""
        return [self._describe(_mean_feature(request.images)) for request in requests]

    def _describe(self, feature: Tensor) -> str:
        wanted = {"objects": self.options.top, "textures": 2}
        found = {
            section: self._standing_out(section, feature, wanted.get(section, 1))
            for section in self._bank.sections
        }
        return sentence(found, self.options.words)

    def _standing_out(self, section: str, feature: Tensor, at_most: int) -> list[str]:
        phrases = self._bank.sections[section]
        if not phrases:
            return []
        # One image at a time: the bits of a batched product depend on who else is in the batch.
        # Rounded, so that other kernels and machines rarely disagree.
        scores = standard_scores(self._phrase_features[section] @ feature).round(decimals=4)
        best = scores.sort(descending=True, stable=True)
        threshold = standing_out(len(phrases))
        picked = zip(best.values[:at_most].tolist(), best.indices[:at_most].tolist(), strict=True)
        names = [phrases[row] for score, row in picked if score >= threshold]
        return names or ([phrases[int(best.indices[0])]] if section == "objects" else [])

    @cached_property
    def _phrase_features(self) -> Mapping[str, Tensor]:
        """(P, D) by section: unit rows without what all phrases of the section have in common."""
        prompts = _prompts(self._bank)
        return {name: distinctive(self._encode(texts)) for name, texts in prompts.items() if texts}

    def _encode(self, texts: Sequence[str]) -> Tensor:
        with torch.inference_mode():
            return self.context.frozen_clip().encode_texts(texts).float().cpu()


def distinctive(features: Tensor) -> Tensor:
    """(P, D) unit features -> (P, D) unit features at right angles to their mean.

    Without this, phrases near the mean of all texts come first for images of every kind, because
    of what an image has in common with texts as such.
    """
    common = normalize(features.mean(0), dim=0)
    return normalize(features - (features @ common)[:, None] * common, dim=1)


def standard_scores(similarities: Tensor) -> Tensor:
    """(P,) -> (P,): how many standard deviations each lies above the mean of all."""
    deviation = similarities.std(correction=0).clamp_min(1e-6)
    return (similarities - similarities.mean()) / deviation


def standing_out(phrases: int) -> float:
    """The score from which one of so many phrases is said.

    The best of P scores is at most sqrt(P - 1), so a small section needs a lower bar.
    """
    return float(min(STANDS_OUT, 0.5 * (phrases - 1) ** 0.5))


def _mean_feature(images: Sequence[DescribedImage]) -> Tensor:
    features = torch.stack([image.features for image in images]).float()
    return normalize(features.mean(0), dim=0)


def _prompts(bank: PhraseBank) -> dict[str, list[str]]:
    adjectives = ("materials", "colours", "textures")
    texts = {
        name: [f"a photo of {with_article(f'{phrase} thing')}." for phrase in bank.sections[name]]
        for name in adjectives
    }
    texts["objects"] = [f"a photo of {with_article(name)}." for name in bank.sections["objects"]]
    texts["scenes"] = [f"a photo of something {scene}." for scene in bank.sections["scenes"]]
    return texts
