"""The model, which answers batches of questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from latte.api import LatteError
from latte_llava.conversation import Conversation
from latte_llava.library import transformers
from latte_llava.sampling import GumbelNoise

SENTENCEPIECE_SPACE, BYTE_LEVEL_SPACE = "▁", "Ġ"
"""Characters for a leading space, in the tokens of SentencePiece and of byte-level tokenizers."""


@dataclass(frozen=True)
class PreparedQuestion:
    """Question as a prompt with prepared images."""

    images: tuple[Image.Image, ...]
    text: str
    """Prompt with placeholders for the images."""
    seed: int
    """Seed for sampling, a signed 64-bit integer."""
    cost: tuple[int, int]
    """Numbers of pixels and of characters; questions of similar cost are batched together."""
    letters: str = ""
    """Letters of the options, for a choice."""


@dataclass(frozen=True)
class Sampling:
    """Decoding options; temperature 0 is greedy decoding."""

    temperature: float = 0.0
    top_p: float = 1.0


class ImageTextModel:
    """Model of transformers that answers questions in batches of at most `limit`."""

    def __init__(
        self, model: Any, processor: Any, conversation: Conversation, sampling: Sampling, limit: int
    ) -> None:
        self.model = model
        self.limit = limit
        self._processor = processor
        self._conversation = conversation
        self._sampling = sampling
        end_tokens = model.generation_config.eos_token_id
        self._ends = torch.tensor(
            [end_tokens] if isinstance(end_tokens, int) else end_tokens or []
        ).long()

    @torch.inference_mode()
    def answer(self, questions: Sequence[PreparedQuestion]) -> tuple[list[str], int]:
        """Return one text per question of one batch, and the number of generated tokens."""
        inputs = self._inputs(questions)
        length = inputs["input_ids"].shape[1]
        token_ids = self.model.generate(
            **inputs, logits_processor=self._logits_processors(questions, length)
        )[:, length:].cpu()
        texts = self._processor.tokenizer.batch_decode(token_ids, skip_special_tokens=True)
        return [text.strip() for text in texts], count_tokens(token_ids, self._ends)

    @torch.inference_mode()
    def weigh(self, questions: Sequence[PreparedQuestion]) -> tuple[list[list[float]], int]:
        """Return the option letters' probabilities by question, and the number of tokens written.

        The probabilities of a question sum to 1. If a letter has two tokens, with and without a
        leading space, their probabilities are added.
        """
        step = self.model.generate(
            **self._inputs(questions),
            max_new_tokens=1,
            return_dict_in_generate=True,
            output_logits=True,
        )
        logits = step.logits[0].float().cpu()
        return [
            torch.stack([row[self._letters[letter]].logsumexp(0) for letter in question.letters])
            .softmax(0)
            .tolist()
            for row, question in zip(logits, questions, strict=True)
        ], len(questions)

    @cached_property
    def _letters(self) -> dict[str, list[int]]:
        """Token ids of each letter, without and with a leading space."""
        tokenizer = self._processor.tokenizer
        ids: dict[str, list[int]] = {letter: [] for letter in ascii_uppercase}
        for id_, token in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))):
            letter = str(token).removeprefix(SENTENCEPIECE_SPACE).removeprefix(BYTE_LEVEL_SPACE)
            if letter in ids:
                ids[letter].append(id_)
        if missing_letters := [letter for letter, token_ids in ids.items() if not token_ids]:
            raise LatteError(
                f"the checkpoint's tokenizer has no token for the letter {missing_letters[0]}",
                where="describer.model",
                hint="choices need one token per letter: take another checkpoint",
            )
        return ids

    def _inputs(self, questions: Sequence[PreparedQuestion]) -> Any:
        """Return the model's inputs. Raises `ValueError` if a question exceeds the context."""
        images = [list(question.images) for question in questions]
        inputs = self._processor(
            text=[question.text for question in questions],
            images=images if any(images) else None,
            padding=True,
            return_tensors="pt",
            add_special_tokens=self._conversation.adds_special_tokens(questions[0].text),
        )
        length = inputs["input_ids"].shape[1]
        context = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if context is not None and length > context:
            raise ValueError(f"a question has {length:,} tokens, and the model reads {context:,}")
        return inputs.to(self.model.device, dtype=self.model.dtype)

    def _logits_processors(self, questions: Sequence[PreparedQuestion], length: int) -> Any:
        processors = transformers.LogitsProcessorList()
        if self._sampling.temperature == 0:
            return processors
        processors.append(transformers.TemperatureLogitsWarper(self._sampling.temperature))
        if self._sampling.top_p < 1:
            processors.append(transformers.TopPLogitsWarper(self._sampling.top_p))
        processors.append(GumbelNoise([question.seed for question in questions], length))
        return processors


def count_tokens(token_ids: Tensor, end_tokens: Tensor) -> int:
    """Return the number of tokens in `token_ids` (B, T), up to the first end token of each text."""
    is_end = torch.isin(token_ids, end_tokens).long()
    return int((is_end.cumsum(dim=1) - is_end == 0).sum())
