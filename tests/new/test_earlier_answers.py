"""Answers of earlier reviews teach a later run on the same photos, whichever run asked."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

import latte
from latte.cli.main import run_command_line
from latte.io.files import digest
from latte.new.earlier_answers import files_of_answers
from latte.new.images import Findings, look_at
from latte.results.answers import Answer, append_answers
from latte.results.class_lists import ClassChange, digest_of_classes
from latte.results.run import open_run

NAMES = ("red", "green", "blue")


@pytest.fixture
def photos(colour_images: Callable[..., Path]) -> Path:
    return colour_images(per_class=4)


def answer(photos: Path, file: Path, *names: str | None, classes: str = "") -> None:
    """Give the first photos these classes; None means none of the classes."""
    paths = sorted(photos.rglob("*.jpg"))
    append_answers(
        file,
        [
            Answer(
                digest(path.read_bytes()),
                "none" if name is None else "class",
                name,
                "images",
                "another run",
                "",
                classes=classes,
            )
            for path, name in zip(paths, names, strict=False)
        ],
    )


def looked_at(photos: Path, classes: tuple[str, ...] = NAMES) -> Findings:
    runs = photos.parent / "adapted"
    return look_at(photos, classes, None, answers=files_of_answers(runs, "photos"))


def test_answers_about_the_photos_are_counted_and_teach(photos: Path) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    assert looked_at(photos).answers is None
    answer(photos, shared, "red", "blue", None)
    found = looked_at(photos)
    assert found.corrections == (shared,)
    assert str(found.answers).startswith("3 earlier answers (")
    assert str(found.answers).endswith("adapted/review.jsonl) teach")


def test_a_photo_that_was_encoded_again_has_no_answer(photos: Path) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    answer(photos, shared, "red", "blue")
    for path in photos.rglob("*.jpg"):
        buffer = BytesIO()
        Image.open(path).save(buffer, "JPEG", quality=50)
        path.write_bytes(buffer.getvalue())
    assert looked_at(photos).answers is None


def test_answers_that_cannot_teach_say_why_and_are_left_out(photos: Path) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    answer(photos, shared, "red", "red")
    found = looked_at(photos)
    assert found.corrections == ()
    assert str(found.answers).endswith('cannot teach yet: all 2 labels are of the class "red"')


def test_answers_for_other_class_names_are_left_out(photos: Path) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    answer(photos, shared, "red", "blue", "grey", None, classes=digest_of_classes(["red", "blue"]))
    found = looked_at(photos).answers
    assert found is not None and found.count == 2


def test_class_names_that_were_changed_while_answering_are_those_of_the_next_recipe(
    photos: Path,
) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    given = ("red", "green", "blue | navy")
    new = ("red", "leaf", "blue", "purple")
    append_answers(shared, [ClassChange(NAMES, new, "")])
    assert looked_at(photos, given).class_names == NAMES
    answer(photos, shared, "red", "green", "purple", classes=digest_of_classes(NAMES))
    found = looked_at(photos, given)
    assert found.class_entries == ("red", "leaf", "blue | navy", "purple")
    assert found.class_names == new
    assert found.answers is not None and found.answers.count == 3
    assert str(found.answers).endswith(
        "teach; as in your review, green is now leaf, purple is a class, too"
    )
    others = looked_at(photos, ("red", "green"))
    assert others.class_names == ("red", "green")


def test_true_labels_keep_the_class_names_and_their_answers_teach(photos: Path) -> None:
    shared = photos.parent / "adapted" / "review.jsonl"
    shared.parent.mkdir()
    append_answers(shared, [ClassChange(NAMES, ("red", "leaf", "blue"), "")])
    answer(photos, shared, "red", "leaf", classes=digest_of_classes(("red", "leaf", "blue")))
    labels = photos.parent / "labels.csv"
    *_, first, second = sorted(photos.rglob("*.jpg"))
    labels.write_text(f"image,label\n{first},green\n{second},blue\n")
    files = files_of_answers(shared.parent, "photos")
    found = look_at(photos, NAMES, None, labels, answers=files)
    assert found.class_names == NAMES
    assert found.answers is not None and found.answers.count == 2


def test_answers_in_a_run_folder_of_an_earlier_version_are_read_first(photos: Path) -> None:
    runs = photos.parent / "adapted"
    for name in ("photos-1a2b3c4d", "birds-1a2b3c4d"):
        (runs / name).mkdir(parents=True)
        answer(photos, runs / name / "review.jsonl", "red", "blue")
    answer(photos, runs / "review.jsonl", "green")
    earlier = runs / "photos-1a2b3c4d" / "review.jsonl"
    assert looked_at(photos).corrections == (earlier, runs / "review.jsonl")


@pytest.fixture
def adapt(photos: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Adapts to the photos in one command, and returns the newest run folder."""
    monkeypatch.chdir(photos.parent)
    monkeypatch.setenv("LATTE_CACHE", str(photos.parent / "cache"))

    def adapted(*arguments: str, classes: str = "red,green,blue", command: str = "adapt") -> Path:
        words = [command, "images", "--classes", classes, "--model", "plugin:tiny", *arguments]
        assert run_command_line(words) == 0
        finished = Path("adapted").glob("*/results.json")
        return max(finished, key=lambda path: path.stat().st_mtime).parent

    return adapted


