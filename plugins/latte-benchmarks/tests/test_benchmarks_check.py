from __future__ import annotations

import json
from pathlib import Path

import benchmark_trees as trees
import pytest
from latte_benchmarks.check import DatasetFinding, check, usable
from latte_benchmarks.facts import all_facts, find_facts


def errors(findings: list[DatasetFinding]) -> list[str]:
    return [f"{finding.what} | {finding.hint}" for finding in findings if finding.level == "error"]


def whats(findings: list[DatasetFinding], level: str) -> list[str]:
    return [finding.what for finding in findings if finding.level == level]


@pytest.mark.parametrize("name", all_facts())
def test_a_small_tree_lacks_nothing_but_is_not_the_published_one(name: str, tmp_path: Path) -> None:
    facts = trees.write_tree(name, tmp_path)
    findings = check(facts, tmp_path)
    assert "all 12 images of the split are there" in whats(findings, "ok")
    [error] = errors(findings)
    assert f"{facts.train:,} + {facts.val:,} and {facts.test:,} of {facts.classes} classes" in error


@pytest.mark.parametrize("name", all_facts())
def test_an_empty_folder_lacks_everything(name: str, tmp_path: Path) -> None:
    facts = find_facts(name)
    missing = errors(check(facts, tmp_path))
    folders = [f"the folder {folder}/ is missing" for folder in facts.needed_folders]
    assert all(any(what in error for error in missing) for what in folders)
    assert len(missing) == len(folders) + (1 if facts.split else 4)
    assert not usable(check(facts, tmp_path / "nowhere"))


def test_absent_and_empty_images_are_counted_and_the_first_named(tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path)
    (tmp_path / "images" / "banded" / "banded_0001.jpg").unlink()
    (tmp_path / "images" / "banded" / "banded_0005.jpg").write_bytes(b"")
    error = errors(check(facts, tmp_path))[-1]
    assert "2 of 12 images are absent or empty (1 of train, 1 of test)" in error
    assert "such as banded/banded_0001.jpg, banded/banded_0005.jpg" in error


def test_images_one_folder_too_deep_are_found(tmp_path: Path) -> None:
    facts = trees.write_tree("eurosat", tmp_path)
    (tmp_path / "2750").rename(tmp_path / "unzipped")
    (tmp_path / "2750").mkdir()
    (tmp_path / "unzipped").rename(tmp_path / "2750" / "2750")
    error = errors(check(facts, tmp_path))[-1]
    assert "12 of 12 images are absent" in error
    assert f"move the content of {tmp_path / '2750' / '2750'} to {tmp_path / '2750'}" in error


def test_a_root_one_folder_too_high_is_answered_with_the_right_one(tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path / "dtd")
    images_error, split_error = errors(check(facts, tmp_path))
    assert f"there is dtd/images | Move the content of {tmp_path / 'dtd'}" in images_error
    assert f"use {tmp_path / 'dtd'} as root" in images_error
    assert f"Move {tmp_path / 'dtd' / facts.split} to {tmp_path}." in split_error


def test_the_split_of_another_dataset_is_an_error(tmp_path: Path) -> None:
    facts, pets_facts = trees.write_tree("caltech101", tmp_path), find_facts("oxford-pets")
    counts = {"train": pets_facts.train, "val": pets_facts.val, "test": pets_facts.test}
    split = {
        name: [
            [f"{name}/{i}.jpg", i % pets_facts.classes, f"breed {i % pets_facts.classes}"]
            for i in range(n)
        ]
        for name, n in counts.items()
    }
    (tmp_path / facts.split).write_text(json.dumps(split))
    assert (
        "published are 4,128 + 1,649 and 2,465 of 100 classes" in errors(check(facts, tmp_path))[0]
    )


def test_a_damaged_split_is_named_with_its_line(tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path)
    (tmp_path / facts.split).write_text('{\n"train": [\n[}')
    assert f"{facts.split}:3: malformed JSON" in errors(check(facts, tmp_path))[0]


def test_a_split_that_the_user_names_may_have_any_size(tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path)
    (tmp_path / facts.split).rename(tmp_path / "small.json")
    findings = check(facts, tmp_path, "small.json")
    assert usable(findings)
    assert any("published are 2,820 + 1,128" in what for what in whats(findings, "warning"))


def test_circular_links_are_checked(tmp_path: Path) -> None:
    facts = trees.write_tree("dtd", tmp_path)
    (tmp_path / "images" / "banded" / "round").symlink_to(tmp_path / "images")
    assert "all 12 images of the split are there" in whats(check(facts, tmp_path), "ok")
