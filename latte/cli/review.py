"""`latte review`: measure the gain with a few dozen answers, in a browser."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from latte.cli.run import print_results
from latte.cli.shared import ClassesOption, JsonOption, ModelOption, RunsOption, complete_run
from latte.interfaces import ImageReference, LatteError, Progress
from latte.io.paths import relative
from latte.new.arguments import file_or_names
from latte.registry.registry import load_registry
from latte.report.numbers import plural
from latte.report.output import echo, naming, print_json
from latte.report.progress import make_progress, shown_progress
from latte.report.screen import can_draw, print_screen
from latte.report.terminal import in_lines

if TYPE_CHECKING:
    from latte.interfaces import RunResults
    from latte.review.session import Review


RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN_OR_PHOTOS",
        help="A run folder, or a folder of your images, which are adapted to first.",
        autocompletion=complete_run,
    ),
]
PortOption = Annotated[int, typer.Option(help="Port of the local page; 0 chooses a free one.")]
HostOption = Annotated[
    str,
    typer.Option(
        help="Address to listen on. If it is not 127.0.0.1, anybody who can reach it and has "
        "the page's address sees the images."
    ),
]
ShowOption = Annotated[
    bool, typer.Option("--show", help="Print the result of the answers so far; open no page.")
]
LearnOption = Annotated[
    bool, typer.Option("--learn", help="Run the recipe again with answers as training labels.")
]
ClassOption = Annotated[
    str | None,
    typer.Option("--class", metavar="NAME", help="Begin with the images labelled as this class."),
]
OpenOption = Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")]


def review(
    run: RunArgument,
    classes: ClassesOption = None,
    model: ModelOption = None,
    runs: RunsOption = Path("adapted"),
    port: PortOption = 0,
    host: HostOption = "127.0.0.1",
    show: ShowOption = False,
    learn: LearnOption = False,
    class_: ClassOption = None,
    open_: OpenOption = True,
    as_json: JsonOption = False,
) -> None:
    """Answer questions about images, to teach and to measure the gain.

    The page has three tasks: name groups of images, measure the gain, look through the labels.
    Answers are stored in review.jsonl beside the run folder. To go on later, run the command again.
    A folder of photos is adapted to first, as latte adapt PHOTOS --ask does.
    Labels from a file teach by latte adapt --labels.
    """
    from latte.results.run import open_finished
    from latte.review.session import Review

    for option, is_given in {"--show": show, "--json": as_json}.items():
        if learn and is_given:
            hint = "give two commands, one with each of these options"
            raise LatteError(f"does not go with {option}", where="--learn", hint=hint)
    if _is_photos(run):
        if show or learn or as_json:
            what = "this is no run folder, so it has no answers"
            raise LatteError(what, where=str(run), hint="leave out --show, --learn and --json")
        run = _run_of_photos(run, classes, model, runs)
    elif classes is not None or model is not None:
        what = "is for photos, and this is a run folder, which has class names and a model"
        option = "--classes" if classes is not None else "--model"
        raise LatteError(what, where=option, hint=f"leave it out, or name your photos, not {run}")
    with naming("RUN"):
        opened = Review(open_finished(run))
    if learn:
        from latte.run.learning import learn as run_again

        with shown_progress() as progress:
            results = run_again(opened.run, load_registry(), progress)
        print_results(results, results.folder)
        return
    if show or as_json:
        _print(opened, as_json)
    else:
        _serve(opened, host, port, open_, class_)


def _is_photos(path: Path) -> bool:
    """Return True for a folder that neither is a run nor has runs in it."""
    from latte.results.folder import RunFolder
    from latte.results.run import find_runs

    is_run = RunFolder(path).results.exists() or find_runs(path)
    return path.is_dir() and not is_run


def _run_of_photos(photos: Path, classes: str | None, model: str | None, runs: Path) -> Path:
    """Adapt CLIP to a folder of photos as `latte adapt` does; return the run folder."""
    require_page()  # before the images are encoded
    from latte.cli.adapting import adapted_run
    from latte.new.adapting import propose

    registry, names = load_registry(), file_or_names(classes)
    return adapted_run(
        lambda progress: propose(
            photos, names, None, runs, "auto", model, registry=registry, progress=progress
        ),
        photos,
    )


def _print(opened: Review, as_json: bool) -> None:
    """Print what the answers measure, and the command that uses them."""
    stored = opened.stored()
    evidence = opened.evidence(stored)
    if as_json:
        if evidence.unknown:
            echo(in_lines(evidence.unknown), err=True)
        better = {"better": evidence.estimate.better}
        print_json(asdict(evidence.estimate) | better)
        return
    if can_draw():
        from latte.report.other_screens import review_screen

        learns = bool(opened.next_step(stored))
        answers = stored.answers.values()
        print_screen(review_screen(opened.run, evidence, answers, learns=learns))
        return
    for line in evidence.lines:
        echo(in_lines(line))
    if opened.run.record.judge.strength < 1 and evidence.estimate.better == "adapted":
        folder = shlex.quote(relative(opened.run.folder.path))
        echo(f"use the adapted model: latte predict {folder} IMAGES --use adapted")
    if step := opened.next_step(stored):
        echo(step)


def _images(opened: Review) -> Sequence[ImageReference]:
    from latte.run.reopen import training_images

    return training_images(opened.run.folder.path, load_registry(), make_progress(True))


def _picture(opened: Review, images: Sequence[ImageReference]) -> Callable[[int, int], bytes]:
    from latte.review.pictures import picture_of

    return picture_of(opened.run.rows.training_ids, opened.run.rows.training_keys, images)


def require_page() -> None:
    """Raise `LatteError` if the packages of the review page are missing."""
    if not all(map(find_spec, ("starlette", "uvicorn"))):
        raise LatteError(
            "the review page needs starlette and uvicorn", hint='pip install "latte-clip[review]"'
        )


def _serve(opened: Review, host: str, port: int, open_: bool, class_: str | None) -> None:
    """Serve the page of a review until Ctrl-C; `class_` is the class that it begins with.

    Then print the results of the run that the answers taught, or what they measure without one.
    """
    require_page()
    import webbrowser

    from latte.cli.finishing import beside
    from latte.data.sources.class_lookup import ClassLookup
    from latte.models.similar_images import likeliest_images, training_features
    from latte.review.asking import Asking, order_of_asking
    from latte.review.endpoints import Endpoints
    from latte.review.opening import (
        addresses,
        listening,
        redirecting_file,
        remove_files_of_dead_servers,
    )
    from latte.review.pictures import Pictures
    from latte.review.server import make_app
    from latte.review.serving import server_of
    from latte.run.learning import learn
    from latte.run.live import LiveMethod

    taught: dict[Path, RunResults] = {}

    def teach(progress: Progress) -> tuple[Path, Sequence[str]]:
        results = learn(opened.run, registry, progress)
        taught[results.folder] = results
        return results.folder, _on_accuracy(results)

    def order() -> Asking | None:
        return order_of_asking(opened.run, opened.images, opened.answers(), training_features)

    remove_files_of_dead_servers(opened.run.folder.path)
    names = opened.class_names
    start = "" if class_ is None else names[ClassLookup(names).label(class_, where="--class")]
    opened.stored()  # a damaged file of answers is an error before the page opens
    opened.asking = order()
    registry = load_registry()
    images = _images(opened)
    pictures = Pictures(_picture(opened, images), len(opened.run.rows.training_keys))
    endpoints = Endpoints(
        opened,
        pictures,
        lambda: LiveMethod(opened.run, registry),
        teach,
        order,
        training_features,
        likeliest_images(opened.run),
        lambda line: echo(line, err=True),
        beside(images),
    )
    with listening(host, port) as listener, ExitStack() as files:
        hosts = addresses(host, listener.getsockname())
        token = secrets.token_urlsafe(16)
        app = make_app(endpoints, pictures, token, frozenset(hosts))
        server = server_of(app, endpoints.events.close)
        url = f"http://{hosts[0]}/{token}/{start and f'#{quote(start)}'}"
        command = shlex.join(["latte", "review", relative(opened.run.folder.path)])
        echo(f"review: {url}\nCtrl-C ends it; every answer is already saved. To go on: {command}")
        if earlier := len(opened.answers()):
            echo(f"{plural(earlier, 'earlier answer')} in {relative(opened.file)}")
        if open_:
            file = files.enter_context(redirecting_file(opened.run.folder.path, url))
            webbrowser.open(file.absolute().as_uri())
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        if endpoints.learning.has_unwritten:
            echo("your answers are being used; this takes seconds", err=True)
        endpoints.close()
    written = endpoints.learning.written
    if written is None:
        _print(opened, as_json=False)
    else:
        print_results(taught[written.folder], written.folder)


def _on_accuracy(results: RunResults) -> Sequence[str]:
    """Return sentences on the accuracy of a taught model."""
    from latte.report.taught import taught_sentence

    answers = results.record.train.answers
    command = shlex.join(["latte", "review", relative(results.folder)])
    measure = f"To measure the new model on other images: {command}"
    return (measure,) if answers is None else (taught_sentence(answers), measure)
