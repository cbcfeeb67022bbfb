"""Fuzz targets: functions that accept any bytes and may raise only `LatteError`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from latte_benchmarks.dataset import VARIANTS, read_variants

from latte.data.images import MAX_PIXELS, decode_image
from latte.data.sources.listed import ListedPaths
from latte.data.sources.splits import Splits, read_splits
from latte.data.sources.tables import iterate_rows
from latte.describe.inventory import Archive, holdings, statistics
from latte.describe.store import DescriptionStore
from latte.interfaces import LatteError
from latte.io.redaction import on_terminal
from latte.recipe.document import DocumentBuilder
from latte.recipe.dump import dump_yaml
from latte.recipe.errors import Mistakes
from latte.recipe.load import load_recipe
from latte.recipe.syntax import compose
from latte.registry.registry import load_registry
from tests.fuzz import seeds

VARIABLES = {"NAME": "value", "HARD": "a: [b, ${NAME} \n"}
"""Environment of fuzzed recipes."""


@dataclass(frozen=True)
class FuzzTarget:
    """Fuzz target for one reader."""

    run: Callable[[bytes, Path], None]
    """Function of any bytes and an empty folder; raises `LatteError` for invalid input."""
    seeds: Callable[[], Iterable[bytes]]
    """Valid inputs."""


def attempt(target: FuzzTarget, data: bytes) -> None:
    """Run `target` once; every exception except `LatteError` is a finding."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            target.run(data, Path(folder))
        except LatteError as error:
            on_terminal(str(error)).encode()


def _recipe(data: bytes, folder: Path) -> None:
    """Check that a valid recipe is equal after writing and reading."""
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    registry = load_registry()
    loaded = load_recipe(path, registry, environment=VARIABLES)
    path.write_text(dump_yaml(loaded.resolved), encoding="utf-8")
    reloaded = load_recipe(path, registry, environment={})
    assert repr(reloaded.resolved) == repr(loaded.resolved), "another recipe after writing"


def _overrides(data: bytes, folder: Path) -> None:
    path = folder / "recipe.yaml"
    path.write_bytes(seeds.RECIPE)
    changes = data.decode("utf-8", "surrogateescape").split("\n")
    load_recipe(path, load_registry(), changes, environment=VARIABLES)


def _yaml(data: bytes, folder: Path) -> None:
    root = compose(data.decode("utf-8", "replace"), "fuzz")
    DocumentBuilder("fuzz", VARIABLES, Mistakes()).build(root)


def _split(data: bytes, folder: Path) -> None:
    path = folder / "split.json"
    path.write_bytes(data)
    paths = ListedPaths(folder, absolute=False)
    splits = read_splits(path)
    for entries in splits.values():
        for entry in entries:
            _refuse_outside(paths.reference(entry.path, entry.where).path, folder)
    splits.names_by_label()


def _variants(data: bytes, folder: Path) -> None:
    names, _, remaining = data.partition(b"\0")
    (folder / VARIANTS).write_bytes(names)
    for split in Splits.NAMES:
        lines, _, remaining = remaining.partition(b"\0")
        (folder / f"images_variant_{split}.txt").write_bytes(lines)
    paths = ListedPaths(folder, absolute=False)
    for entries in read_variants(folder).values():
        for entry in entries:
            _refuse_outside(paths.reference(entry.path, entry.where).path, folder)


def _table(suffix: str) -> Callable[[bytes, Path], None]:
    def run(data: bytes, folder: Path) -> None:
        path = folder / f"table{suffix}"
        path.write_bytes(data)
        paths = ListedPaths(folder, absolute=True)
        for row in iterate_rows(path):
            paths.reference(row.text("path"), row.where)
            row.optional_text("class")

    return run


def _tar(data: bytes, folder: Path) -> None:
    from latte_webdataset.labels import LabelReader
    from latte_webdataset.samples import read_index, read_span

    path = folder / "shard.tar"
    path.write_bytes(data)
    labels, named_labels = (
        LabelReader("cls", ["cat", "dog"]),
        LabelReader("json:label", ["cat", "dog"]),
    )
    for sample in read_index(path):
        image_span = sample.image(("jpg", "png"), path)
        if image_span is not None:
            assert len(read_span(path, image_span[1])) <= len(data)
        for reader in (labels, named_labels):
            try:
                reader.read(sample, path)
            except LatteError:
                continue


def _store(data: bytes, folder: Path) -> None:
    (folder / "part-a.jsonl").write_bytes(data)
    with DescriptionStore(folder) as store:
        len(store)
    archive = Archive(folder)
    for stored in archive.texts():
        stored.record.line()
    holdings(archive)
    statistics(archive)


def _image(data: bytes, folder: Path) -> None:
    image = decode_image(data)
    assert image.mode == "RGB"
    assert image.width * image.height <= MAX_PIXELS


def _schema(data: bytes, folder: Path) -> None:
    """Check that the editors' schema accepts each recipe that the loader accepts."""
    path = folder / "recipe.yaml"
    path.write_bytes(data)
    load_recipe(path, load_registry(), environment={})
    root = compose(data.decode("utf-8"), "fuzz")
    plain = DocumentBuilder("fuzz", {}, Mistakes()).build(root).data
    errors = [*seeds.validator().iter_errors(json.loads(json.dumps(plain)))]
    assert not errors, errors[0].message


def _refuse_outside(path: Path, folder: Path) -> None:
    assert path.resolve().is_relative_to(folder.resolve()), f"{path} leaves its root"


TARGETS: dict[str, FuzzTarget] = {
    "recipe": FuzzTarget(_recipe, seeds.recipes),
    "overrides": FuzzTarget(_overrides, seeds.overrides),
    "yaml": FuzzTarget(_yaml, seeds.recipes),
    "schema": FuzzTarget(_schema, seeds.recipes),
    "split": FuzzTarget(_split, seeds.splits),
    "variants": FuzzTarget(_variants, seeds.variants),
    "csv": FuzzTarget(_table(".csv"), seeds.csv_tables),
    "jsonl": FuzzTarget(_table(".jsonl"), seeds.jsonl_tables),
    "tar": FuzzTarget(_tar, seeds.tars),
    "store": FuzzTarget(_store, seeds.stored),
    "image": FuzzTarget(_image, seeds.images),
}
