"""Add a person's labels from a file to the answers of a review."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from latte.interfaces import ImageReference, LatteError
from latte.interfaces.progress import SilentProgress
from latte.io.paths import existing_file, is_folder
from latte.results.answers import Answer, Kind, Use, append_answers, now
from latte.results.given_labels import GivenLabel, NamedImages, read_labels
from latte.results.run import Run
from latte.review.population import teaches
from latte.review.session import Review


def import_answers(review: Review, path: Path) -> list[Answer]:
    """Append the new answers of a file to the review, and return them.

    If the column `use` (`evidence` or `teaching`) is empty, the answer gets the use of an earlier
    answer about the image. Without earlier answers, a hash of the image's content decides.

    Raises `LatteError` before anything is written if an image or a class is unknown, or if two
    answers of the file contradict each other.
    """
    run, stored = review.run, review.stored()
    keys = dict(zip(run.rows.training_ids, run.rows.training_keys, strict=True))
    ids = {key: image for image, key in reversed(keys.items())}
    images = NamedImages(keys, lambda: _references(run))
    path = path if is_folder(path) else existing_file(path, "--import")
    given = read_labels(path, images, run.class_names)
    new = []
    for key, one in given.items():
        use = _use(one, key, stored.latest.get(key))
        stored.check_use(key, use, one.where)
        queue = "evidence" if use == "evidence" else "import"
        name = None if one.label is None else run.class_names[one.label]
        answer = Answer(key, one.kind, name, use, queue, review.name, now(), ids[key])
        before = stored.answers.get(key)
        if before is None or _content(before) != _content(answer):
            new.append(answer)
    if new:
        append_answers(review.file, new)
    return new


def _references(run: Run) -> Sequence[ImageReference]:
    """Return the images that the run's dataset has now."""
    from latte.registry.registry import load_registry
    from latte.run.reopen import training_images  # imports torch, which few files need

    return training_images(run.folder.path, load_registry(), SilentProgress())


def _use(given: GivenLabel, key: str, before: Answer | None) -> Use:
    if given.use is None:
        return before.use if before else "teaching" if teaches(key) else "evidence"
    if given.use not in get_args(Use):
        hint = "it is evidence, teaching or empty"
        raise LatteError(f'there is no use "{given.use}"', where=given.where, hint=hint)
    return "evidence" if given.use == "evidence" else "teaching"


def _content(answer: Answer) -> tuple[Kind, str | None, Use]:
    return answer.kind, answer.label, answer.use
