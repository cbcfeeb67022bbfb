from __future__ import annotations

from pathlib import Path

from latte.data.cache import DecodedImages


def test_keys_are_known_to_all_later_runs(tmp_path: Path) -> None:
    first = DecodedImages(tmp_path / "decoded")
    assert first.keys == frozenset()
    first.note(["a", "b"])
    second = DecodedImages(tmp_path / "decoded")
    assert second.keys == {"a", "b"}
    second.note(["b", "c"])
    assert DecodedImages(tmp_path / "decoded").keys == {"a", "b", "c"}


def test_runs_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    one, other = DecodedImages(tmp_path), DecodedImages(tmp_path)
    one.note(["a", "b"])
    other.note(["b", "c"])
    assert DecodedImages(tmp_path).keys == {"a", "b", "c"}


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    DecodedImages(tmp_path).note(["a", "b"])
    DecodedImages(tmp_path).note(["b", "a"])
    assert len(list(tmp_path.iterdir())) == 1