@pytest.mark.thorough
def test_adapting_again_uses_the_answers_of_whichever_run_asked(
    photos: Path, adapt: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = adapt()
    shared = Path("adapted", "review.jsonl")
    answer(photos, shared, "red", "green", "blue", "grey")
    taught = adapt()
    assert taught != plain
    assert "4 earlier answers" not in (printed := capsys.readouterr().err)
    assert "3 earlier answers (adapted/review.jsonl) teach" in printed
    assert '1 answer names a class not in your list, and does not count: "grey" (1' in printed
    learnt = open_run(taught).record.train.answers
    assert learnt is not None and learnt.answers == 3
    assert latte.load(plain).refit(progress=False).folder == taught.absolute()
    with_grey = adapt(classes="red,green,blue,grey")
    learnt = open_run(with_grey).record.train.answers
    assert learnt is not None and learnt.answers == 4
    left_out = adapt("--no-answers")
    assert left_out == plain
    assert open_run(left_out).record.train.answers is None


@pytest.mark.thorough
def test_a_recipe_uses_answers_only_if_asked(
    photos: Path, adapt: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain = adapt()
    again = ["run", str(plain / "recipe.yaml"), "--set", "output=adapted", "--quiet"]
    assert run_command_line([*again, "--answers"]) == 2
    assert "there are no answers here" in capsys.readouterr().err
    answer(photos, Path("adapted", "review.jsonl"), "red", "green", "blue")
    assert run_command_line(again) == 0
    assert [path.parent for path in Path("adapted").glob("*/results.json")] == [plain]
    assert run_command_line([*again, "--answers"]) == 0
    (taught,) = {path.parent for path in Path("adapted").glob("*/results.json")} - {plain}
    learnt = open_run(taught).record.train.answers
    assert learnt is not None and learnt.answers == 3


@pytest.mark.thorough
def test_a_review_of_photos_opens_the_run_that_adapt_makes(
    photos: Path,
    adapt: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: None)
    run = adapt("--no-open", command="review")
    assert f"To go on: latte review {run}" in capsys.readouterr().out
    assert adapt() == run
    assert [path.parent for path in Path("adapted").glob("*/results.json")] == [run]
    for arguments in (
        ["review", "images", "--show"],
        ["review", str(run), "--classes", "red,green"],
        ["adapt", "images", "--ask", "--no-answers"],
    ):
        assert run_command_line(arguments) == 2


@pytest.mark.thorough
def test_adapting_again_has_the_class_names_that_were_changed_while_answering(
    photos: Path, adapt: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, new = adapt(), ("red", "leaf", "blue")
    shared = Path("adapted", "review.jsonl")
    append_answers(shared, [ClassChange(NAMES, new, "")])
    answer(photos, shared, "red", "leaf", "blue", classes=digest_of_classes(new))
    taught = open_run(adapt())
    assert "as in your review, green is now leaf" in capsys.readouterr().err
    assert taught.class_names == new
    assert taught.rows.pseudo_labels.adapted[:3] == (0, 1, 2)
    assert adapt("--no-answers") == plain
