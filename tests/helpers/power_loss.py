"""File layer that simulates a power loss: what was synced survives, and nothing else has to.

`Disk.watched` records, while code runs, every name that appears, moves or goes in a folder, and
every `fsync`. `Disk.images` then builds the folders that a power loss at any moment may leave
behind, as POSIX allows:

- the content of a file is that of its last `fsync`; without one, the file is empty, or cut short;
- names that were made, renamed or removed since the last `fsync` of their folder may or may not
  have survived, each on its own, so that a later rename may survive an earlier one.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

_DESCRIPTORS = Path("/proc/self/fd")


@dataclass(frozen=True)
class NamedNode:
    """A name in a folder, and the node behind it: None if the name was removed."""

    folder: int
    name: str
    node: int | None


@dataclass(frozen=True)
class NodeChange:
    """Entries that change together: two for a rename, otherwise one."""

    entries: tuple[NamedNode, ...]


@dataclass(frozen=True)
class Synced:
    """An `fsync`; `content` is None for a folder."""

    node: int
    content: bytes | None


@dataclass(frozen=True)
class DiskImage:
    """A folder that a power loss may leave behind."""

    moment: int
    """Number of recorded events before the power loss."""
    promised: tuple[Any, ...]
    """Values given to `Disk.promise` before the power loss."""
    path: Path

    def __str__(self) -> str:
        files = sorted(path for path in self.path.rglob("*") if path.is_file())
        sizes = [f"{path.relative_to(self.path)} ({path.stat().st_size})" for path in files]
        return f"after event {self.moment}: {', '.join(sizes) or 'no file'}"


class Disk:
    """Records what happens in the folder `root`, which may have files already: these are safe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._log: list[NodeChange | Synced | tuple[Any]] = []
        self._is_folder: dict[int, bool] = {0: True}
        self._live: dict[Path, tuple[int, int]] = {root: (root.stat().st_ino, 0)}
        """The inode and the node of each path as the code sees it."""
        self._last: dict[int, bytes] = {}
        """Content of files that were never synced, when they were last seen under a name."""
        self._look()
        self._first = len(self._log)
        self._safe = {
            node: path.read_bytes()
            for path, (_, node) in self._live.items()
            if not self._is_folder[node]
        }

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Record everything that the block does."""
        real = {name: getattr(os, name) for name in ("fsync", "rename", "replace", "link")}

        def fsync(descriptor: int) -> None:
            real["fsync"](descriptor)
            self._look()
            self._sync(descriptor)

        def moved(name: str) -> Callable[..., None]:
            def move(source: Any, target: Any, **options: Any) -> None:
                self._look()
                real[name](source, target, **options)
                self._move(Path(os.fsdecode(source)), Path(os.fsdecode(target)))

            return move

        def link(source: Any, target: Any, **options: Any) -> None:
            self._look()
            real["link"](source, target, **options)
            path, node = Path(target), self._live[Path(source)][1]
            self._live[path] = (path.stat().st_ino, node)
            self._log.append(NodeChange((NamedNode(self._node(path.parent), path.name, node),)))

        with (
            mock.patch.object(os, "fsync", fsync),
            mock.patch.object(os, "rename", moved("rename")),
            mock.patch.object(os, "replace", moved("replace")),
            mock.patch.object(os, "link", link),
        ):
            yield
        self._look()

    def promise(self, value: Any) -> None:
        """Note that the code has just promised `value` to its user."""
        self._look()
        self._log.append((value,))

    def images(self, target: Path, *, subsets: int = 2, share: float = 1.0) -> Iterator[DiskImage]:
        """Yield the distinct folders of power losses at every moment; or a random `share` of them.

        Of the changes that were not synced, none survive, all, each one alone, and `subsets` drawn
        at random. The folder is removed when the next one is asked for.
        """
        random, seen, sampling = Random(0), set(), Random(1)
        for moment in range(self._first, len(self._log) + 1):
            open_changes = self._open_changes(moment)
            choices: list[set[int]] = [set(), {*open_changes}]
            choices += [{number} for number in open_changes if len(open_changes) > 1]
            for _ in range(subsets if len(open_changes) > 2 else 0):
                choices.append({number for number in open_changes if random.random() < 0.5})
            promised = tuple(event[0] for event in self._log[:moment] if isinstance(event, tuple))
            for cut_short, choice in itertools.product((False, True), choices):
                if sampling.random() >= share:
                    continue
                tree = self._tree(moment, choice, cut_short=cut_short)
                mark = hash((len(promised), frozenset(tree.items())))
                if mark not in seen:
                    seen.add(mark)
                    _build(tree, target)
                    yield DiskImage(moment - self._first, promised, target)
                    shutil.rmtree(target)

    def _tree(
        self, moment: int, survivors: set[int], *, cut_short: bool
    ) -> dict[Path, bytes | None]:
        """Return what is left, by path below the root: the content of files, None for folders."""
        log, open_changes = self._log[:moment], self._open_changes(moment)
        entries: dict[int, dict[str, int]] = {}
        content = dict(self._safe)
        for number, event in enumerate(log):
            if isinstance(event, Synced) and event.content is not None:
                content[event.node] = event.content
            elif isinstance(event, NodeChange):
                if number in open_changes and number not in survivors:
                    continue
                for entry in event.entries:
                    names = entries.setdefault(entry.folder, {})
                    if entry.node is None:
                        names.pop(entry.name, None)
                    else:
                        names[entry.name] = entry.node
        if cut_short:
            content |= self._cut_short(moment, content)
        tree: dict[Path, bytes | None] = {}
        folders = [(Path(), 0)]
        for place, folder in folders:
            for name, node in entries.get(folder, {}).items():
                if self._is_folder[node]:
                    folders.append((place / name, node))
                tree[place / name] = None if self._is_folder[node] else content.get(node, b"")
        return tree

    def _cut_short(self, moment: int, content: dict[int, bytes]) -> dict[int, bytes]:
        """Return longer contents of files that were being written: half of what came after."""
        later: dict[int, bytes] = {}
        for event in reversed(self._log[moment:]):
            if isinstance(event, Synced) and event.content is not None:
                later[event.node] = event.content
        cut = {}
        for node, full in (self._last | later).items():
            safe = content.get(node, b"")
            if full.startswith(safe):
                cut[node] = full[: (len(safe) + len(full)) // 2]
        return cut

    def _open_changes(self, moment: int) -> list[int]:
        """Return the numbers of the changes that no `fsync` of their folders has made durable."""
        synced: set[int] = set()
        open_changes = []
        for number in range(moment - 1, self._first - 1, -1):
            event = self._log[number]
            if isinstance(event, Synced) and event.content is None:
                synced.add(event.node)
            elif isinstance(event, NodeChange) and not {e.folder for e in event.entries} & synced:
                open_changes.append(number)
        return open_changes[::-1]

    def _look(self) -> None:
        """Record the names that have appeared and gone since the last look."""
        inodes: dict[Path, int] = {}
        for place, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                path = Path(place, name)
                try:
                    state = path.lstat()
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode):
                    inodes[path] = state.st_ino
        for path in sorted(self._live.keys() - {self.root}, reverse=True):
            inode, _ = self._live[path]
            if inodes.get(path) != inode:
                del self._live[path]
                self._log.append(NodeChange((NamedNode(self._node(path.parent), path.name, None),)))
        for path in sorted(inodes.keys() - self._live.keys()):
            node = len(self._is_folder)
            self._is_folder[node] = path.is_dir()
            self._live[path] = (inodes[path], node)
            self._log.append(NodeChange((NamedNode(self._node(path.parent), path.name, node),)))
        for path, (_, node) in self._live.items():
            if not self._is_folder[node]:
                with path.open("rb") as file:
                    self._last[node] = file.read()

    def _sync(self, descriptor: int) -> None:
        path = (_DESCRIPTORS / str(descriptor)).readlink()
        if path in self._live:
            node = self._node(path)
            self._log.append(Synced(node, None if self._is_folder[node] else path.read_bytes()))

    def _move(self, source: Path, target: Path) -> None:
        """Record a rename; one from or to a place outside of `root` is seen by `_look`."""
        source, target = source.absolute(), target.absolute()
        if source not in self._live or target.parent not in self._live:
            return
        node = self._node(source)
        self._log.append(
            NodeChange(
                (
                    NamedNode(self._node(source.parent), source.name, None),
                    NamedNode(self._node(target.parent), target.name, node),
                )
            )
        )
        for path in [path for path in self._live if path.is_relative_to(target)]:
            del self._live[path]
        for path in [path for path in self._live if path.is_relative_to(source)]:
            self._live[target / path.relative_to(source)] = self._live.pop(path)

    def _node(self, path: Path) -> int:
        return self._live[path][1]


def _build(tree: dict[Path, bytes | None], target: Path) -> None:
    target.mkdir()
    for path, content in tree.items():  # folders come before what is in them
        if content is None:
            (target / path).mkdir()
        else:
            (target / path).write_bytes(content)
