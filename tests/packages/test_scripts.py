"""The release script changes a copy of the repository as a package index needs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.release import (
    checked_address,
    core_version,
    new_versions,
    prepare,
    with_absolute_links,
)
from tests.helpers.wheels import SOURCES

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://code.example/somebody/latte"
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    files = ("README.md", "CONTRIBUTING.md", "pyproject.toml", "latte/version.py")
    names = [*files, *(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md"))]
    for path in (*ROOT.glob("plugins/*/README.md"), *ROOT.glob("plugins/*/pyproject.toml")):
        names.append(str(path.relative_to(ROOT)))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    prepare(folder, ADDRESS, core_version(folder))
    return folder


def test_links_of_each_readme_are_absolute_and_name_files_that_exist(copy: Path) -> None:
    readmes = [copy / "README.md", *copy.glob("plugins/*/README.md")]
    targets = {
        target
        for path in readmes
        for target in LINK.findall(path.read_text(encoding="utf-8"))
        if not target.startswith("#")
    }
    assert len(targets) > 20
    assert [target for target in targets if not urlsplit(target).scheme] == []
    prefix = re.compile(re.escape(ADDRESS) + r"/(blob|raw)/v[0-9.]+/([^#]+)")
    files = [match[2] for match in map(prefix.match, targets) if match]
    assert len(files) > 20
    assert [name for name in files if not (ROOT / name).exists()] == []


def test_a_picture_is_shown_and_code_stays(copy: Path) -> None:
    text = "![x](a.svg) [y](b.md#c) [z](#here)\n```\n[code](d.md)\n```\n"
    changed = with_absolute_links(text, "plugins/one", ADDRESS, "1.0")
    assert changed == (
        f"![x]({ADDRESS}/raw/v1.0/plugins/one/a.svg) [y]({ADDRESS}/blob/v1.0/plugins/one/b.md#c) "
        "[z](#here)\n```\n[code](d.md)\n```\n"
    )


def test_every_package_names_its_source_authors_and_changes(copy: Path) -> None:
    for source in SOURCES.values():
        text = (copy / source.relative_to(ROOT) / "pyproject.toml").read_text(encoding="utf-8")
        project = tomllib.loads(text)["project"]
        assert project["urls"]["Source"] == ADDRESS
        assert {"Documentation", "Issues", "Changelog"} <= {*project["urls"]}
        assert {"authors", "keywords", "classifiers"} <= {*project}
        if "hatchling" in text:  # setuptools does not know the field
            module = "latte" if source == ROOT else source.name.replace("-", "_")
            assert project["import-names"] == [module]


def test_no_placeholder_is_left(copy: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in copy.rglob("*.md")]
    assert not [text for text in texts if "ADDRESS-OF-THIS" in text]


@pytest.mark.parametrize(
    "text", ["", "latte", "http://code.example/a/latte", "https://code.example"]
)
def test_an_address_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        checked_address(text)
    assert ended.value.code == 2
    assert "no address of a repository" in capsys.readouterr().err


def test_a_plugin_without_a_new_version_is_not_shipped_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(name: str, version: str, text: str) -> None:
        folder = tmp_path / "plugins" / name
        (folder / "tests").mkdir(parents=True, exist_ok=True)
        (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        (folder / "code.py").write_text(text)

    def commit(*tag: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        for command in (("add", "."), (*identity, "commit", "-q", "-m", "x"), tag):
            if command:
                subprocess.run(["git", *command], cwd=tmp_path, check=True)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    write("latte-tiny", "0.1.0", "weights")
    write("latte-scenes", "0.1.0", "scenes")
    commit("tag", "v0.1.0")
    everything = [".", "plugins/latte-scenes", "plugins/latte-tiny"]
    assert new_versions(tmp_path, "0.1.0") == everything
    write("latte-scenes", "0.2.0", "more scenes")
    write("latte-new", "0.1.0", "new")
    (tmp_path / "plugins" / "latte-tiny" / "tests" / "test_new.py").touch()
    commit("tag", "v0.1.1")
    assert new_versions(tmp_path, "0.1.1") == [".", "plugins/latte-new", "plugins/latte-scenes"]
    write("latte-tiny", "0.1.0", "other weights")
    commit()
    with pytest.raises(SystemExit):
        new_versions(tmp_path, "0.1.2")
    assert "plugins/latte-tiny has changed since v0.1.1" in capsys.readouterr().err
