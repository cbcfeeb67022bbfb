"""From a request of latte to the body of a chat completion."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from latte.api import DescribeRequest
from latte_openai.options import OpenAIOptions
from latte_openai.pictures import data_url


def request_key(request: DescribeRequest) -> str:
    """Equal for requests that ask the same: images by content, prompt, sample."""
    parts = [request.prompt, request.sample, [image.key for image in request.images]]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def chat_body(request: DescribeRequest, model: str, options: OpenAIOptions) -> bytes:
    """The JSON to post: images before the question, as LLaVA was trained."""
    content = [_picture(data_url(image.open(), options), options) for image in request.images]
    content.append({"type": "text", "text": request.prompt})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if options.system_prompt is not None:
        messages.insert(0, {"role": "system", "content": options.system_prompt})
    fields = {"model": model, "messages": messages, **_decoding(request, options)}
    return json.dumps({**fields, **options.extra_body}).encode()


def _picture(url: str, options: OpenAIOptions) -> dict[str, Any]:
    image = {"url": url} if options.detail == "auto" else {"url": url, "detail": options.detail}
    return {"type": "image_url", "image_url": image}


def _decoding(request: DescribeRequest, options: OpenAIOptions) -> dict[str, Any]:
    """What is sent about decoding: only what is set, as some servers refuse fields."""
    fields = {
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": _seed(request, options.seed) if options.varies else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _seed(request: DescribeRequest, seed: int | None) -> int | None:
    """A seed below 2^31 for this request and sample, whatever else is in the batch."""
    if seed is None:
        return None
    digest = hashlib.blake2b(f"{seed} {request_key(request)}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
