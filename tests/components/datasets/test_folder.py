from __future__ import annotations

import os
from pathlib import Path

import pytest

from latte.components.datasets.local import FolderOptions, ImageFolderDataset
from latte.interfaces import Context, LatteError
from tests.helpers.pictures import write_picture

PETS = ("cat", "dog")


def dataset(context: Context, **options: object) -> ImageFolderDataset:
    return ImageFolderDataset(
        FolderOptions(**{"root": "photos", "classes": PETS, **options}), context
    )


def ids(source: ImageFolderDataset) -> list[str]:
    return [image.id for image in source.training_images()]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.png", "deep/er/c.webp"):
        write_picture(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_every_image_below_the_folder_is_listed_by_id(context: Context, photos: Path) -> None:
    source = dataset(context)
    assert ids(source) == ["a.png", "b.jpg", "deep/er/c.webp"]
    assert [image.path for image in source.training_images()] == [
        photos / "a.png",
        photos / "b.jpg",
        photos / "deep/er/c.webp",
    ]
    assert source.evaluation_images() == ()
    assert source.audit_labels() == {}
    assert source.template == "a photo of a {class}."


@pytest.mark.parametrize(
    "suffix",
    [*("jpg", "JPG", "jpeg", "png", "webp", "bmp", "gif", "tif", "TIFF", "ppm", "avif", "heic")],
)
def test_these_suffixes_are_images(context: Context, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / f"x.{suffix}").touch()
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    assert ids(dataset(context)) == [f"x.{suffix}"]


def test_hidden_files_and_folders_are_left_out(context: Context, photos: Path) -> None:
    write_picture(photos / ".thumbnails" / "d.png")
    write_picture(photos / "deep" / "._c.png")
    assert ids(dataset(context)) == ["a.png", "b.jpg", "deep/er/c.webp"]


def test_loops_of_links_end(context: Context, photos: Path) -> None:
    (photos / "deep" / "again").symlink_to(photos, target_is_directory=True)
    (photos / "deep" / "self").symlink_to("self")
    assert ids(dataset(context)) == ["a.png", "b.jpg", "deep/er/c.webp"]


def test_a_linked_folder_is_listed_once_under_its_own_name(context: Context, photos: Path) -> None:
    (photos / "a_link").symlink_to(photos / "deep", target_is_directory=True)
    assert ids(dataset(context)) == ["a.png", "b.jpg", "deep/er/c.webp"]


def test_links_to_images_elsewhere_are_listed(
    context: Context, photos: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "elsewhere" / "e.png")
    (photos / "album").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (photos / "broken.jpg").symlink_to("gone.jpg")
    assert ids(dataset(context)) == [
        "a.png",
        "album/e.png",
        "b.jpg",
        "broken.jpg",
        "deep/er/c.webp",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_looks_like_an_image_is_listed_and_not_read(
    context: Context, photos: Path
) -> None:
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(photos / "pipe")
    pipe = dataset(context).training_images()[-1]
    assert pipe.id == "pipe.jpg"
    with pytest.raises(OSError, match="a pipe or a device"):
        pipe.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="needs file names of any bytes")
def test_names_that_are_not_utf8_get_ids_that_can_be_stored(
    context: Context, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    path = write_picture(folder / "x.png")
    try:
        path.rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    [image] = dataset(context).training_images()
    assert image.id == "caf\\xe9.png"
    assert image.id.encode()
    assert image.read_bytes()


def test_a_missing_folder_is_answered_with_the_nearest(context: Context, photos: Path) -> None:
    with pytest.raises(LatteError) as caught:
        dataset(context, root="fotos")
    assert caught.value.what == f"no such folder: {photos.parent / 'fotos'}"
    assert caught.value.where == "dataset.root"
    assert caught.value.hint == f"Did you mean {photos}?"


def test_a_missing_folder_like_no_other_is_answered_with_what_there_is(
    context: Context, photos: Path
) -> None:
    with pytest.raises(LatteError) as caught:
        dataset(context, root="photos/zzz/yyy")
    assert caught.value.hint == f"{photos} holds a.png, b.jpg, deep."


def test_a_folder_without_images_says_what_it_holds(context: Context, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "x.CR2").write_bytes(b"")
    with pytest.raises(LatteError, match=r"no images below .*photos") as caught:
        dataset(context).training_images()
    assert "1 file (1 .cr2) in image formats that are not read" in str(caught.value)


def test_files_in_both_folders_that_look_like_images_are_named(
    context: Context, photos: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "test" / "cat" / "1.png").rename(tmp_path / "test" / "IMG_1")
    write_picture(tmp_path / "test" / "cat" / "2.png")
    (photos / "1.nef").touch()
    (photos / "notes.txt").touch()
    assert dataset(context).warnings() == [
        f"left out 1 file (1 .nef) in image formats that are not read, such as {photos}/1.nef: "
        "convert them to JPEG or PNG",
        "left out 1 other file (1 .txt)",
    ]
    assert dataset(context, evaluation="test").warnings()[1] == (
        "left out 1 file (1 without suffix) with the content but not the name of an image, "
        f"such as {tmp_path}/test/IMG_1: name it with .png"
    )


@pytest.mark.parametrize("link", ["holiday", "beach.jpg"])
def test_links_out_of_the_folder_are_named_and_not_sent(
    context: Context, photos: Path, tmp_path: Path, link: str
) -> None:
    private = write_picture(tmp_path / "private" / "1.jpg")
    (photos / link).symlink_to(private if "." in link else private.parent)
    source = dataset(context)
    shown = link if "." in link else f"{link}/1.jpg"
    (warning,) = source.warnings()
    assert warning == (
        f"1 of 4 images are outside {photos}, where links lead, such as {shown}, which is {private}"
    )
    with pytest.raises(LatteError, match=r"would send images to https://a\.b") as caught:
        source.check_sending("https://a.b")
    assert "follow_links: true" in (caught.value.hint or "")
    dataset(context, follow_links=True).check_sending("https://a.b")


def test_links_within_the_folder_may_be_sent(context: Context, photos: Path) -> None:
    (photos / "again.jpg").symlink_to("b.jpg")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    assert dataset(context).warnings() == []
    dataset(context).check_sending("https://a.b")


def test_sub_folders_can_name_the_classes(context: Context, tmp_path: Path) -> None:
    for name in ("train/sea_horse/1.png", "train/Cat/sub/2.png", "train/3.png", "train/.x/4.png"):
        write_picture(tmp_path / name)
    source = dataset(context, root="train", classes="folders")
    assert source.class_names == ("Cat", "sea horse")
    assert ids(source) == ["3.png", "Cat/sub/2.png", "sea_horse/1.png"]
    assert source.audit_labels() == {"Cat/sub/2.png": 0, "sea_horse/1.png": 1}


def test_labels_from_a_tree_match_its_folder_names(
    context: Context, photos: Path, tmp_path: Path
) -> None:
    for name in ("Sea_Horse/1.png", "sea horse/2.png", "cat/deep/1.png"):
        write_picture(tmp_path / "test" / name)
    source = dataset(context, classes=("sea horse", "cat"), evaluation="test")
    labelled = {image.image.id: image.label for image in source.evaluation_images()}
    assert labelled == {
        "../test/Sea_Horse/1.png": 0,
        "../test/cat/deep/1.png": 1,
        "../test/sea horse/2.png": 0,
    }
    assert [image.image.id for image in source.evaluation_images()] == sorted(labelled)
    assert source.evaluation_images()[0].image.read_bytes()


def test_an_unknown_class_folder_is_answered_with_the_nearest(
    context: Context, photos: Path, tmp_path: Path
) -> None:
    write_picture(tmp_path / "test" / "dogs" / "1.png")
    with pytest.raises(LatteError) as caught:
        dataset(context, evaluation="test").evaluation_images()
    assert caught.value.what == "unknown class 'dogs'"
    assert caught.value.where == str(tmp_path / "test" / "dogs")
    assert caught.value.hint == 'Did you mean "dog"?'


@pytest.mark.parametrize(
    ("table", "evaluation", "message"),
    [
        ("", "test", r"beside the class folders: stray\.png"),
        ("path,class\na.png,\n", "test.csv", r"test\.csv: no row has a class"),
        (
            "file,label\na.png,cat\n",
            "test.csv",
            r"no column 'path'(.|\n)*Rename the columns to path and class",
        ),
    ],
)
def test_labelled_images_without_classes_are_refused(
    context: Context, photos: Path, tmp_path: Path, table: str, evaluation: str, message: str
) -> None:
    write_picture(tmp_path / "test" / "cat" / "1.png")
    write_picture(tmp_path / "test" / "stray.png")
    (tmp_path / "test.csv").write_text(table)
    with pytest.raises(LatteError, match=message):
        dataset(context, evaluation=evaluation).evaluation_images()


@pytest.mark.parametrize("evaluation", ["photos", "photos/cat", "."])
def test_training_never_sees_the_evaluation_tree(
    context: Context, tmp_path: Path, evaluation: str
) -> None:
    write_picture(tmp_path / "photos" / "cat" / "cat" / "1.png")
    with pytest.raises(LatteError, match="training would see"):
        dataset(context, evaluation=evaluation).evaluation_images()


@pytest.mark.parametrize("start", ["", "photos/"])
def test_list_may_label_own_images_below_either_folder(
    context: Context, photos: Path, tmp_path: Path, start: str
) -> None:
    (tmp_path / "test.csv").write_text(f"image;label\n{start}a.png;cat\n{start}b.jpg;\n")
    source = dataset(context, evaluation="test.csv")
    assert [(labelled.image.id, labelled.label) for labelled in source.evaluation_images()] == [
        ("a.png", 0)
    ]
    own_images_warning, without_class = source.warnings()
    assert own_images_warning.startswith("1 of 1 test images are training images too (own images)")
    assert without_class == "rows of test images without a class, which are left out: 1"
    assert source.audit_labels() == {}


def test_labels_can_come_from_a_list_with_paths_from_its_folder(
    context: Context, photos: Path, tmp_path: Path
) -> None:
    far = write_picture(tmp_path / "far" / "2.png")
    write_picture(tmp_path / "test" / "1.png")
    (tmp_path / "test" / "labels.csv").write_text(f"class,path\nDog,1.png\ncat,{far}\n")
    source = dataset(context, evaluation="test/labels.csv")
    labelled = [(image.image.id, image.label) for image in source.evaluation_images()]
    assert labelled == [("../far/2.png", 0), ("../test/1.png", 1)]


def test_a_missing_evaluation_is_found_at_once(context: Context, photos: Path) -> None:
    with pytest.raises(LatteError, match="no such folder"):
        dataset(context, evaluation="tset")
