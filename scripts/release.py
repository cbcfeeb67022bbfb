"""Build the wheels and sdists of a release: `python scripts/release.py REPOSITORY OUTPUT`.

REPOSITORY is the public address of this repository, as in `https://example.org/owner/latte`. It is
written nowhere in the repository, so that a clone that moves says nothing wrong. This script copies
the tracked files of the last commit, and changes the copy as a package index needs it:

- relative links and pictures of each README.md become absolute, at the tag of the release;
- each pyproject.toml gets `[project.urls]`;
- the placeholder for the address in the documentation is replaced.

Then it builds each package that has a new version since the last tag `v*` into OUTPUT, and checks
them with `twine check --strict`. So a release of the core alone does not ship the 64 MB of
latte-tiny again. A package that has changed and kept its version is refused.
"""

from __future__ import annotations

import io
import os
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "ADDRESS-OF-THIS-REPOSITORY"
_PURE = {"LATTE_VIEWS_PURE": "1"}
"""An index takes no wheel compiled on one Linux; the workflow of a release compiles those."""
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def main(arguments: list[str]) -> None:
    """Build a release. Exits with code 2 if an argument is wrong or files are not committed."""
    if len(arguments) != 2:
        sys.exit("usage: make release REPOSITORY=https://HOST/OWNER/latte")
    repository, output = checked_address(arguments[0]), Path(arguments[1]).resolve()
    if _git(ROOT, "status", "--porcelain"):
        _refuse("there are changes that are not committed: commit them, or stash them")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        with tarfile.open(fileobj=io.BytesIO(_bytes(ROOT, "archive", "HEAD"))) as files:
            files.extractall(copy, filter="data")
        prepare(copy, repository, core_version(copy))
        for name in new_versions(ROOT, core_version(copy)):
            project = copy / name
            _run("-m", "build", "--no-isolation", "--outdir", str(output), str(project), **_PURE)
    _run("-m", "twine", "check", "--strict", *map(str, sorted(output.glob("latte_*"))))


def new_versions(repository: Path, version: str) -> list[str]:
    """Return the folders of the packages to build for the core's `version`, the core's first.

    Exits with code 2 if a plugin's files differ from those of the last release, and its version
    does not. Tests may change without a release.
    """
    plugins = [
        path.parent.relative_to(repository).as_posix()
        for path in sorted(repository.glob("plugins/*/pyproject.toml"))
    ]
    tags = _git(repository, "tag", "--merged", "HEAD", "--sort=-version:refname", "v*").split()
    last_tag = next((tag for tag in tags if tag != f"v{version}"), None)
    if last_tag is None:
        return [".", *plugins]
    unraised = [
        plugin
        for plugin in plugins
        if _version(repository, last_tag, plugin) == _version(repository, "HEAD", plugin)
    ]
    for folder in unraised:
        files = (folder, f":(exclude){folder}/tests")
        if _git(repository, "diff", "--name-only", last_tag, "HEAD", "--", *files):
            _refuse(
                f"{folder} has changed since {last_tag}: raise the version in its pyproject.toml"
            )
    return [".", *(plugin for plugin in plugins if plugin not in unraised)]


def _version(repository: Path, commit: str, folder: str) -> str | None:
    """Return a plugin's version at a commit; None if there is no such plugin."""
    name = f"{folder}/pyproject.toml"
    if not _git(repository, "ls-tree", "--name-only", commit, name):
        return None
    return str(tomllib.loads(_git(repository, "show", f"{commit}:{name}"))["project"]["version"])


def checked_address(text: str) -> str:
    """Return an address without a slash at its end. Exits with code 2 if it is no web address."""
    url = urlsplit(text)
    if url.scheme != "https" or not url.netloc or len(url.path) < 2:
        _refuse(f'"{text}" is no address of a repository, such as https://HOST/OWNER/latte')
    return text.rstrip("/")


def core_version(folder: Path) -> str:
    """Return the version of the core, from latte/version.py."""
    text = (folder / "latte/version.py").read_text(encoding="utf-8")
    version_line = re.search(r'__version__ = "(?P<version>[^"]+)"', text)
    assert version_line is not None, "latte/version.py names the version"
    return version_line["version"]


def prepare(folder: Path, repository: str, version: str) -> None:
    """Change a copy of the repository in `folder`, as the module says."""
    for path in [folder / "README.md", *folder.glob("plugins/*/README.md")]:
        place = path.parent.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        path.write_text(with_absolute_links(text, place, repository, version), encoding="utf-8")
    for path in [folder / "pyproject.toml", *folder.glob("plugins/*/pyproject.toml")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_urls(text, repository), encoding="utf-8")
    for path in [folder / "CONTRIBUTING.md", *folder.glob("docs/*.md")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(PLACEHOLDER, repository), encoding="utf-8")


def with_absolute_links(text: str, place: str, repository: str, version: str) -> str:
    """Return Markdown in which links to files, relative to the folder `place`, are absolute.

    Links within the page and links to other sites stay; so does the code between fences.
    """

    def absolute(link: re.Match[str]) -> str:
        target = link["target"]
        if target.startswith("#") or urlsplit(target).scheme:
            return link[0]
        form = "raw" if link["picture"] else "blob"
        path = posixpath.normpath(posixpath.join(place, target))
        return f"{link['picture']}[{link['text']}]({repository}/{form}/v{version}/{path})"

    blocks = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        block if block.startswith("```") else _LINK.sub(absolute, block) for block in blocks
    )


def with_urls(text: str, repository: str) -> str:
    """Return the text of a pyproject.toml with `[project.urls]`."""
    return (
        f"{text.rstrip()}\n\n[project.urls]\n"
        f'Source = "{repository}"\n'
        f'Documentation = "{repository}/tree/main/docs"\n'
        f'Issues = "{repository}/issues"\n'
        f'Changelog = "{repository}/blob/main/CHANGELOG.md"\n'
    )


def _refuse(reason: str) -> None:
    print(reason, file=sys.stderr)  # noqa: T201 - a script's own message
    sys.exit(2)


def _run(*arguments: str, **environment: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, env={**os.environ, **environment})


def _bytes(repository: Path, *arguments: str) -> bytes:
    command = ("git", *arguments)
    return subprocess.run(command, cwd=repository, check=True, capture_output=True).stdout


def _git(repository: Path, *arguments: str) -> str:
    return _bytes(repository, *arguments).decode().strip()


if __name__ == "__main__":
    main(sys.argv[1:])
