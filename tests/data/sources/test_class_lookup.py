"""Classes are found in small differences of spelling; other names are refused."""

from __future__ import annotations

import pytest

from latte.data.sources.class_lookup import ClassLookup
from latte.interfaces import LatteError


@pytest.mark.parametrize("name", ["sea horse", "Sea_Horse", "SEA  HORSE"])
def test_class_lookup_ignores_case_and_underscores(name: str) -> None:
    assert ClassLookup(["cat", "sea horse"]).label(name, "here") == 1


def test_class_lookup_finds_folder_names_of_sorted_images() -> None:
    lookup = ClassLookup(["cat", "Anchors / Boat parts", "a b", "a/b"])
    assert lookup.label("Anchors _ Boat parts", "here") == 1
    assert [lookup.label(name, "here") for name in ("a b", "a/b", "A_b")] == [2, 3, 2]


def test_class_lookup_prefers_exact_spelling_and_rejects_ambiguity() -> None:
    lookup = ClassLookup(["Crane", "crane"])
    assert [lookup.label(name, "here") for name in ("Crane", "crane")] == [0, 1]
    with pytest.raises(LatteError, match="could be any of Crane, crane"):
        lookup.label("CRANE", "here")


def test_unknown_class_error_lists_some_classes() -> None:
    with pytest.raises(LatteError, match="The classes are c0, c1, c2, c3, c4 and 2 more"):
        ClassLookup([f"c{i}" for i in range(7)]).label("zebra", "here")


def test_an_alias_finds_its_class_in_other_spellings() -> None:
    lookup = ClassLookup(["couch", "cat"], [("couch", "Big_Sofa"), ("cat",)])
    assert [lookup.label(name, "here") for name in ("couch", "big sofa", "cat")] == [0, 0, 1]
