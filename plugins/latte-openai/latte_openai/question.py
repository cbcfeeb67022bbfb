"""Body of a chat completion: images without metadata, the prompt and the decoding options."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from io import BytesIO
from typing import Any

from PIL import Image

from latte.api import DescribeRequest
from latte_openai.options import OpenAIOptions


def request_key(request: DescribeRequest) -> str:
    """Return a hash of the request: image contents, prompt and sample number."""
    content = [request.prompt, request.sample, [image.key for image in request.images]]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def chat_fields(request: DescribeRequest, model: str, options: OpenAIOptions) -> dict[str, Any]:
    """Return the arguments of `chat.completions.create`, images first as in LLaVA's training."""
    detail = {} if options.detail == "auto" else {"detail": options.detail}
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": data_url(image.open(), options), **detail}}
        for image in request.images
    ]
    content.append({"type": "text", "text": request.prompt})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if options.system_prompt is not None:
        messages.insert(0, {"role": "system", "content": options.system_prompt})
    fields = {
        "model": model,
        "messages": messages,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "seed": _seed(request, options.seed) if options.varies else None,
        "extra_body": options.extra_body or None,
    }
    # Some servers reject fields that they do not know, even if they are null.
    return {name: value for name, value in fields.items() if value is not None}


def data_url(image: Image.Image, options: OpenAIOptions) -> str:
    """Return `image`, scaled down and encoded, as a data URL without file name or metadata."""
    buffer = BytesIO()
    prepared = _scaled_down(image.convert("RGB"), options.max_side)
    # Otherwise Pillow would write the comments and colour profiles of the original file.
    prepared.info = {}
    if options.format == "jpeg":
        prepared.save(buffer, "JPEG", quality=options.quality)
    else:
        prepared.save(buffer, "PNG")
    return f"data:image/{options.format};base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def _scaled_down(image: Image.Image, max_side: int | None) -> Image.Image:
    longest = max(image.size)
    if max_side is None or longest <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _seed(request: DescribeRequest, seed: int | None) -> int | None:
    if seed is None:
        return None
    digest = hashlib.blake2b(f"{seed} {request_key(request)}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
