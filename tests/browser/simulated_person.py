"""A simulated person teaches a model on the real review page, from a folder of images.

Run it by hand: `python -m tests.browser.simulated_person SET`. SET is a folder with images in
`train`, and with their true classes in `split.json`, as in CoOp: `{"train": [[path, label, class],
...]}` with paths below SET.

The person misreads 5 % of the images, presses keys only, names groups and looks through the most
doubtful images, while the page learns, until the labels of the folder gain 20 points over zero-shot
CLIP. Then the person names random photos in Measure. The script prints the numbers of keys,
questions and images, the page's estimate, seconds of the machine, and an estimate of the person's
minutes: 1.35 s to think per question, 0.4 s to look at an image, and 0.28 s per key (after the
keystroke-level model of Card, Moran and Newell).
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from struct import iter_unpack
from typing import Any

from tests.helpers.chromium import Page, chromium

THINK, LOOK, KEY = 1.35, 0.4, 0.28
"""Seconds of a person to think about a question, to look at an image, and to press a key."""
LETTERS = "abcdefghijkl"
MIXED = 0.34
"""The person calls a group mixed if no class has this share of its images."""


@dataclass
class Person:
    """A person at the page, who knows the true class of each image by its file name."""

    page: Page
    truth: Mapping[str, str]
    truths: Sequence[str]
    """True classes, in the order of the run's images."""
    names: Sequence[str]
    random: random.Random
    mistakes: float = 0.05
    keys: int = 0
    questions: int = 0
    images: int = 0
    misread: int = 0
    read: dict[str, str] = field(default_factory=dict)
    """The class that the person saw in each image."""

    @property
    def seconds(self) -> float:
        """Estimated seconds of work."""
        return THINK * self.questions + LOOK * self.images + KEY * self.keys

    def press(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.page.press(key)
        self.keys += len(keys)
        self.page.wait_for("document.body.dataset.busy === 'false'", seconds=120)

    def is_asked(self) -> bool:
        """Return whether the page shows a question."""
        return bool(self.page.evaluate("document.getElementById('asking').offsetParent !== null"))

    def shown(self, attribute: str) -> list[Any]:
        """Return what the page knows of the photos of the question, such as `name`."""
        script = (
            f"[...document.querySelectorAll('.tile')].map((one) => one.photo.{attribute} ?? null)"
        )
        return [*self.page.evaluate(script)]

    def look(self) -> list[str]:
        """Return the class that the person sees in each image of the question."""
        self.questions += 1
        names = self.shown("name")
        for name in names:
            if name not in self.read:
                true = self.truth[name]
                wrong = [other_name for other_name in self.names if other_name != true]
                is_misread = self.random.random() < self.mistakes
                self.misread += is_misread
                self.read[name] = self.random.choice(wrong) if is_misread else true
        self.images += len(names)
        return [self.read[name] for name in names]

    def choose(self, name: str) -> list[str]:
        """Return the keys that choose a class: its key, or its name in the field."""
        row = f"[...document.querySelectorAll('.class')].find((one) => one.title === {name!r})"
        key = str(self.page.evaluate(f"{row}.querySelector('kbd').textContent"))
        return [key] if key else ["/", *name, "Enter"]

    def asked_class(self) -> str | None:
        """Return the class that the question names, if it asks for one."""
        script = "document.getElementById('class-asked')"
        return self.page.evaluate(f"{script}.offsetParent && {script}.textContent") or None

    def name_group(self) -> None:
        """Name the group, and leave out the images of other classes."""
        classes = self.look()
        wanted = self.asked_class()
        if wanted is not None:
            showing = [key for key, seen in zip(LETTERS, classes, strict=False) if seen == wanted]
            self.press([*showing, "y"])
            return
        ((name, number),) = Counter(classes).most_common(1)
        if number < MIXED * len(classes):
            self.press(["-"])
            return
        odd = [key for key, seen in zip(LETTERS, classes, strict=False) if seen != name]
        self.press([*odd, *self.choose(name)])

    def look_through(self) -> None:
        """Correct the labels of a sheet of the most doubtful images, and confirm the others."""
        corrections: dict[str, list[str]] = {}
        for key, label, seen in zip(LETTERS, self.shown("label"), self.look(), strict=False):
            if self.names[label] != seen:
                corrections.setdefault(seen, []).append(key)
        for name, keys in corrections.items():
            self.press([*keys, *self.choose(name)])
        if sum(map(len, corrections.values())) < len(self.shown("name")):
            self.press(["y"])

    def measure(self) -> None:
        """Name the random photo."""
        ((name,),) = [self.look()]
        self.press(self.choose(name))

    def answered(self, script: str) -> Any:
        """Return what a promise in the page gives."""
        options = {"awaitPromise": True, "returnByValue": True}
        return self.page.call("Runtime.evaluate", expression=script, **options)["result"]["value"]

    def wait(self) -> None:
        """Wait until the page has learned, as a person who looks at the next photos does."""
        time.sleep(LOOK * 12)
        self.page.wait_for("document.getElementById('learning').hidden", seconds=120)

    def share_right(self) -> float:
        """Return the percentage of photos whose label on the page is right."""
        read = "fetch('map').then((reply) => reply.arrayBuffer())"
        content = bytes(self.answered(f"{read}.then((map) => [...new Uint8Array(map)])"))
        labels = [row[2] for row in iter_unpack("<HHHBB", content)]
        right = (self.names[label] == true for label, true in zip(labels, self.truths, strict=True))
        return 100 * sum(right) / len(labels)

    def estimate(self) -> str:
        """Return the number in the page's head."""
        text = str(self.page.evaluate("document.getElementById('estimate').innerText"))
        return " ".join(text.split("\n")[:2])


def holds(estimate: str, share: float) -> bool:
    """Return whether the interval of the page's estimate holds the percentage `share`."""
    low, high = re.search(r"(\d+) to (\d+)", estimate).groups()  # type: ignore[union-attr]
    return int(low) - 0.5 <= share <= int(high) + 0.5


def shares_right(run: Path, truth: Mapping[str, str]) -> tuple[float, float]:
    """Return the percentages of images that zero-shot CLIP and the adapted model label right."""
    rows = label_rows(run)
    zero_shot, adapted = (
        100 * sum(row[column] == truth[row["image"]] for row in rows) / len(rows)
        for column in ("zero_shot", "adapted")
    )
    return zero_shot, adapted


def label_rows(run: Path) -> list[dict[str, str]]:
    with (run / "pseudo_labels.csv").open(newline="") as file:
        return [*csv.DictReader(file)]


def latte(*arguments: str) -> list[str]:
    """Return a command of latte for this Python."""
    return [sys.executable, "-m", "latte", *arguments]


@contextmanager
def review_page(run: Path, profile: Path) -> Iterator[Page]:
    """Yield the page of `latte review`; Ctrl-C ends the command, and its output is printed."""
    command = latte("review", str(run), "--no-open")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        with chromium(profile) as page:
            page.show(1280)
            page.visit(url)
            page.wait_for("document.body.dataset.busy === 'false'")
            yield page
        process.send_signal(signal.SIGINT)
        say(process.stdout.read())


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def teach(images: Path, truth: Mapping[str, str], place: Path, options: argparse.Namespace) -> None:
    """Adapt CLIP to `images`, and teach it on the page; files are written to `place`."""
    names, began = sorted({*truth.values()}), time.monotonic()
    classes = ["--classes", ",".join(names), "--model", "plugin:tiny", "--runs", str(place)]
    subprocess.run(latte("adapt", str(images), *classes), check=True, capture_output=True)
    (run,) = (path.parent for path in place.glob("*/pseudo_labels.csv"))
    zero_shot, adapted = shares_right(run, truth)
    say(
        f"{len(truth)} images, {len(names)} classes: zero-shot {zero_shot:.1f} %, adapted "
        f"{adapted:.1f} %; encoded and adapted in {time.monotonic() - began:.0f} s"
    )
    truths = [truth[row["image"]] for row in label_rows(run)]
    with review_page(run, place / "profile") as page:
        person = Person(page, truth, truths, names, random.Random(options.seed))
        person.press(["n"])
        for _ in range(options.questions):
            if not person.is_asked():
                person.press(["o"])
                if not person.is_asked():
                    return
            if page.evaluate("document.body.dataset.view") == "groups":
                person.name_group()
            else:
                person.look_through()
            person.wait()
            share = person.share_right()
            say(
                f"{person.keys} keys, {person.questions} questions, {person.images} images "
                f"({person.misread} misread), about {person.seconds / 60:.1f} min: {share:.1f} % "
                f"({share - zero_shot:+.1f} points); page: {person.estimate()}"
            )
            if share - zero_shot >= options.gain:
                break
        person.press(["m"])
        for _ in range(options.measure):
            person.measure()
        time.sleep(options.pause)
        share, estimate = person.share_right(), person.estimate()
        say(
            f"after {options.measure} random photos: {share:.1f} % right; the page says: "
            f"{estimate} ({'holds' if holds(estimate, share) else 'does not hold'} the truth)"
        )


def main() -> None:
    """Read the arguments, and let the person teach."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", type=Path, help="folder with train/ and split.json")
    parser.add_argument("--gain", type=float, default=20.0, help="points at which to stop")
    parser.add_argument("--questions", type=int, default=60, help="largest number of questions")
    parser.add_argument("--measure", type=int, default=20, help="random photos at the end")
    parser.add_argument("--pause", type=float, default=20, help="seconds of rest at the end")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    split = json.loads((options.set / "split.json").read_text())["train"]
    truth = {Path(path).relative_to("train").as_posix(): name for path, _, name in split}
    with tempfile.TemporaryDirectory() as place:
        teach(options.set / "train", truth, Path(place), options)


if __name__ == "__main__":
    main()
