"""Files that are not read as images are counted by suffix and content."""

from __future__ import annotations

from pathlib import Path

import pytest

from latte.data.formats import suffix_by_content
from latte.data.sources.walk import LeftOut, list_images
from latte.interfaces import LatteError
from tests.helpers.pictures import encoded, picture


def test_counts_are_by_suffix_with_the_first_example(tmp_path: Path) -> None:
    left_out = LeftOut()
    for name in ("a.CR2", "b.cr2", "c.psd", "d.txt"):
        (tmp_path / name).write_bytes(b"")
        left_out.add(tmp_path / name)
    (tmp_path / "scan").write_bytes(encoded(picture(), "JPEG"))
    left_out.add(tmp_path / "scan")
    left_out.add(tmp_path / "absent.txt")
    assert left_out.images == 4
    assert left_out.warnings() == [
        "left out 3 files (2 .cr2, 1 .psd) in image formats that are not read, such as "
        f"{tmp_path}/a.CR2: convert them to JPEG or PNG",
        "left out 1 file (1 without suffix) with the content but not the name of an image, such "
        f"as {tmp_path}/scan: name it with .jpg",
        "left out 2 other files (2 .txt)",
    ]


def test_many_suffixes_are_shortened() -> None:
    left_out = LeftOut()
    for number in range(8):
        left_out.add(Path(f"absent.x{number}"))
    (line,) = left_out.warnings()
    assert line.endswith("1 .x5, 2 more kinds)")


@pytest.mark.parametrize(
    ("form", "suffix"),
    [("JPEG", ".jpg"), ("PNG", ".png"), ("GIF", ".gif"), ("TIFF", ".tif"), ("WEBP", ".webp")],
)
def test_content_shows_the_format(form: str, suffix: str) -> None:
    assert suffix_by_content(encoded(picture(), form)) == suffix


@pytest.mark.parametrize("content", [b"", b"BM is a text", b"\0\0\0\x18ftypmp42", b"RIFF1234WAVE"])
def test_other_content_is_no_image(content: bytes) -> None:
    assert suffix_by_content(content) is None


def test_a_container_that_lists_avif_is_no_heic() -> None:
    head = b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf"
    assert suffix_by_content(head) == ".avif"
    assert suffix_by_content(head.replace(b"avif", b"heic")) == ".heic"


def test_an_empty_folder_is_not_explained_by_another_ones_files(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "raw.cr2").touch()
    (tmp_path / "two").mkdir()
    left_out = LeftOut()
    with pytest.raises(LatteError) as first_error:
        list_images(tmp_path / "one", "root", left_out)
    left_out.add(tmp_path / "one" / "raw.cr2")
    with pytest.raises(LatteError) as second_error:
        list_images(tmp_path / "two", "evaluation", left_out)
    assert "raw.cr2" in str(first_error.value.hint)
    assert "raw.cr2" not in str(second_error.value.hint)
