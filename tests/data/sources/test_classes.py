from __future__ import annotations

import pytest
from pydantic import ValidationError

from latte.components.datasets.local import FolderOptions, ListOptions
from latte.data.sources.class_lookup import ClassLookup
from latte.data.sources.classes import class_notes, read_class_names, read_classes
from latte.interfaces import Context, LatteError


@pytest.fixture
def context(latte_context: Context) -> Context:
    return latte_context


def names(context: Context, content: bytes) -> tuple[str, ...]:
    (context.base_dir / "classes.txt").write_bytes(content)
    return read_class_names("classes.txt", context.base_dir, context)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("cat\nsea horse\nthe # 1 fan\nno, no\n", ("cat", "sea horse", "the # 1 fan", "no, no")),
        ("# my pets\ncat\n  # old: cat\n#dog\ndog\n", ("cat", "dog")),
        ("cat, sea horse,dog\n", ("cat", "sea horse", "dog")),
        ("# pets\n\ncat,sea horse,dog,", ("cat", "sea horse", "dog")),
        ("\ufeffcat\r\n\r\n  \r\n dog \r\nfü", ("cat", "dog", "fü")),
    ],
    ids=["a name per line", "comments", "one line", "one line and a comment", "BOM and line ends"],
)
def test_text_file_of_class_names(
    context: Context, content: str, expected: tuple[str, ...]
) -> None:
    assert names(context, content.encode()) == expected


def test_class_names_from_a_list(context: Context) -> None:
    assert read_class_names(("b", "a_b"), context.base_dir, context) == ("b", "a_b")


@pytest.mark.parametrize(
    ("content", "twice", "line"),
    [(b"cat\ndog\n\ncat\n", "cat", 4), (b"couch | sofa\ncat\nsofa\n", "sofa", 3)],
    ids=["name", "alias"],
)
def test_duplicate_class_name_is_rejected_with_both_lines(
    context: Context, content: bytes, twice: str, line: int
) -> None:
    with pytest.raises(LatteError) as caught:
        names(context, content)
    assert caught.value.what == f"class '{twice}' occurs twice"
    assert str(caught.value.where).endswith(f"classes.txt:{line}")
    assert "classes.txt:1" in str(caught.value.hint)


def test_a_class_name_in_two_unicode_forms_is_rejected(context: Context) -> None:
    with pytest.raises(LatteError, match="occurs twice") as caught:
        names(context, "K\u00e4fer\ncat\nKa\u0308fer\n".encode())
    assert "classes.txt:1" in str(caught.value.hint)
    # A name is kept as it is written, because its text is what CLIP encodes.
    assert names(context, "Ka\u0308fer\ncat\n".encode()) == ("Ka\u0308fer", "cat")
    assert ClassLookup(["K\u00e4fer", "cat"]).label("Ka\u0308fer", where="labels.csv:2") == 0


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"cat\n", b"#a\n#b\n", b"cat,\n", b"couch | sofa\n"]
)
def test_fewer_than_two_classes_are_rejected(context: Context, content: bytes) -> None:
    with pytest.raises(LatteError, match="at least 2 are needed"):
        names(context, content)


def test_class_file_in_another_encoding_is_rejected_with_the_line(context: Context) -> None:
    with pytest.raises(LatteError, match=r"classes\.txt:2: is not UTF-8 text"):
        names(context, b"cat\nf\xfc\n")


def test_folders_that_differ_only_in_underscores_are_refused(context: Context) -> None:
    for name in ("a_b", "a b"):
        (context.base_dir / name).mkdir()
    with pytest.raises(LatteError, match="class 'a b' occurs twice"):
        read_class_names("folders", context.base_dir, context)


def test_several_spaces_of_a_folder_are_one(context: Context) -> None:
    for name in ("polar  bear", "sea_horse"):
        (context.base_dir / name).mkdir()
    class_names = read_class_names("folders", context.base_dir, context)
    assert {"polar bear", "sea horse"} < {*class_names}


@pytest.mark.parametrize("options", [FolderOptions, ListOptions])
def test_a_template_must_name_the_class(options: type[FolderOptions] | type[ListOptions]) -> None:
    needed = {"root": "x", "classes": "folders"}
    if options is ListOptions:
        needed["images"] = "x.csv"
    assert options(**needed, template="{x} {class} {").template == "{x} {class} {"
    with pytest.raises(ValidationError, match=r"must contain \{class\}"):
        options(**needed, template="a photo of a {}.")


