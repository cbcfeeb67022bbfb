"""`latte predict`: classify images with a run's model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from latte.cli.classifying import (
    STDIN,
    RowsFormat,
    Settings,
    Target,
    classify,
    count_images,
    format_of,
)
from latte.cli.shared import (
    ForceOption,
    QuietOption,
    UseOption,
    VerboseOption,
    complete_model,
    require_model,
)
from latte.interfaces import LatteError
from latte.io.paths import exists
from latte.report.numbers import duration, plural
from latte.report.progress import shown_progress

if TYPE_CHECKING:
    from latte.interfaces import Progress
    from latte.models.adapted import Adapted
    from latte.predict.feature_cache import FeatureCache
    from latte.predict.image_predictor import ImagePredictor

SOME_SKIPPED = 3
"""Exit code if some images could not be read, and all others were classified."""

ModelArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder, as `latte run` named it; a folder that a plugin wrote; or a model of "
        "the Hugging Face hub: hf:OWNER/NAME or hf:OWNER/NAME@REVISION.",
        autocompletion=complete_model,
    ),
]
ImagesArgument = Annotated[
    list[str],
    typer.Argument(
        help="Image files, and folders with everything below them; - reads paths from standard "
        "input, one per line; an empty list gives no rows."
    ),
]
FormatOption = Annotated[
    RowsFormat | None,
    typer.Option(
        "--format",
        help="The format of the rows: csv, jsonl or xlsx (Excel). Default: jsonl for a file .jsonl "
        "or .ndjson, xlsx for a file .xlsx, else csv.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to this file, not to the screen, when all rows are complete. If the command "
        "is stopped, the same command goes on from the rows so far.",
    ),
]
UnknownOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Answer `none of these` where the best class scores less than this. If an image has a "
        "value in the column match, this value decides in place of the score: below 0.5 by "
        "default, if answers `none of these` taught the model.",
    ),
]
SortOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Also copy each image into DIR/CLASS NAME, or into DIR/unknown where the answer is "
        "`none of these`. No file is overwritten, moved or deleted.",
    ),
]
LinkOption = Annotated[
    bool, typer.Option("--link", help="With --sort-into: make symbolic links instead of copies.")
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Where the best class scores less, --sort-into sorts into DIR/uncertain, and --write "
        "writes no keyword.",
    ),
]
WriteOption = Annotated[
    Literal["xmp"] | None,
    typer.Option(
        "--write",
        help="Also write the class as a keyword for photo managers into a sidecar, photo.jpg.xmp "
        "beside photo.jpg. Images are not changed, and sidecars keep all else that they have.",
        show_default=False,
    ),
]
NoCacheOption = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Encode all images, and store no features. Default: features of new images are stored "
        "for later calls, up to LATTE_PREDICT_CACHE GiB (1).",
    ),
]


def predict(
    run: ModelArgument,
    images: ImagesArgument,
    format_: FormatOption = None,
    output: OutputOption = None,
    top_k: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    unknown_below: UnknownOption = None,
    sort_into: SortOption = None,
    link: LinkOption = False,
    min_confidence: MinConfidenceOption = None,
    write: WriteOption = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per forward pass.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    use: UseOption = None,
    no_cache: NoCacheOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
    force: ForceOption = False,
) -> None:
    """Classify images with a run's model or a plugin's, and sort them into folders.

    The exit code is 3 if some images could not be read and were left out. In folders, images in an
    unsupported format and images without an image suffix are left out too.

    The classifier labels all images, with two exceptions for training images. A training image
    whose class was given by a person gets this class. If a labeler of the run labelled all training
    images together, the other training images get its class probabilities (the posterior). The
    column source is `own` for both exceptions, and `classifier` for all other images.

    Scores are probabilities. If the run was evaluated, scores are calibrated, without labels or by
    answers that were left out: the classifier's scores by a scale, and the posterior's scores by an
    exponent. For sigmoid models, the column match is the probability that the best class fits the
    image. If answers `none of these` taught the model, it is the probability of showing any of the
    classes.
    """
    if sort_into is None and link:
        raise LatteError("--link needs --sort-into DIR")
    if sort_into is None and write is None and min_confidence is not None:
        raise LatteError("--min-confidence needs --sort-into DIR or --write xmp")
    target = Target(output, format_ or format_of(output), sort_into, link, write, min_confidence)
    target.check(images, force=force)
    require_model(run)
    for path in images:
        if path != STDIN and not exists(Path(path)):
            raise LatteError("there is no such image or folder", where=f"IMAGES {path}")
    from latte.predict.opened import open_model
    from latte.predict.predictor import Predictor

    total = count_images(images)
    # Without a list of skipped images, the lines on them stay on the screen.
    with shown_progress(quiet, verbose=verbose or output is None) as progress:
        model = open_model(run, device, progress, use=use)
        if isinstance(model, Predictor) and model.adapted.encoder_names and not quiet:
            progress.say(_cost(model.adapted, total))
        if unknown_below is not None and not model.columns(top_k).match and not quiet:
            progress.say(_NO_MATCH)
        if isinstance(model, Predictor) and model.names_every_new_image and not quiet:
            progress.say(_NO_NONE)
        cache = None if no_cache else _use_cache(model, progress)
        done = classify(
            model,
            images,
            target,
            progress,
            quiet=quiet,
            total=total,
            settings=Settings(top_k, unknown_below, use, batch_size),
        )
        if cache is not None and cache.reused:
            progress.say(f"{cache.reused:,} features reused from the cache")
    done.print(quiet=quiet)
    if done.left_out:
        raise typer.Exit(SOME_SKIPPED)


def _use_cache(model: ImagePredictor, progress: Progress) -> FeatureCache | None:
    """Make the model of a run take features of new images from the cache, and return the cache."""
    from latte.predict.feature_cache import open_feature_cache
    from latte.predict.predictor import Predictor

    if not isinstance(model, Predictor):
        return None
    model.cache = open_feature_cache(progress.say)
    return model.cache


_NO_MATCH = (
    "no answer taught what shows none of the classes, so --unknown-below compares the score of the "
    "best class"
)

_NO_NONE = (
    "the answers `none of these` did not teach this model (it takes two, and a model whose CLIP is "
    "not trained): every new image gets a class"
)


def _cost(adapted: Adapted, images: int | None) -> str:
    """Return a sentence on the time that the CLIP and each encoder need for the images."""
    from latte.predict.cost import encoding_seconds

    seconds = encoding_seconds(adapted)
    model_times = [f"{name} {1000 * time:.1f} ms" for name, time in seconds.items()]
    line = f"each image is encoded by {len(model_times)} models: {', '.join(model_times)}"
    if images is None:
        return line
    return f"{line}; {plural(images, 'image')}: about {duration(images * sum(seconds.values()))}"
