"""The series of a run's images: sets that count once, and the file that lists them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from safetensors import SafetensorError
from torch import Tensor

from latte import distributed
from latte.data.cache import ImageCache
from latte.data.capture_times import burst_pairs, capture_times
from latte.data.images import Pixels
from latte.data.near_copies import Thumbnails, near_copy_pairs
from latte.data.prefetch import image_threads, ordered_map
from latte.data.series import ORIGINS, Origin, Series, equal_pairs, joined
from latte.interfaces import Progress, long_task
from latte.interfaces.record import SeriesFacts
from latte.interfaces.settings import SeriesSettings
from latte.io.files import digest_json, write_atomically
from latte.io.tensor_files import DamagedTensorsError, load_tensors, save_tensors, tensor_digest
from latte.models.zero_shot import ZeroShot
from latte.results.rows import SERIES_COLUMNS
from latte.run.images import Images
from latte.run.workspace import Workspace

_IGNORED = "ignored dates"
_SEARCH = 2
"""Number of the way in which series are found; stored pairs of another way are not used."""


@dataclass(frozen=True)
class RunSeries:
    """The series of the training images and of the examples, which come after them.

    The two have the order of `Images.joined`.
    """

    series: Series
    facts: SeriesFacts

    @classmethod
    def of(cls, count: int, pairs: Mapping[Origin, Tensor], ignored_dates: int = 0) -> RunSeries:
        """Return the series of `count` images, given the pairs (P, 2) that belong together."""
        series = joined(count, pairs)
        has_several = series.sizes > 1
        facts = SeriesFacts(
            series=int(has_several.sum()),
            images=int(series.sizes[has_several].sum()),
            largest=int(series.sizes.max()) if len(series) else 0,
            origins={
                origin: number
                for origin in ORIGINS
                if (number := sum(origin in origins for origins in series.origins))
            },
            ignored_dates=ignored_dates,
        )
        return cls(series, facts)


def find_series(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> RunSeries:
    """Return the series of the training images and the examples, in every process.

    Pairs that the pixels, features and dates of the images give are stored for all runs.
    """
    scan = images.joined.training
    compared: dict[str, Tensor] = {}
    if distributed.is_main_process():
        compared = _stored_pairs(workspace, images, zero_shot)
    compared = _from_main_process(compared)
    ignored_dates = int(compared.pop(_IGNORED))
    pairs: dict[Origin, Tensor] = {
        "copies": equal_pairs(scan.keys),
        "near-copies": compared["near-copies"],
        "burst": compared["burst"],
        "column": equal_pairs(images.series_names),
    }
    return RunSeries.of(len(scan.images), pairs, ignored_dates)


def write_series(path: Path, images: Images, series: Series) -> None:
    """Write a CSV file with a row per training image and example, atomically."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(SERIES_COLUMNS)
        for image, number in zip(
            images.joined.training.images, series.numbers.tolist(), strict=True
        ):
            writer.writerow((image.id, number, " ".join(series.origins[number])))


def read_thumbnails(
    cache: ImageCache, rows: Sequence[int], progress: Progress, name: str
) -> Thumbnails:
    """Return thumbnails of the images `rows` of a split, from its cache or from their files.

    Raises `LatteError` if an image has changed since it was scanned.
    """
    threads = image_threads()
    pictures = ordered_map(cache.thumbnail, rows, threads=threads, ahead=16 * threads)
    with long_task(progress, name, len(rows), "images") as task:

        def advancing() -> Iterator[Pixels]:
            for picture in pictures:
                yield picture
                task.advance()

        thumbnails = Thumbnails.of(advancing(), len(rows))
    cache.store.flush()
    return thumbnails


def _stored_pairs(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> dict[str, Tensor]:
    """Return the pairs that `_compared_pairs` finds; read them from the cache if they are known."""
    settings, scan = workspace.recipe.series, images.joined.training
    features = zero_shot.joined.clip.training
    name = digest_json(
        [
            _SEARCH,
            settings.model_dump(mode="json"),
            [image.id for image in scan.images],
            scan.keys,
            tensor_digest({"features": features}),
        ]
    )
    path = workspace.context.cache_dir / "series" / f"{name}.safetensors"
    with suppress(DamagedTensorsError, OSError):
        return load_tensors(path)
    pairs = _compared_pairs(settings, images, features, workspace.progress)
    try:
        with write_atomically(path) as temporary:
            save_tensors(temporary, pairs)
    except (OSError, SafetensorError) as error:  # the run can go on without a cache
        workspace.progress.say(f"series are not cached: {path} cannot be written: {error}")
    return pairs


def _compared_pairs(
    settings: SeriesSettings, images: Images, features: Tensor, progress: Progress
) -> dict[str, Tensor]:
    """Return the pairs (P, 2) of near-copies and of bursts, and the number of ignored dates."""
    scan, none = images.joined.training, torch.empty(0, 2, dtype=torch.int64)
    near_copies = bursts = none
    ignored = 0
    if settings.near_copies:
        rows = range(len(scan.images))
        thumbnails = read_thumbnails(scan.cache, rows, progress, "make thumbnails")
        with long_task(progress, "compare images", 2 * len(rows), "images") as task:
            near_copies = near_copy_pairs(features, thumbnails, task.advance)
    if settings.seconds > 0:
        times = capture_times(scan.images)
        folders = [str(PurePosixPath(image.id).parent) for image in scan.images]
        bursts = burst_pairs(folders, times.seconds, features, settings.seconds)
        ignored = times.ignored
    return {"near-copies": near_copies, "burst": bursts, _IGNORED: torch.tensor(ignored)}


def _from_main_process(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the int64 tensors of the main process in every process."""
    shapes = distributed.broadcast(
        lambda: {name: list(tensor.shape) for name, tensor in tensors.items()}
    )
    return distributed.broadcast_tensors(
        {
            name: tensors.get(name, torch.zeros(shape, dtype=torch.int64))
            for name, shape in shapes.items()
        }
    )