def test_line_with_several_names_of_one_class(context: Context) -> None:
    assert names(context, b"couch | sofa\ncat\na|b\n") == ("couch", "cat", "a|b")
    classes = read_classes("classes.txt", context.base_dir, context)
    assert classes == (("couch", "sofa"), ("cat",), ("a|b",))
    (context.base_dir / "classes.txt").write_text("couch | sofa, table")
    classes_again = read_classes("classes.txt", context.base_dir, context)
    assert classes_again == (("couch", "sofa"), ("table",))


def test_names_in_one_line_without_commas_get_the_right_form_as_a_hint(context: Context) -> None:
    with pytest.raises(LatteError, match="1 class name;") as caught:
        names(context, b"forest;river;sea\n")
    assert "one class name per line" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('class\nChairs\n"Lamps, table"\n', ("Chairs", "Lamps, table")),
        ("SKU;Name\n1;Chairs\n2;Lamps, table\n", ("Chairs", "Lamps, table")),
        ("Kategorie\nChairs\nLamps\n", ("Kategorie", "Chairs", "Lamps")),
        ("1;Chairs\n2;Lamps\n", ("Chairs", "Lamps")),
        ("# pets\ncat,sea horse,dog\n", ("cat", "sea horse", "dog")),
        ("cat\ndog\n", ("cat", "dog")),
    ],
)
def test_table_of_class_names(context: Context, content: str, expected: tuple[str, ...]) -> None:
    (context.base_dir / "names.csv").write_text(content)
    assert read_class_names("names.csv", context.base_dir, context) == expected


def test_table_with_a_comma_outside_quotes_is_refused(context: Context) -> None:
    (context.base_dir / "names.csv").write_text("class\nChairs\nLamps, table\n")
    with pytest.raises(LatteError, match=r"names\.csv:3: 2 values, but 1 in the first line"):
        read_class_names("names.csv", context.base_dir, context)


def test_first_line_of_a_table_without_header_is_named(context: Context) -> None:
    for content, notes in (("Kategorie\nChairs\n", 1), ("label\nChairs\nLamps\n", 0)):
        (context.base_dir / "names.csv").write_text(content)
        notes_given = [*class_notes("names.csv", ("Chairs", "Lamps"), context)]
        assert len(notes_given) == notes
        assert all(
            'names.csv:1: "Kategorie" is read as a class name' in note for note in notes_given
        )


def test_quotes_around_a_line_are_dropped_and_a_semicolon_is_refused(context: Context) -> None:
    assert names(context, b'"Lamps, table"\n12" pizza\n"a" or "b"\n') == (
        "Lamps, table",
        '12" pizza',
        '"a" or "b"',
    )
    with pytest.raises(LatteError, match=r"classes\.txt:2: a class name with a semicolon"):
        names(context, b"1;Chairs\n2;Lamps\n".replace(b"1;", b""))


def test_comments_are_counted(context: Context) -> None:
    for content, counted in (
        (b"# pets\ncat\n#dog\ncow\n", "2 lines start with # and are read as comments"),
        (b"# pets\ncat\ncow\n", "1 line starts with # and is read as a comment"),
    ):
        (note,) = class_notes("classes.txt", names(context, content), context)
        assert note.endswith(f"classes.txt: {counted}")


def test_tabs_separate_the_cells_of_a_tsv_file_with_commas(context: Context) -> None:
    file = context.base_dir / "names.tsv"
    file.write_text("cat\tsmall, furry\nLamps, table\tlarge, bright\n")
    assert read_class_names("names.tsv", context.base_dir, context) == ("cat", "Lamps, table")
    file.write_text("class,id\ncat,1\ndog,2\n")
    assert read_class_names("names.tsv", context.base_dir, context) == ("cat", "dog")


@pytest.mark.parametrize("name", ["Sonstiges", "other", "Misc/Spare parts"])
def test_names_for_all_the_rest_are_a_warning(context: Context, name: str) -> None:
    class_names = ("cat", "brother", name)
    (note,) = class_notes(class_names, class_names, context)
    assert f"no image looks like: {name}. Leave them out" in note
