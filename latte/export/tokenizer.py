"""Convert open_clip's tokenizer of CLIP to a transformers tokenizer with the same tokens."""

from __future__ import annotations

import html
from itertools import chain
from typing import Any

import ftfy
from open_clip.tokenizer import SimpleTokenizer, _clean_lower

from latte.interfaces import LatteError

START, END = "<start_of_text>", "<end_of_text>"

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_DROPPED = r"\x1b\[[\d;]*[a-zA-Z]|[\x00-\x08\x0b\x0e-\x1f\x7f\ufeff]"
"""Text to remove: terminal colours, control characters, the byte order mark."""

_FINAL_SIGMA = r"(?<=\p{L})Σ(?!\p{L})"
"""Capital sigma at the end of a word, for which Python's `lower()` gives ς instead of σ."""
_ENTITIES = ("&amp;", "&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&apos;", "&nbsp;")
"""Most common HTML entities; `&amp;` is listed twice because open_clip unescapes twice."""

_REPAIRED = (
    *(range(0x0100, 0x0250), range(0x2000, 0x2070), range(0x3000, 0x3001)),
    *(range(0xFB00, 0xFB10), range(0xFF00, 0xFFF0)),
)
"""Characters that ftfy replaces by plain ones: quotes, ligatures, full-width forms."""


def clip_tokenizer(tokenizer: Any, context_length: int) -> Any:
    """Return a transformers tokenizer that gives the same tokens as open_clip's `tokenizer`.

    Raises `LatteError` unless `tokenizer` is a CLIP tokenizer of open_clip with default settings.
    """
    from transformers import PreTrainedTokenizerFast

    is_plain = (
        type(tokenizer) is SimpleTokenizer
        and tokenizer.clean_fn is _clean_lower
        and tokenizer.reduction_fn is None
        and len(tokenizer.all_special_ids) == 2
    )
    if not is_plain:
        raise no_tokenizer(tokenizer)
    build: Any = PreTrainedTokenizerFast
    return build(
        tokenizer_object=_backend(tokenizer),
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )


def no_tokenizer(tokenizer: Any) -> LatteError:
    """Return the error for a tokenizer that transformers cannot reproduce."""
    return LatteError(
        f"transformers cannot hold this model: its tokenizer ({type(tokenizer).__name__}) is not "
        "that of CLIP or SigLIP, or has settings of its own",
        where="text tower",
        hint="open_clip opens the run's model folder as it is",
    )


def _backend(tokenizer: Any) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, processors
    from tokenizers import pre_tokenizers as splitters
    from tokenizers.models import BPE

    pairs = {"vocab": tokenizer.encoder, "merges": list(tokenizer.bpe_ranks)}
    backend: Any = Tokenizer(BPE(**pairs, end_of_word_suffix="</w>", unk_token=END))
    backend.normalizer = normalizers.Sequence([*cleaning(), *lower_case()])
    words = splitters.Split(Regex(_WORDS), behavior="removed", invert=True)
    letters = splitters.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = splitters.Sequence([words, letters])
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("</w>", " ")])
    backend.add_special_tokens([AddedToken(token, normalized=True) for token in (START, END)])
    backend.post_processor = processors.RobertaProcessing(
        (END, tokenizer.eot_token_id), (START, tokenizer.sot_token_id), False, False
    )
    return backend


def cleaning() -> list[Any]:
    """Return normalizers that clean texts as open_clip does before it tokenizes them."""
    from tokenizers import Regex, normalizers

    replacements = [(entity, html.unescape(entity)) for entity in _ENTITIES]
    for code in chain(*_REPAIRED):
        repaired_character = ftfy.fix_text(f"a{chr(code)}b")[1:-1]
        if repaired_character != chr(code):
            replacements.append((chr(code), repaired_character))
    return [
        normalizers.Replace(Regex(_DROPPED), ""),
        *(normalizers.Replace(old, new) for old, new in replacements),
        normalizers.NFC(),
    ]


def lower_case() -> list[Any]:
    """Return normalizers that collapse white space, and convert to lower case as Python does."""
    from tokenizers import Regex, normalizers

    return [
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Replace(Regex(_FINAL_SIGMA), "ς"),
        normalizers.Lowercase(),
    ]
