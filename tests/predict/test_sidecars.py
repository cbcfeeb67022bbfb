"""Sidecars name the class of an image for photo managers, and keep what others wrote."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from latte.evaluate.predictions import ClassScore, Prediction
from latte.interfaces import LatteError
from latte.predict.sidecars import Sidecars, sidecar_of, write_keyword

OF_OTHERS = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>
<!-- by hand -->
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:ns0="urn:own">
<ns0:camera>old</ns0:camera>
<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>places|Wien</rdf:li></rdf:Bag></lr:hierarchicalSubject>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>
"""
Read = Callable[[Path], dict[str, Any]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An image; its content does not matter."""
    path = tmp_path / "Größe 1.jpg"
    path.write_bytes(b"pixels")
    return path


@pytest.fixture
def read() -> Read:
    """A function that reads a sidecar with exiftool, a program that shares no code with latte."""
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed")

    def read_sidecar(path: Path) -> dict[str, Any]:
        names = ("-Subject", "-HierarchicalSubject", "-Rating", "-Camera", "-Warning", "-Error")
        command = [program, "-j", "-sep", "; ", *names, str(path)]
        shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
        del shown["SourceFile"]
        return dict(shown)

    return read_sidecar


def test_class_becomes_a_keyword_that_photo_managers_read(image: Path, read: Read) -> None:
    assert write_keyword(image, "cat & <dog>")
    assert read(sidecar_of(image)) == {
        "Subject": "cat & <dog>",
        "HierarchicalSubject": "latte|cat & <dog>",
    }
    assert image.read_bytes() == b"pixels"


def test_what_others_wrote_stays(image: Path, read: Read) -> None:
    sidecar_of(image).write_text(OF_OTHERS, encoding="utf-8")
    before = read(sidecar_of(image))
    write_keyword(image, "cat")
    assert read(sidecar_of(image)) == {
        **before,
        "Subject": "holiday; cat",
        "HierarchicalSubject": "places|Wien; latte|cat",
    }
    assert "by hand" in sidecar_of(image).read_text(encoding="utf-8")
    write_keyword(image, None)
    assert read(sidecar_of(image)) == before


def test_another_class_replaces_the_earlier_one(image: Path, read: Read) -> None:
    sidecar_of(image).write_text(OF_OTHERS, encoding="utf-8")
    for name in ("cat", "dog", "dog"):
        write_keyword(image, name)
    assert read(sidecar_of(image))["Subject"] == "holiday; dog"
    assert read(sidecar_of(image))["HierarchicalSubject"] == "places|Wien; latte|dog"


def test_keyword_of_a_person_outlives_an_equal_class(image: Path, read: Read) -> None:
    sidecar_of(image).write_text(OF_OTHERS, encoding="utf-8")
    write_keyword(image, "holiday")
    write_keyword(image, "cat")
    assert read(sidecar_of(image))["Subject"] == "holiday; cat"


def test_equal_class_writes_nothing(image: Path) -> None:
    assert write_keyword(image, "cat")
    before = sidecar_of(image).stat()
    assert not write_keyword(image, "cat")
    assert sidecar_of(image).stat() == before


def test_no_class_makes_no_sidecar(image: Path) -> None:
    assert not write_keyword(image, None)
    assert not sidecar_of(image).exists()


def test_sidecar_without_the_image_suffix_is_used_if_it_is_the_only_one(image: Path) -> None:
    shared = image.with_suffix(".xmp")
    shared.write_text(OF_OTHERS, encoding="utf-8")
    assert sidecar_of(image) == shared
    image.with_name(f"{image.name}.xmp").write_text(OF_OTHERS, encoding="utf-8")
    assert sidecar_of(image) != shared


def test_class_with_characters_that_no_xml_may_contain_is_written(image: Path, read: Read) -> None:
    write_keyword(image, "cat\x07|\ufffe")
    assert read(sidecar_of(image))["Subject"].split() == ["cat", "|"]


BOMB = (
    "<!DOCTYPE a [<!ENTITY b '"
    + "x" * 999
    + "'>"
    + "".join(
        f"<!ENTITY {name} '{f'&{before};' * 50}'>"
        for before, name in zip("bcdef", "cdefg", strict=True)
    )
    + "]><a>&g;</a>"
)


@pytest.mark.parametrize(
    "content", ["", "no xml", "<a/>", "<a>", BOMB, "\0", OF_OTHERS.replace("rdf:RDF", "rdf:rdf")]
)
def test_other_content_is_one_error_and_stays(image: Path, content: str) -> None:
    sidecar_of(image).write_text(content, encoding="utf-8")
    with pytest.raises(LatteError, match="no XMP"):
        write_keyword(image, "cat")
    assert sidecar_of(image).read_text(encoding="utf-8") == content


def test_sidecar_that_is_a_folder_is_one_error(image: Path) -> None:
    sidecar_of(image).mkdir()
    with pytest.raises(LatteError, match="cannot be written"):
        write_keyword(image, "cat")


def test_unsure_images_and_images_of_no_class_get_no_keyword(image: Path, read: Read) -> None:
    write_keyword(image, "cat")
    sidecars = Sidecars(min_confidence=0.6)
    for label, score in ((0, 0.7), (0, 0.5), (1, 0.9), (-1, 0.9)):
        name = ("cat", "dog", "none of these")[label]
        row = Prediction(str(image), (ClassScore(name, score, label),))
        assert list(sidecars.write([row])) == [row]
    assert read(sidecar_of(image)) == {}
    assert sidecars.summary() == "sidecars (XMP) written or changed: 3"
