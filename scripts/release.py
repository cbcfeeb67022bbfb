"""Build the wheels and sdists of a release: `python scripts/release.py REPOSITORY OUTPUT`.

REPOSITORY is the public address of this repository, as in `https://example.org/owner/latte`. It is
written nowhere in the repository, so that a clone that moves says nothing wrong. This script copies
the tracked files of the last commit, and changes the copy as a package index needs it:

- relative links and pictures of each README.md become absolute, at the tag of the release;
- each pyproject.toml gets `[project.urls]`;
- the placeholder for the address in the documentation is replaced.

Then it builds all packages into OUTPUT, and checks them with `twine check --strict`.
"""

from __future__ import annotations

import io
import posixpath
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "ADDRESS-OF-THIS-REPOSITORY"
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def main(arguments: list[str]) -> None:
    """Build a release. Exits with code 2 if an argument is wrong or files are not committed."""
    if len(arguments) != 2:
        sys.exit("usage: make release REPOSITORY=https://HOST/OWNER/latte")
    repository, output = checked_address(arguments[0]), Path(arguments[1]).resolve()
    if _output("git", "status", "--porcelain").strip():
        _refuse("there are changes that are not committed: commit them, or stash them")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        with tarfile.open(fileobj=io.BytesIO(_bytes("git", "archive", "HEAD"))) as files:
            files.extractall(copy, filter="data")
        prepare(copy, repository, core_version(copy))
        projects = [copy, *(path.parent for path in sorted(copy.glob("plugins/*/pyproject.toml")))]
        for project in projects:
            _run("-m", "build", "--no-isolation", "--outdir", str(output), str(project))
    _run("-m", "twine", "check", "--strict", *map(str, sorted(output.glob("latte_*"))))


def checked_address(text: str) -> str:
    """Return an address without a slash at its end. Exits with code 2 if it is no web address."""
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.netloc or len(parts.path) < 2:
        _refuse(f'"{text}" is no address of a repository, such as https://HOST/OWNER/latte')
    return text.rstrip("/")


def core_version(folder: Path) -> str:
    """Return the version of the core, from latte/version.py."""
    text = (folder / "latte/version.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "(?P<version>[^"]+)"', text)
    assert found is not None, "latte/version.py names the version"
    return found["version"]


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

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(absolute, part) for part in parts)


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


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True)


def _bytes(*command: str) -> bytes:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout


def _output(*command: str) -> str:
    return _bytes(*command).decode()


if __name__ == "__main__":
    main(sys.argv[1:])
