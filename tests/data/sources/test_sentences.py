"""Weighted sentences of classes: reading a file, and the class features of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from latte_author.testing import StubClip
from latte_author.testing.fixtures import make_context
from torch.nn.functional import normalize

from latte.backbone.encode import ClassTexts, encode_class_texts
from latte.components.datasets.local import FolderOptions, ImageFolderDataset
from latte.data.sources.sentences import read_sentences
from latte.interfaces import LatteError

NAMES = (("cat", "house cat"), ("dog",))


def write(folder: Path, content: Any) -> Path:
    path = folder / "texts.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_lists_and_weights_of_all_names_are_read_in_class_order(tmp_path: Path) -> None:
    content = {
        "dog": {"a dog.": 2, "it barks.": 0.5},
        "cat": ["a cat."],
        "house cat": ["it purrs."],
    }
    assert read_sentences(write(tmp_path, content), NAMES) == (
        {"a cat.": 1.0, "it purrs.": 1.0},
        {"a dog.": 2.0, "it barks.": 0.5},
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ([], "must map class names"),
        ({"cat": ["a"], "dgo": ["b"]}, 'Did you mean "dog"'),
        ({"cat": ["a"]}, "no sentence about dog"),
        ({"cat": ["a"], "dog": [1]}, "must be texts"),
        ({"cat": ["a"], "dog": [" "]}, "must be texts"),
        ({"cat": ["a"], "dog": {"b": 0}}, "weights above 0"),
        ({"cat": ["a"], "dog": {"b": "many"}}, "weights above 0"),
        ({"cat": ["a"], "dog": "barks"}, "must be texts"),
    ],
)
def test_mistakes_name_the_file_and_the_class(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(LatteError, match=message) as raised:
        read_sentences(write(tmp_path, content), NAMES)
    assert "texts.json" in str(raised.value)


def test_class_feature_is_the_weighted_mean_of_the_sentences(tmp_path: Path) -> None:
    write(tmp_path, {"cat": ["a cat."], "dog": {"a dog.": 3, "it barks.": 1}})
    (tmp_path / "photos").mkdir()
    options = FolderOptions(root="photos", classes=("cat", "dog"), texts="texts.json")
    dataset = ImageFolderDataset(options, make_context(tmp_path))
    clip = StubClip()
    rows = encode_class_texts(clip, ClassTexts.weighted(dataset.class_sentences))
    cat, dog, barks = clip.encode_texts(["a cat.", "a dog.", "it barks."])
    torch.testing.assert_close(rows[0], cat)
    torch.testing.assert_close(rows[1], normalize(3 * dog + barks, dim=0))
