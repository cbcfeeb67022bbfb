"""Construction of the LMM: before training, the pooled image features give the class."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from latte_tiny import PACKAGE

TOKENS, CHANNELS, CLASSES = 36, 1280, 1001


def module(name: str) -> Any:
    """A module of the build scripts."""
    return importlib.import_module(f"build_model.{name}")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the build scripts, which are not installed but next to `latte_tiny`."""
    for needed in ("transformers", "timm"):
        pytest.importorskip(needed, reason="the LMM is built with it")
    if not (PACKAGE.parent / "build_model").exists():
        pytest.skip("the build scripts are not here")
    monkeypatch.syspath_prepend(PACKAGE.parent)
    return module


@pytest.fixture
def projection(scripts: Any) -> Any:
    """Random, of the scale of a real one."""
    layout, pictures, squeeze = (
        scripts(f"lmm.{name}") for name in ("layout", "pictures", "squeeze")
    )
    torch.manual_seed(0)
    rank, read = layout.CLASSES.stop, layout.LOOKS.stop
    rows = torch.randn(read, CHANNELS) * 0.05
    squeezed = squeeze.Squeezed(
        torch.randn(CLASSES, rank) * 0.1, torch.randn(CLASSES), rows[:rank], torch.rand(CHANNELS)
    )
    return pictures.Projection(squeezed, rows)


def built(projection: Any) -> tuple[Any, Any]:
    import timm

    answers, construct = module("lmm.answers"), module("lmm.construct")
    layout, model = module("lmm.layout"), module("lmm.model")
    phrases = [f" class{row}" for row in range(CLASSES)]
    processor = model.new_processor([*answers.OBJECT_PROMPTS, answers.OBJECT] * 9, phrases)
    lmm = model.new_model(timm.create_model(module("image_tower").TRUNK), processor)
    width = layout.TEXT.stop - layout.TEXT.start
    construct.set_all(lmm, processor, projection, torch.randn(processor.first_class, width))
    return lmm, processor


@torch.no_grad()
def class_logits(lmm: Any, processor: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Logits of all classes (B, C) after the words that open an answer."""
    answers, packing = module("lmm.answers"), module("lmm.packing")
    question = packing.prefix_ids(processor, answers.OBJECT_PROMPTS[0], 1)
    ids = torch.tensor(question + packing.text_ids(processor, " " + answers.OBJECT))
    inputs = lmm.get_input_embeddings()(ids).expand(len(tokens), -1, -1).clone()
    inputs[:, ids == lmm.config.image_token_id] = lmm.model.multi_modal_projector(tokens)
    hidden = lmm.model.language_model(inputs_embeds=inputs).last_hidden_state[:, -1]
    logits: torch.Tensor = lmm.lm_head(hidden)[:, processor.class_ids]
    return logits


def centred(logits: torch.Tensor) -> torch.Tensor:
    return logits - logits.mean(1, keepdim=True)


def test_the_untrained_lmm_says_of_a_class_what_the_squeezed_head_says(projection: Any) -> None:
    lmm, processor = built(projection)
    tokens = torch.rand(6, TOKENS, CHANNELS) * 2
    says = class_logits(lmm, processor, tokens)
    wanted = projection.squeezed.logits(tokens.mean(1))
    assert torch.allclose(centred(says), centred(wanted), atol=0.05 * float(wanted.std()))


def test_what_was_set_stays_when_the_rest_is_trained(projection: Any) -> None:
    lmm, processor = built(projection)
    module("lmm.construct").hold(lmm, processor)
    tokens = torch.rand(4, TOKENS, CHANNELS) * 2
    before = class_logits(lmm, processor, tokens)
    trained = [p for p in lmm.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
    ids = torch.randint(processor.first_class, (4, 12))
    lmm(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    after = class_logits(lmm, processor, tokens)
    assert not torch.equal(before, after)
    assert (centred(after) - centred(before)).abs().max() < 0.1 * centred(before).std()


def test_mixtures_keep_the_shares_of_people_between_none_and_all(scripts: Any) -> None:
    squeeze = scripts("lmm.squeeze")
    group = squeeze.Group(torch.rand(50, 8), torch.rand(50).round(), 20)
    pooled, people = squeeze._mixtures([group, group])
    assert pooled.shape == (40, 8)
    assert ((people >= 0) & (people <= 1)).all()
    assert set(people.tolist()) - {0.0, 1.0}
