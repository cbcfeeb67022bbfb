"""Choices: probabilities of the letters as the next token, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latte_author.testing.fixtures import described_images
from latte_llava.describer import LlavaDescriber
from llava_checkpoints import FAMILIES, checkpoint, describer

from latte.api import Choice, ChoiceRequest, LatteError

pytestmark = pytest.mark.thorough

OPTIONS = ("cat", "dog", "a rather small fish")


def requests(folder: Path, count: int = 6) -> list[ChoiceRequest]:
    """Return questions of different lengths and with different numbers of options."""
    return [
        ChoiceRequest((image,), "Which?" + " Look closely." * (number % 3), OPTIONS,
                      none_allowed=number % 2 == 1)
        for number, image in enumerate(described_images(folder / "asked", count))
    ]  # fmt: skip


def shares(choice: Choice) -> list[float]:
    return [*choice.probabilities, choice.none]


def passes(llava: LlavaDescriber, questions: Sequence[ChoiceRequest]) -> list[int]:
    """Return the batch size of each forward pass of `choose`."""
    llava.choose(questions[:1])
    assert llava._loaded is not None
    sizes: list[int] = []
    model = llava._loaded.model.model
    hook = model.register_forward_pre_hook(
        lambda _, __, inputs: sizes.append(len(inputs["input_ids"])), with_kwargs=True
    )
    llava.choose(questions)
    hook.remove()
    return sizes


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_probabilities_that_depend_on_the_image(
    family: str, tmp_path: Path
) -> None:
    images = described_images(tmp_path / "asked", 3)
    llava = describer(checkpoint(family), tmp_path)
    choices = llava.choose([ChoiceRequest((image,), "Which?", OPTIONS) for image in images])
    for choice in choices:
        assert sum(shares(choice)) == pytest.approx(1)
        assert choice.none == 0
        assert min(choice.probabilities) > 0
    assert len({choice.probabilities for choice in choices}) == 3


def test_probabilities_are_the_softmax_of_the_letters_logits(tmp_path: Path) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    (request,) = requests(tmp_path, 1)
    (choice,) = llava.choose([request])
    assert llava._loaded is not None
    processor = llava._loaded.view.processor
    text = llava._loaded.conversation.text(request.question().prompt, 1)
    image = llava._loaded.view.shown(request.images[0].open())
    inputs = processor(text=[text], images=[[image]], return_tensors="pt")
    with torch.inference_mode():
        logits = llava._loaded.model.model(**inputs).logits[0, -1]
    letters = processor.tokenizer.convert_tokens_to_ids(list("ABC"))
    assert list(choice.probabilities) == pytest.approx(logits[letters].softmax(0).tolist())


def test_a_letter_after_a_space_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    llava.choose(requests(tmp_path, 1))
    assert llava._loaded is not None
    model = llava._loaded.model
    logits = torch.full((1, 10), -5.0)
    logits[0, [1, 4, 2, 3]] = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    monkeypatch.setitem(vars(model), "_letters", {"A": [1, 4], "B": [2], "C": [3]})
    monkeypatch.setattr(
        model.model, "generate", lambda **_: type("Step", (), {"logits": (logits,)})
    )
    (choice,) = llava.choose(requests(tmp_path, 1))
    assert list(choice.probabilities) == pytest.approx([0.8, 0.15, 0.05])


def test_a_choice_takes_one_forward_pass_and_counts_one_token(tmp_path: Path) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path, batch_size=4)
    assert sorted(passes(llava, requests(tmp_path))) == [2, 4]
    assert llava.counters == {"tokens": 1 + 6}


def test_sampling_does_not_change_choices(tmp_path: Path) -> None:
    questions = requests(tmp_path)
    plain = describer(checkpoint("tiny-llava"), tmp_path).choose(questions)
    sampled = describer(checkpoint("tiny-llava"), tmp_path, temperature=1.0, top_p=0.5)
    assert sampled.choose(questions) == plain


def test_choices_leave_texts_alone(tmp_path: Path) -> None:
    choice_requests = requests(tmp_path)
    questions = [request.question() for request in choice_requests]
    plain = describer(checkpoint("tiny-llava"), tmp_path)
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    llava.choose(choice_requests)
    assert llava.describe(questions) == plain.describe(questions)


def test_options_longer_than_the_context_fail_with_the_reason(tmp_path: Path) -> None:
    (request,) = requests(tmp_path, 1)
    long = replace(request, options=("cat " * 3000, "dog"))
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    with pytest.raises(ValueError, match=r"tokens, and the model reads 2,048"):
        llava.choose([request, long])
    assert sum(shares(llava.choose([request])[0])) == pytest.approx(1)


def test_a_tokenizer_without_letters_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llava = describer(checkpoint("tiny-llava"), tmp_path)
    llava.describe([requests(tmp_path, 1)[0].question()])
    assert llava._loaded is not None
    tokenizer = llava._loaded.model._processor.tokenizer
    monkeypatch.setattr(tokenizer, "convert_ids_to_tokens", lambda ids: ["a"] * len(ids))
    with pytest.raises(LatteError, match="no token for the letter A"):
        llava.choose(requests(tmp_path, 1))
