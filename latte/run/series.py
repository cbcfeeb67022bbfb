"""The series of a run's images: sets that count once, and the file that lists them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latte import distributed
from latte.data.series import ORIGINS, Origin, Series, equal_pairs, joined
from latte.interfaces.record import SeriesFacts
from latte.io.files import write_atomically
from latte.models.zero_shot import ZeroShot
from latte.results.rows import SERIES_COLUMNS
from latte.run.images import Images
from latte.run.workspace import Workspace


@dataclass(frozen=True)
class RunSeries:
    """The series of the training images and of the examples, which come after them.

    The two have the order of `Images.joined`.
    """

    series: Series
    facts: SeriesFacts

    @classmethod
    def of(cls, count: int, pairs: Mapping[Origin, Tensor]) -> RunSeries:
        """Return the series of `count` images, given the pairs (P, 2) that belong together."""
        series = joined(count, pairs)
        several = series.sizes > 1
        facts = SeriesFacts(
            series=int(several.sum()),
            images=int(series.sizes[several].sum()),
            largest=int(series.sizes.max()) if len(series) else 0,
            origins={
                origin: number
                for origin in ORIGINS
                if (number := sum(origin in origins for origins in series.origins))
            },
        )
        return cls(series, facts)


def find_series(workspace: Workspace, images: Images, zero_shot: ZeroShot) -> RunSeries:
    """Return the series of the training images and the examples, in every process."""
    scan = images.joined.training
    pairs: dict[Origin, Tensor] = {
        "copies": equal_pairs(scan.keys),
        "column": equal_pairs(images.series_names),
    }
    counts = distributed.broadcast(lambda: [len(rows) for rows in pairs.values()])
    same_size = {
        origin: rows if len(rows) == count else torch.empty(count, 2, dtype=torch.int64)
        for (origin, rows), count in zip(pairs.items(), counts, strict=True)
    }
    shared = distributed.broadcast_tensors({str(key): rows for key, rows in same_size.items()})
    return RunSeries.of(len(scan.images), {origin: shared[origin] for origin in pairs})


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
