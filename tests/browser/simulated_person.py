"""A simulated person teaches a model on the real review page, from a folder of images.

Run it by hand: `python -m tests.browser.simulated_person SET`. SET is a folder with images in
`train`, and with their true classes in `split.json`, as in CoOp: `{"train": [[path, label, class],
...]}` with paths below SET.

The person misreads 5 % of the images, presses keys only, names groups and looks through the most
doubtful images, and uses the answers after each of these tasks, until the labels of the folder gain
20 points over zero-shot CLIP. The script prints the numbers of keys, questions and images, seconds
of the machine, and an estimate of the person's minutes: 1.35 s to think per question, 0.4 s to look
at an image, and 0.28 s per key (after the keystroke-level model of Card, Moran and Newell).
"""

from __future__ import annotations

import argparse
import csv
import json
import random
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
from typing import Any

from tests.helpers.chromium import Page, chromium

THINK, LOOK, KEY = 1.35, 0.4, 0.28
"""Seconds of a person to think about a question, to look at an image, and to press a key."""
MIXED = 0.34
"""The person calls a group mixed if no class has this share of its images."""
SHEETS = 3
"""Number of sheets of doubtful images before the answers are used again."""


@dataclass
class Person:
    """A person at the page, who knows the true class of each image by its file name."""

    page: Page
    truth: Mapping[str, str]
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
        self.page.wait_for("!busy", seconds=120)

    def state(self) -> Any:
        return json.loads(self.page.evaluate("JSON.stringify(state)"))

    def look(self) -> list[str]:
        """Return the class that the person sees in each image of the question."""
        self.questions += 1
        shown = [image["name"] for image in self.state()["question"]["images"]]
        for name in shown:
            if name not in self.read:
                true = self.truth[name]
                wrong = [other_name for other_name in self.names if other_name != true]
                is_misread = self.random.random() < self.mistakes
                self.misread += is_misread
                self.read[name] = self.random.choice(wrong) if is_misread else true
        self.images += len(shown)
        return [self.read[name] for name in shown]

    def choose(self, name: str) -> list[str]:
        """Return the keys that choose a class: its key, or its name in the field."""
        options = self.state()["question"]["options"]
        label = self.names.index(name)
        if label in options:
            return ["123456789pqr"[options.index(label)]]
        return ["/", *name, "Enter"]

    def name_groups(self) -> None:
        """Name all groups, and deselect the images of other classes."""
        self.press(["n"])
        while self.state()["question"] is not None:
            classes = self.look()
            ((name, number),) = Counter(classes).most_common(1)
            if number < MIXED * len(classes):
                self.press(["-"])
                continue
            odd = [key for key, seen in zip("abcdefghijkl", classes, strict=False) if seen != name]
            self.press([*odd, *self.choose(name)])

    def look_through(self, sheets: int) -> None:
        """Correct the labels of the most doubtful images, and confirm the others."""
        self.press(["o"])
        for _ in range(sheets):
            question = self.state()["question"]
            if question is None:
                return
            corrections: dict[str, list[str]] = {}
            images = zip("abcdefghijkl", question["images"], self.look(), strict=False)
            for key, image, seen in images:
                if self.names[image["label"]] != seen:
                    corrections.setdefault(seen, []).append(key)
            for name, keys in corrections.items():
                self.press([*keys, *self.choose(name)])
            if sum(map(len, corrections.values())) < len(question["images"]):
                self.press(["y"])

    def use_answers(self) -> None:
        if not self.state()["unused"]:
            return
        self.press(["t"])
        self.page.wait_for("!teaching && !busy", seconds=300)
        assert not self.page.evaluate("find('comparison').hidden"), self.page.evaluate(
            "find('error').textContent"
        )


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
            page.wait_for("state !== null && !busy")
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
    with review_page(run, place / "profile") as page:
        person = Person(page, truth, names, random.Random(options.seed))
        for step in range(options.steps):
            began = time.monotonic()
            if step % 2:
                person.look_through(SHEETS)
            else:
                person.name_groups()
            answered = time.monotonic()
            person.use_answers()
            (taught,) = (path.parent for path in place.glob("*/corrected.json"))
            share = shares_right(taught, truth)[1]
            say(
                f"{person.keys} keys, {person.questions} questions, {person.images} images "
                f"({person.misread} misread), about {person.seconds / 60:.1f} min: {share:.1f} % "
                f"({share - zero_shot:+.1f} points); page {answered - began:.0f} s, retraining "
                f"{time.monotonic() - answered:.1f} s"
            )
            if share - zero_shot >= options.gain:
                return


def main() -> None:
    """Read the arguments, and let the person teach."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("set", type=Path, help="folder with train/ and split.json")
    parser.add_argument("--gain", type=float, default=20.0, help="points at which to stop")
    parser.add_argument("--steps", type=int, default=10, help="largest number of uses of answers")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    split = json.loads((options.set / "split.json").read_text())["train"]
    truth = {Path(path).relative_to("train").as_posix(): name for path, _, name in split}
    with tempfile.TemporaryDirectory() as place:
        teach(options.set / "train", truth, Path(place), options)


if __name__ == "__main__":
    main()
