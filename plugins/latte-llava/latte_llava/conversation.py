"""Conversion of questions to prompts with the checkpoint's chat template."""

from __future__ import annotations

from typing import Any

from latte.api import LatteError

VERSION = "1"
"""Part of the fingerprint; increase it when the prompts for equal questions change."""


class Conversation:
    """Converter of questions to prompts; control tokens within a question are escaped."""

    def __init__(self, processor: Any, model_type: str, system_prompt: str | None) -> None:
        self._processor = processor
        self._system_prompt = system_prompt
        self._tokens = sorted(_control_tokens(processor), key=len, reverse=True)
        template = getattr(processor, "chat_template", None)
        self._classical = not (template or getattr(processor.tokenizer, "chat_template", None))
        if self._classical and model_type != "llava":
            raise LatteError(
                f"the checkpoint of type `{model_type}` has no chat template",
                where="describer.model",
                hint="add the file chat_template.jinja to its folder",
            )

    def text(self, question: str, images: int) -> str:
        """Return the prompt for a question about `images` images, with a placeholder per image."""
        plain_question = self._plain(question)
        if self._classical:
            return self._llava_prompt(plain_question, images)
        content = [{"type": "image"}] * images + [{"type": "text", "text": plain_question}]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if self._system_prompt is not None:
            system = [{"type": "text", "text": self._plain(self._system_prompt)}]
            messages.insert(0, {"role": "system", "content": system})
        rendered = self._processor.apply_chat_template(messages, add_generation_prompt=True)
        return str(rendered)

    def adds_special_tokens(self, text: str) -> bool:
        """Return True if the tokenizer must add the start token, because `text` has none."""
        start = self._processor.tokenizer.bos_token
        return not (start and text.startswith(start))

    def _llava_prompt(self, question: str, images: int) -> str:
        """Return the prompt for early checkpoints of LLaVA 1.5, which have no chat template."""
        system = f"{self._plain(self._system_prompt)} " if self._system_prompt is not None else ""
        placeholders = f"{self._processor.image_token}\n" * images
        return f"{system}USER: {placeholders}{question} ASSISTANT:"

    def _plain(self, text: str) -> str:
        """Return `text` with a space inside each control token, so that all of it is plain text."""
        for token in self._tokens:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def _control_tokens(processor: Any) -> set[str]:
    """Return the control tokens to escape: all that have more than one character."""
    tokenizer = processor.tokenizer
    tokens = [
        *tokenizer.all_special_tokens,
        *(str(token) for token in tokenizer.added_tokens_decoder.values() if token.special),
        *(value for name, value in vars(processor).items() if name.endswith("_token")),
    ]
    return {token for token in tokens if isinstance(token, str) and len(token) > 1}
