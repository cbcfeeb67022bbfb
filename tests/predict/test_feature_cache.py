"""The cache of features of new images: equal predictions, one encoding, bounded and undamaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor

import latte
from latte.data.cache import DecodedImages
from latte.data.images import SkippedImage, decode_image
from latte.evaluate.predictions import Prediction
from latte.interfaces import LatteError
from latte.io.files import digest
from latte.models.adapted import Member
from latte.predict import encoding, stream
from latte.predict.feature_cache import FeatureCache, open_feature_cache
from latte.predict.predictor import Predictor
from latte.predict.stream import decoded_views
from tests.helpers.clip_models import QUICK_GELU, TINY_CLIP
from tests.helpers.command_line import latte_in_process
from tests.helpers.exported_runs import adapted, photos, write_run

pytestmark = pytest.mark.thorough

SIZES = [(40, 32), (35, 50), (64, 64), (33, 70), (50, 30), (32, 32), (90, 41)]
BATCH = 3
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "animals-1a2b"
    return write_run(folder, adapted({"main": TINY_CLIP}), scale=7.5)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return photos(tmp_path_factory.mktemp("new") / "photos", SIZES)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def model(run: Path) -> Predictor:
    return latte.load(run, device="cpu")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cached_in(
    place: Path, model: Predictor, said: list[str] | None = None, max_bytes: int = MEGABYTE
) -> FeatureCache:
    """Make `model` use a cache in `place` as another process would, and return the cache."""
    say = print if said is None else said.append
    model.cache = FeatureCache(place / "predict", max_bytes, DecodedImages(place / "decoded"), say)
    return model.cache


def files_in(place: Path) -> list[Path]:
    return sorted((place / "predict").iterdir())


def predicted(model: Predictor, paths: list[Path], **options: Any) -> list[Prediction]:
    return [*model.predict_iter(paths, batch_size=BATCH, top_k=4, **options)]


@contextmanager
def counted(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[int]]]:
    """Yield the sizes of encoded batches by member; and, as `decoded`, a number per decoding."""
    calls: dict[str, list[int]] = {"decoded": []}

    def decoding(data: bytes) -> Any:
        calls["decoded"].append(len(data))
        return decode_image(data)

    with monkeypatch.context() as patch:
        patch.setattr(stream, "decode_image", decoding)
        for member in model.adapted.members:
            calls[member.name] = []
            patch.setattr(member.encoder, "encode_images", _counting(member, calls[member.name]))
        yield calls


def _counting(member: Member, sizes: list[int]) -> Any:
    encode = member.encoder.encode_images

    def encoding(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return encode(pixels)

    return encoding


def test_predictions_without_cached_and_half_cached_are_equal_to_the_bit(
    model: Predictor, paths: list[Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predicted(model, paths)
    cached_in(place, model)
    assert predicted(model, paths[:BATCH]) == expected[:BATCH]
    cached_in(place, model)
    with counted(model, monkeypatch) as half_cached:
        assert predicted(model, paths) == expected
    assert (half_cached["main"], len(half_cached["decoded"])) == ([3, 1], 4)
    cache = cached_in(place, model)
    with counted(model, monkeypatch) as cached:
        assert predicted(model, paths) == expected
    assert (cached["main"], cached["decoded"], cache.reused) == ([], [], len(SIZES))


def shifted(paths: list[Path]) -> list[Path]:
    return [*paths[1:], paths[0]]


def turned(paths: list[Path]) -> list[Path]:
    """Return the same batches, each in another order."""
    return [paths[number] for number in (2, 1, 0, 5, 4, 3)]


@pytest.mark.parametrize("in_order", [shifted, turned])
def test_features_of_an_image_are_not_taken_from_another_batch_or_order(
    model: Predictor,
    paths: list[Path],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_order: Callable[[list[Path]], list[Path]],
) -> None:
    cached_in(place, model)
    predicted(model, paths)
    moved = in_order(paths)
    cache = cached_in(place, model)
    with counted(model, monkeypatch) as calls:
        rows = predicted(model, moved)
    model.cache = None
    assert rows == predicted(model, moved)
    assert (sum(calls["main"]), len(calls["decoded"])) == (len(moved), len(moved))
    assert cache.reused == 0


def test_models_with_the_same_clip_share_features_and_a_trained_one_does_not(
    model: Predictor, paths: list[Path], place: Path, tmp_path: Path
) -> None:
    cached_in(place, model)
    predicted(model, paths)
    same_clip, others = adapted({"main": TINY_CLIP}), adapted({"main": TINY_CLIP}, seed=1)
    (member,) = same_clip.members
    moved = replace(member.classifier, weights=member.classifier.weights.flip(0))
    same_clip = replace(same_clip, members=(replace(member, classifier=moved),))
    for name, other, reused in (("same", same_clip, len(SIZES)), ("trained", others, 0)):
        loaded = latte.load(write_run(tmp_path / name, other, scale=7.5), device="cpu")
        expected = predicted(loaded, paths)
        cache = cached_in(place, loaded)
        assert predicted(loaded, paths) == expected
        assert cache.reused == reused


def test_only_the_members_whose_features_are_missing_encode(
    model: Predictor,
    paths: list[Path],
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cached_in(place, model)
    predicted(model, paths)
    pair = adapted({"main": TINY_CLIP, "other": QUICK_GELU})
    loaded = latte.load(write_run(tmp_path / "pair", pair, scale=7.5), device="cpu")
    expected = predicted(loaded, paths)
    cached_in(place, loaded)
    with counted(loaded, monkeypatch) as calls:
        assert predicted(loaded, paths) == expected
    assert (calls["main"], calls["other"]) == ([], [3, 3, 1])


def test_image_that_changes_while_a_batch_is_read_gets_the_class_of_its_new_content(
    model: Predictor, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = photos(tmp_path / "changing", SIZES[:BATCH])
    cached_in(place, model)
    predicted(model, paths)
    pair = adapted({"main": TINY_CLIP, "other": QUICK_GELU})
    loaded = latte.load(write_run(tmp_path / "pair", pair, scale=7.5), device="cpu")

    def changed_before(*arguments: Any) -> Any:
        paths[0].write_bytes(paths[2].read_bytes())
        return decoded_views(*arguments)

    monkeypatch.setattr(encoding, "decoded_views", changed_before)
    cached_in(place, loaded)
    rows = predicted(loaded, paths)
    loaded.cache = None
    assert rows == predicted(loaded, paths)


def test_number_of_threads_is_part_of_the_key(
    model: Predictor, paths: list[Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_in(place, model)
    predicted(model, paths)
    cache, threads = cached_in(place, model), torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    predicted(model, paths)
    assert cache.reused == 0


def test_code_of_an_editable_plugin_is_part_of_the_key(
    model: Predictor, paths: list[Path], place: Path
) -> None:
    cached_in(place, model)
    predicted(model, paths)
    (member,) = model.adapted.members
    model.adapted = replace(model.adapted, members=(replace(member, code="changed"),))
    cache = cached_in(place, model)
    predicted(model, paths)
    assert cache.reused == 0


@pytest.mark.parametrize("damage", ["cut", "empty", "bit", "other width"])
def test_damaged_files_are_encoded_again(
    model: Predictor, paths: list[Path], place: Path, damage: str
) -> None:
    expected = predicted(model, paths)
    cached_in(place, model)
    predicted(model, paths)
    for path in files_in(place):
        data = path.read_bytes()
        if damage == "other width":
            from latte.io.tensor_files import save_tensors

            save_tensors(path, {"features": torch.eye(BATCH)})
        elif damage == "bit":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 64]))
        else:
            path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"")
    said: list[str] = []
    cache = cached_in(place, model, said)
    assert predicted(model, paths) == expected
    assert (cache.reused, said) == (0, [])
    cache = cached_in(place, model)
    assert predicted(model, paths) == expected
    assert cache.reused == len(SIZES)


def test_leftovers_of_killed_processes_are_not_read_and_are_removed(
    model: Predictor, paths: list[Path], place: Path
) -> None:
    expected = predicted(model, paths)
    cached_in(place, model)
    predicted(model, paths[:BATCH])
    (stored,) = files_in(place)
    leftover = stored.with_name(f".{stored.name}.latte-elsewhere-1-0123abcd.tmp")
    leftover.write_bytes(stored.read_bytes()[:100])
    os.utime(leftover, (0, 0))
    cached_in(place, model)
    assert predicted(model, paths) == expected
    assert not leftover.exists()


def test_limit_holds_and_the_least_recently_used_batches_go_first(
    model: Predictor, paths: list[Path], place: Path
) -> None:
    limit, one_batch = 2000, [[path] for path in paths]
    for age, batch in enumerate(one_batch):
        cached_in(place, model, max_bytes=limit)
        predicted(model, batch)
        assert sum(path.stat().st_size for path in files_in(place)) <= limit
        for path in files_in(place):
            os.utime(path, (path.stat().st_mtime - 100,) * 2)
        cache = cached_in(place, model, max_bytes=limit)
        predicted(model, one_batch[0])  # stays, because it is used
        assert cache.reused == 1, age
    cache = cached_in(place, model, max_bytes=limit)
    predicted(model, one_batch[1])
    assert cache.reused == 0
    assert len(files_in(place)) > 1


def test_without_room_nothing_is_stored(model: Predictor, paths: list[Path], place: Path) -> None:
    expected = predicted(model, paths)
    cached_in(place, model, max_bytes=100)
    assert predicted(model, paths) == expected
    assert files_in(place) == []


def test_cache_that_cannot_be_written_is_reported_once(
    model: Predictor, paths: list[Path], place: Path, said: list[str]
) -> None:
    expected = predicted(model, paths)
    place.write_text("a file")
    cached_in(place, model, said)
    assert predicted(model, paths) == expected
    assert len(said) == 1
    assert "features are not cached" in said[0]
    assert str(place) in said[0]


def test_changed_image_is_encoded_again(
    model: Predictor, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = photos(tmp_path / "changing", SIZES)
    cached_in(place, model)
    predicted(model, paths)
    paths[1].write_bytes(paths[4].read_bytes())
    cache = cached_in(place, model)
    with counted(model, monkeypatch) as calls:
        rows = predicted(model, paths)
    model.cache = None
    assert rows == predicted(model, paths)
    assert (calls["main"], cache.reused) == ([3], 4)


def test_image_that_was_decoded_once_but_no_longer_can_be_is_left_out(
    model: Predictor, place: Path, tmp_path: Path
) -> None:
    paths = photos(tmp_path / "changing", SIZES)
    paths[1].write_bytes(b"no image")
    DecodedImages(place / "decoded").note([digest(b"no image")])
    skipped: list[SkippedImage] = []
    cached_in(place, model)
    rows = predicted(model, paths, on_unreadable=skipped.append)
    assert [row.image for row in rows] == [str(path) for path in paths if path != paths[1]]
    assert [image.id for image in skipped] == [str(paths[1])]
    cached_in(place, model)
    with pytest.raises(LatteError, match=r"001\.png"):
        predicted(model, paths[1:2])


def test_images_of_python_without_content_key_are_encoded(
    model: Predictor, paths: list[Path], place: Path
) -> None:
    from PIL import Image

    cache = cached_in(place, model)
    for _ in range(2):
        assert len([*model.predict_iter([paths[0], Image.open(paths[1])], batch_size=2)]) == 2
    assert cache.reused == 0
    assert not (place / "predict").exists()


def test_threads_use_one_cache_at_the_same_time(
    run: Path, model: Predictor, paths: list[Path], place: Path
) -> None:
    expected, rows = predicted(model, paths), []
    models = [latte.load(run, device="cpu") for _ in range(4)]

    def work(loaded: Predictor) -> None:
        for _ in range(3):
            cached_in(place, loaded, max_bytes=2000)
            rows.append(predicted(loaded, paths))

    threads = [Thread(target=work, args=(loaded,)) for loaded in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows == [expected] * 12


def test_limit_is_read_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path))
    assert open_feature_cache(print) is not None
    monkeypatch.setenv("LATTE_PREDICT_CACHE", "0")
    assert open_feature_cache(print) is None
    monkeypatch.setenv("LATTE_PREDICT_CACHE", "much")
    with pytest.raises(LatteError, match="LATTE_PREDICT_CACHE") as raised:
        open_feature_cache(print)
    assert "export LATTE_PREDICT_CACHE=1" in str(raised.value.hint)


def test_command_reuses_features_unless_no_cache_is_given(
    run: Path,
    paths: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    call = latte_in_process(capsys)
    without = call("predict", run, *paths, "--no-cache")
    assert not (tmp_path / "cache" / "predict").exists()
    first, second = call("predict", run, *paths), call("predict", run, *paths)
    assert without.out == first.out == second.out
    assert "reused from the cache" not in first.err
    assert f"{len(SIZES)} features reused from the cache" in second.err
    stored = files_in(tmp_path / "cache")
    assert "reused" not in call("predict", run, *paths, "--no-cache").err
    assert files_in(tmp_path / "cache") == stored
