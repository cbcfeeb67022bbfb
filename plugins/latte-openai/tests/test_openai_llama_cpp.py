"""Real server: llama.cpp with a tiny model that writes B with a known probability.

The model reads no images, so that the questions have none.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from latte_author.testing.fixtures import described_images
from latte_openai.answer import ServerAnswer
from latte_openai.choice import question_forms, read_choice
from latte_openai.client import ChatClient
from latte_openai.errors import RequestError
from latte_openai.options import OpenAIOptions
from latte_openai.question import chat_fields
from openai_double import describer

from latte.api import Choice, ChoiceRequest, DescribeRequest

NEEDED = ("gguf", "numpy", "xllamacpp")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
CONTEXT = 256
PETS = ChoiceRequest((), "Which is it?", ("cat", "dog"))
SHARES = {"B": 0.6, "▁B": 0.1, "A": 0.2, "The": 0.1}
LINEAR = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
WIDTH = 32

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"not installed: {MISSING}; pip install 'latte-openai[test]'"
    ),
]


def write_tiny_llama(path: Path) -> None:
    """Write a model in GGUF whose next token does not depend on the text.

    All tokens have the same embedding and all linear layers are zero, so that only the output
    layer decides.
    """
    gguf, np = (importlib.import_module(name) for name in ("gguf", "numpy"))
    special, letters = ("<unk>", "<s>", "</s>"), tuple(SHARES)
    words = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    unit_row = np.eye(1, WIDTH, dtype=np.float32)
    logits = [math.log(SHARES.get(word, 1e-6)) for word in words]
    file: Any = gguf.GGUFWriter(path, "llama")
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_feed_forward_length(WIDTH)
    file.add_block_count(1)
    file.add_head_count(2)
    file.add_rope_dimension_count(WIDTH // 2)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_tokenizer_model("llama")
    file.add_token_list(words)
    file.add_token_scores([0.0] * len(words))
    kinds = gguf.TokenType
    file.add_token_types(
        [kinds.UNKNOWN, *[kinds.CONTROL] * 2, *[kinds.BYTE] * 256, *[kinds.NORMAL] * len(letters)]
    )
    file.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    file.add_tensor("token_embd.weight", np.repeat(unit_row, len(words), axis=0))
    scaled = np.array(logits, dtype=np.float32)[:, None] / math.sqrt(WIDTH)
    file.add_tensor("output.weight", scaled * unit_row)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        file.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    for name in LINEAR:
        file.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("served") / "tiny.gguf"
    write_tiny_llama(path)
    xllamacpp = importlib.import_module("xllamacpp")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    parameters.port = 0
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


def test_probabilities_are_those_of_the_model(url: str, tmp_path: Path) -> None:
    with describer(tmp_path, url, max_tokens=1) as lmm:
        choices = lmm.choose([PETS, ChoiceRequest((), "Which is it?", ("dog", "cat"))])
    for choice in choices:
        assert isinstance(choice, Choice)
        assert choice.probabilities == pytest.approx((0.2 / 0.9, 0.7 / 0.9), abs=1e-4)


def test_json_names_a_letter_of_the_options(url: str) -> None:
    options = OpenAIOptions(base_url=url)
    fields = chat_fields(PETS.question(), "tiny", options)

    async def ask(form_fields: Mapping[str, Any]) -> ServerAnswer:
        client = ChatClient(options)
        try:
            return await client.complete({**fields, **form_fields})
        finally:
            await client.close()

    assert not isinstance(read_choice(PETS, asyncio.run(ask({}))), Choice), "it writes BBBB..."
    structure = question_forms(PETS)["JSON"]
    assert read_choice(PETS, asyncio.run(ask(structure))) == Choice((0.0, 1.0))


def test_a_question_longer_than_the_context_fails_with_the_reason(url: str, tmp_path: Path) -> None:
    long = ChoiceRequest((), "Which is it?", ("cat" + " x" * CONTEXT, "dog"))
    with describer(tmp_path, url) as lmm:
        (error,) = lmm.choose([long])
    assert isinstance(error, RequestError)
    assert "exceeds the available context size (256 tokens)" in str(error)


def test_a_model_that_reads_no_images_is_reported_with_the_fix(url: str, tmp_path: Path) -> None:
    image = described_images(tmp_path / "asked", 1)[0]
    with describer(tmp_path, url, retries=0) as lmm:
        (error,) = lmm.describe([DescribeRequest((image,), "What is it?")])
    assert isinstance(error, RequestError)
    assert "mmproj" in str(error)
