"""Describer `llava`: an image-text model of transformers in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

from PIL import Image

from latte.api import Choice, ChoiceRequest, Describer, DescribeRequest
from latte_llava.checkpoint import Checkpoint, find_checkpoint
from latte_llava.conversation import VERSION, Conversation
from latte_llava.loading import UNQUANTISED, choose_dtype, load_model, load_processor
from latte_llava.model import ImageTextModel, PreparedQuestion, Sampling
from latte_llava.options import LlavaOptions
from latte_llava.sampling import request_seed
from latte_llava.schedule import AnswerT, Ask, answer_all, free_memory
from latte_llava.views import View, image_cost, make_view

SEVERAL_IMAGES = 16
"""Largest number of images per question for models that were trained on several images."""
MADE_FOR_SEVERAL = frozenset(
    (
        "llava_onevision",
        "qwen2_vl",
        "qwen2_5_vl",
        "qwen3_vl",
        "qwen3_vl_moe",
        "idefics2",
        "idefics3",
        "smolvlm",
        "internvl",
        "mistral3",
        "gemma3",
        "aya_vision",
    )
)
"""Model types that were trained with several images per question."""
BATCHES_A_CALL = 4
"""Number of batches in one call of `describe`, which sorts its questions by cost."""


@dataclass(frozen=True)
class _Loaded:
    model: ImageTextModel
    view: View
    conversation: Conversation


class LlavaDescriber(Describer[LlavaOptions]):
    """Describer that runs an image-text model of transformers on the run's device."""

    _loaded: _Loaded | None = None
    _tokens = 0

    @cached_property
    def _checkpoint(self) -> Checkpoint:
        return find_checkpoint(self.options, self.context)

    @property
    def fingerprint(self) -> str:
        """Return a text that identifies the model, the prompts and the decoding options.

        Device and batch size are left out.
        """
        options, dtype = self.options, choose_dtype(self.options, self.context.device)
        facts = [
            f"llava-{VERSION} {self._checkpoint.identity}",
            f"max_new_tokens={options.max_new_tokens} temperature={options.temperature}",
            f"resolution={options.resolution} dtype={dtype} load_in={options.load_in}",
            f"system_prompt={json.dumps(options.system_prompt)}",
        ]
        if self.varies:
            facts.append(f"top_p={options.top_p}")
        if options.load_in != "none":
            facts.append(f"unquantised={','.join(UNQUANTISED)}")
        return " ".join(facts)

    @property
    def max_images(self) -> int:
        """Return the largest number of images per question: 1 if groups are shown as a grid."""
        separate = self.options.images == "separate" or (
            self.options.images == "auto" and self._checkpoint.config.model_type in MADE_FOR_SEVERAL
        )
        return SEVERAL_IMAGES if separate else 1

    @property
    def batch_size(self) -> int:
        """Return the number of questions per call of `describe`: several batches."""
        return self.options.batch_size * BATCHES_A_CALL

    @property
    def varies(self) -> bool:
        """Return True if texts are sampled, that is, above temperature 0."""
        return self.options.temperature > 0

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the number of generated tokens, without padding."""
        return {"tokens": self._tokens}

    def describe(self, requests: Sequence[DescribeRequest]) -> list[str]:
        """Return one text per request; the first call loads the weights."""
        return self._answered(requests, ImageTextModel.answer)

    def choose(self, requests: Sequence[ChoiceRequest]) -> list[Choice]:
        """Return, per request, the probability of each option's letter as the answer's first token.

        Temperature and `top_p` do not change the probabilities.
        """
        letters = [request.letters for request in requests]
        questions = [request.question() for request in requests]
        weights = self._answered(questions, ImageTextModel.weigh, letters)
        return [
            request.choice(letter_weights)
            for request, letter_weights in zip(requests, weights, strict=True)
        ]

    def _answered(
        self,
        requests: Sequence[DescribeRequest],
        ask: Ask[AnswerT],
        letters: Sequence[str] | None = None,
    ) -> list[AnswerT]:
        """Return one answer per request; choices also need the `letters` of their options."""
        if not requests:
            return []
        loaded = self._loaded = self._loaded or self._load()
        letters_of_requests = letters or [""] * len(requests)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as executor:
            questions = list(
                executor.map(partial(_question, loaded), requests, letters_of_requests)
            )
        return answer_all(loaded.model, questions, ask, self._count)

    def close(self) -> None:
        """Release the model and its memory."""
        self._loaded = None
        free_memory()

    def _count(self, tokens: int) -> None:
        self._tokens += tokens

    def _load(self) -> _Loaded:
        checkpoint, options = self._checkpoint, self.options
        device = self.context.device
        processor = load_processor(checkpoint)
        view = make_view(processor, checkpoint.config, options.resolution)
        conversation = Conversation(
            view.processor, checkpoint.config.model_type, options.system_prompt
        )
        dtype = choose_dtype(options, device)
        weights = load_model(checkpoint, options, dtype, device, view.processor.tokenizer)
        sampling = Sampling(options.temperature, options.top_p)
        model = ImageTextModel(weights, view.processor, conversation, sampling, options.batch_size)
        return _Loaded(model, view, conversation)


def _question(loaded: _Loaded, request: DescribeRequest, letters: str) -> PreparedQuestion:
    images: tuple[Image.Image, ...] = tuple(
        loaded.view.shown(image.open()) for image in request.images
    )
    text = loaded.conversation.text(request.prompt, len(images))
    pixels = sum(image_cost(image, loaded.view.processor) for image in images)
    keys = [image.key for image in request.images]
    seed = request_seed(keys, request.prompt, request.sample)
    return PreparedQuestion(images, text, seed, (pixels, len(text)), letters)
