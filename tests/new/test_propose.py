"""`latte new` proposes a first recipe for a folder of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from latte.cli.main import run_command_line
from latte.interfaces import LatteError
from latte.new.choices import batch_size, choose, has
from latte.new.images import Findings, look_at
from latte.new.models import Machine
from latte.new.writing import recipe_text
from latte.recipe.load import load_recipe
from latte.recipe.model import Recipe
from latte.registry.registry import Registry, load_registry
from tests.helpers.recipes import builtin_plugin

pytestmark = pytest.mark.thorough

MakeImages = Callable[..., Path]
CPU = Machine("cpu", "2 CPU cores, no GPU", 8.0)
GPU = Machine("cuda", "a GPU", 80.0)
SMALL_GPU = Machine("cuda", "a GPU", 12.0)
BARE = Registry([builtin_plugin()])


@pytest.fixture
def findings(colour_images: MakeImages) -> Findings:
    return look_at(colour_images(per_class=20), None, None)


def written(
    findings: Findings, machine: Machine, registry: Registry, tmp_path: Path, method: str = "auto"
) -> Recipe:
    """Write the proposed recipe, and load it."""
    file = tmp_path / "new.yaml"
    file.write_text(recipe_text(findings, choose(findings, machine, registry, method), file))
    return load_recipe(file, registry)


def method_of(recipe: Recipe) -> str:
    return recipe.learners[0].prototypes.spec.name


def test_look_at_counts_images_classes_and_broken_files(
    colour_images: MakeImages, tmp_path: Path
) -> None:
    root = colour_images(per_class=4)
    (root / "red" / "broken.jpg").write_bytes(b"no image")
    (root / "notes.txt").touch()
    classes = tmp_path / "classes.txt"
    classes.write_text("red\nsea_green\n12\n34\nRed\n")
    findings = look_at(root, classes, None)
    assert (findings.images, findings.opened, len(findings.broken)) == (13, 13, 1)
    assert findings.size == (40, 36)
    warnings = " ".join(findings.warnings())
    for words in (
        "1 of 13 sampled images can't be read, e.g. red/broken.jpg (not an image",
        "images are small (40 x 36 pixels)",
        "13 images for 5 class names (2.6 per name): remove names that cannot occur",
        "1 class name (sea_green) with an underscore",
        "2 class names (12, 34) without a letter",
        "1 class name (red) in several spellings",
    ):
        assert words in warnings, words


def test_numbers_and_marks_of_lists_are_warnings(colour_images: MakeImages) -> None:
    root = colour_images(per_class=4)
    plain = ("2000 Ford F-150", "tench, Tinca tinca", "3.5 inch disk", "7-spot ladybird", "t-shirt")
    assert "quotation" not in " ".join(look_at(root, plain, None).warnings())
    marked = ("1. cat", "2) dog", "3,cow", "- pig", '"hen"', "ox;7")
    warnings = " ".join(look_at(root, marked, None).warnings())
    assert (
        '6 class names (1. cat, 2) dog, 3,cow, - pig, "hen" and 1 more) with a list number'
        in warnings
    )


def test_sub_folder_without_class_name_is_a_warning(
    colour_images: MakeImages, tmp_path: Path
) -> None:
    root = colour_images(per_class=4)
    assert "seem to be no class" not in " ".join(look_at(root, None, None).warnings())
    (root / "red").rename(root / "Unlabelled")
    warnings = " ".join(look_at(root, None, None).warnings())
    assert "1 class name (Unlabelled) from sub-folders that seem to be no class" in warnings
    class_file = tmp_path / "classes.txt"
    class_file.write_text("green\nblue\nother\n")
    assert "seem to be no class" not in " ".join(look_at(root, class_file, None).warnings())


def test_labelled_folder_names_the_classes_of_a_flat_folder(
    colour_images: MakeImages, tmp_path: Path
) -> None:
    labelled = colour_images(per_class=2, folder="labelled")
    (labelled / "red").rename(labelled / "dark_red")
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, image in enumerate(colour_images(per_class=5).rglob("*.jpg")):
        (flat / f"{number}.jpg").write_bytes(image.read_bytes())
    findings = look_at(flat, None, labelled)
    assert set(findings.class_names) == {"dark red", "green", "blue"}
    assert findings.named_by == labelled
    assert set(written(findings, CPU, BARE, tmp_path).dataset.options.classes) == {  # type: ignore[attr-defined]
        *findings.class_names
    }
    reasons = " ".join(choose(findings, CPU, BARE, "auto").reasons)
    assert f"class names: sub-folders of {labelled} (blue, dark red, green)" in reasons
    with pytest.raises(LatteError, match="0 class names"):
        look_at(flat, None, None)


def test_left_out_files_of_both_folders_are_counted(colour_images: MakeImages) -> None:
    root = colour_images(per_class=4)
    labelled = colour_images(per_class=2, folder="labelled")
    for folder in (root, labelled):
        (folder / "red" / "raw.nef").touch()
    (line,) = look_at(root, None, labelled).left_out
    assert line.startswith("left out 2 files (2 .nef) in image formats that are not read")


def test_images_in_class_folders_give_a_warning(colour_images: MakeImages, tmp_path: Path) -> None:
    root = colour_images(classes=("red", "green", "cyan"), per_class=5)
    classes = tmp_path / "classes.txt"
    classes.write_text("Red\ngreen\n")
    assert "10 images are in folders" in " ".join(look_at(root, classes, None).warnings())


def test_look_at_refuses_unusable_folders_and_classes(
    colour_images: MakeImages, tmp_path: Path
) -> None:
    root = colour_images()
    twice = tmp_path / "twice.txt"
    twice.write_text("red\ngreen\nred\n")
    with pytest.raises(LatteError, match="class 'red' occurs twice"):
        look_at(root, twice, None)
    with pytest.raises(LatteError, match="no such folder"):
        look_at(tmp_path / "imagse", None, None)
    with pytest.raises(LatteError, match="unknown class 'purple'"):
        look_at(root, None, colour_images(classes=("purple",), folder="labelled"))
    with pytest.raises(LatteError, match="training would see"):
        look_at(root, None, root)


@pytest.mark.parametrize("machine", [CPU, SMALL_GPU, GPU], ids=["cpu", "small", "large"])
def test_auto_trains_nothing_on_every_machine(
    findings: Findings, machine: Machine, tmp_path: Path
) -> None:
    recipe = written(findings, machine, load_registry(), tmp_path)
    assert (method_of(recipe), recipe.train.takes_steps) == ("from-labeler", False)
    assert (recipe.requires, recipe.descriptions) == (("latte-selftaught>=0.1,<0.2",), ())
    bare = written(findings, machine, BARE, tmp_path)
    assert (method_of(bare), bare.train.max_steps, bare.requires) == ("re-estimated", 0, ())
    reasons = " ".join(choose(findings, machine, BARE, "auto").reasons)
    assert "pip install latte-selftaught" in reasons


def test_latteclip_uses_the_lmm_that_the_gpu_holds(findings: Findings, tmp_path: Path) -> None:
    recipe = written(findings, GPU, load_registry(), tmp_path, "latteclip")
    assert method_of(recipe) == "momentum"
    assert recipe.resolved["describers"][0]["load_in"] == "none"
    assert recipe.train.max_epochs == 50
    small = written(findings, SMALL_GPU, load_registry(), tmp_path, "latteclip")
    assert small.resolved["describers"][0]["load_in"] == "4bit"


@pytest.mark.parametrize("machine", [CPU, SMALL_GPU, GPU], ids=["cpu", "small", "large"])
@pytest.mark.parametrize("method", ["zero-shot", "self-taught", "training-free", "latteclip"])
@pytest.mark.parametrize("registry", [BARE, load_registry()], ids=["bare", "all"])
def test_every_choice_is_a_valid_recipe_with_reasons(
    findings: Findings, machine: Machine, method: str, registry: Registry, tmp_path: Path
) -> None:
    recipe = written(findings, machine, registry, tmp_path, method)
    adapts = method != "zero-shot"
    assert (recipe.guard is not None) == (adapts and has(registry, "guard", "evidence"))
    reasons = " ".join(choose(findings, machine, registry, method).reasons)
    assert all(word in reasons for word in ("method: ", "gain: not measured"))
    assert ("guard: " in reasons) == adapts
    assert max(map(len, (tmp_path / "new.yaml").read_text().splitlines())) <= 100


@pytest.mark.parametrize(("images", "steps"), [(600, "19 steps"), (20, "1 step")])
def test_latteclip_announces_its_steps_and_its_control(
    findings: Findings, images: int, steps: str
) -> None:
    choice = choose(replace(findings, images=images), CPU, BARE, "latteclip")
    assert any(reason.endswith(f"an epoch has about {steps}") for reason in choice.reasons)
    (control,) = (reason for reason in choice.reasons if reason.startswith("control: "))
    assert "without-descriptions" in control and "remove `controls`" in control


def test_batch_size_gives_ten_steps_per_epoch() -> None:
    assert [batch_size(images) for images in (10, 639, 640, 5_119, 5_120, 100_000)] == [
        *(32, 32, 64, 256, 512, 512)
    ]


@pytest.mark.parametrize("name", ["photos", "my photos: ${HOME}", "yes", "née #1", '"q"'])
def test_paths_with_special_characters_are_unchanged(
    name: str, colour_images: MakeImages, tmp_path: Path
) -> None:
    root = colour_images(folder=name)
    recipe = written(look_at(root, None, None), CPU, BARE, tmp_path)
    assert recipe.resolved["dataset"]["root"] == name
    file = tmp_path / "a" / "b" / "c" / "d.yaml"
    findings = look_at(root, None, None)
    assert str(root).replace('"', '\\"').replace("${", "$${") in recipe_text(
        findings, choose(findings, CPU, BARE, "auto"), file
    )


def test_new_prints_reasons_and_never_overwrites(
    colour_images: MakeImages,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    colour_images()
    colour_images(folder="labelled", per_class=2, size=(50, 50))
    command = ["new", "--images", "images", "--evaluation", "labelled", "--output", "my.yaml"]
    assert run_command_line(command) == 0
    printed = capsys.readouterr().out
    for words in ("images: 9, 40 x 36", "classes: 3", "labelled images: 6", "method: ", "my.yaml"):
        assert words in printed
    assert max(map(len, printed.splitlines())) <= 80
    text = Path("my.yaml").read_text()
    assert "  evaluation: labelled\n" in text
    assert run_command_line(["check", "my.yaml"]) == 0
    assert run_command_line(command) == 2
    assert "exists already, and is not overwritten" in capsys.readouterr().err
    assert Path("my.yaml").read_text() == text
    assert run_command_line([*command[:-1], "other.yaml", "--method", "self-taugt"]) == 2
    assert 'Did you mean "self-taught"?' in capsys.readouterr().err


def test_command_writes_the_chosen_model(
    colour_images: MakeImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    colour_images()
    command = ["new", "--images", "images", "-o", "my.yaml", "--method", "zero-shot"]
    assert run_command_line([*command, "--model", "plugin:tiny"]) == 0
    assert load_recipe(Path("my.yaml"), load_registry()).backbone.options.model == "plugin:tiny"


@pytest.mark.parametrize("method", ["self-taught", "latteclip"])
def test_the_written_recipe_runs(
    method: str,
    colour_images: MakeImages,
    tiny_clip_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATTE_CACHE", str(tmp_path / "cache"))
    colour_images(per_class=4)
    assert run_command_line(["new", "--images", "images", "-o", "my.yaml", "--method", method]) == 0
    tiny = f"backbone={{model: 'local-dir:{tiny_clip_folder}'}}"
    assert run_command_line(["run", "my.yaml", "-q", "--set", tiny]) == 0
    (run,) = Path("runs").iterdir()
    printed = capsys.readouterr().out
    assert f"labels\t{run}/pseudo_labels.csv\n" in printed
    assert f"predict\tlatte predict {run} IMAGES\n" in printed


def test_a_quick_look_is_proposed_only_if_it_is_smaller(findings: Findings, tmp_path: Path) -> None:
    def text(images: int, names: int) -> str:
        scaled = replace(
            findings, images=images, class_names=tuple(f"name {number}" for number in range(names))
        )
        return recipe_text(scaled, choose(scaled, CPU, BARE, "auto"), tmp_path / "my.yaml")

    assert "--limit 200 " in text(5_000, 20)
    assert "--limit 300 " in text(5_000, 100)
    assert "--limit" not in text(250, 100)
