"""The stages that `scale` measures, in their order, on fake images that have only a name.

The first line of a stage's docstring is its label in the printed table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.latte_step import description_types
from benchmarks.measuring import no_clip, no_descriptions, say
from benchmarks.step_problem import TEMPLATE
from latte.components.datasets.local import ListDataset, ListOptions
from latte.components.latteclip import MomentumOptions, MomentumPrototypes
from latte.data.batches import epoch_batches
from latte.data.cache import DecodedImages
from latte.data.images import open_image
from latte.data.scan import scan_images
from latte.data.series import equal_pairs
from latte.describe.bank import DescriptionBank
from latte.describe.generate import GenerateResult, generate
from latte.describe.plan import Plan, TrainingSet, plan_requests
from latte.describe.store import DescriptionStore
from latte.interfaces import (
    Classifier,
    Context,
    Describer,
    DescribeRequest,
    DescriptionType,
    ImageReference,
    LabelStream,
    NoOptions,
    RunResults,
    TrainingStart,
)
from latte.interfaces.measurements import ZERO_SHOT
from latte.interfaces.progress import SilentProgress
from latte.interfaces.record import Source, StageRecord
from latte.interfaces.settings import SeriesSettings
from latte.models.adapted import Adapted, Member
from latte.models.saved_model import save_prototypes
from latte.models.zero_shot import (
    ImageFeatures,
    ZeroShot,
    load_zero_shot,
    save_zero_shot,
    zero_shot_labels,
)
from latte.report.card import model_card
from latte.report.page.page import run_page
from latte.results.folder import RunFolder
from latte.run.collect import collect_results
from latte.run.evaluating import evaluate
from latte.run.images import Images, write_images
from latte.run.judging import JudgedModels
from latte.run.series import RunSeries

BATCH = 512


class FakeImage(ImageReference):
    """Fake image whose bytes are its name."""

    __slots__ = ()

    def read_bytes(self) -> bytes:
        """Return bytes for the content key."""
        return self.id.encode()


class Everything(Collection[str]):
    """Fake cache that contains every decoded image."""

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class NamingDescriber(Describer[NoOptions]):
    """Fake describer that writes about twenty words, which depend on the images."""

    batch_size = 512
    fingerprint = "scale"

    def describe(self, requests: Sequence[DescribeRequest]) -> Sequence[str]:
        """Return one text per request."""
        return [
            f"{request.images[0].key} stands for a picture of some object with a smooth surface, "
            "lit from above, in front of a plain wall, seen from the side."
            for request in requests
        ]


_STAGE = StageRecord(fingerprint="", seconds=0.0)


@dataclass
class World:
    """Results of stages that later stages need."""

    folder: Path
    count: int
    classes: int
    labelled: int
    width: int
    listed: Sequence[ImageReference] = ()
    images: Images = field(init=False)
    zero_shot: ZeroShot = field(init=False)
    plans: dict[str, Plan] = field(init=False)
    results: dict[str, GenerateResult] = field(init=False)
    bank: DescriptionBank = field(init=False)
    collected: RunResults = field(init=False)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of two words."""
        return tuple(f"class number {label}" for label in range(self.classes))

    @property
    def context(self) -> Context:
        """Context of a run without a CLIP."""
        return Context(self.folder, self.folder / "cache", "cpu", 0, no_clip)

    @property
    def run(self) -> RunFolder:
        """Folder of the stages."""
        return RunFolder(self.folder / "run")

    @property
    def kinds(self) -> dict[str, DescriptionType[Any]]:
        """LatteCLIP's three description types."""
        return description_types(self.context)

    @property
    def workspace(self) -> Any:
        """Fake workspace with the attributes that stages use."""
        kinds = self.kinds
        recipe = SimpleNamespace(
            learners=(),
            encoder_names=(),
            series=SeriesSettings(near_copies=False, seconds=0),  # there are no pixels
            evaluate=SimpleNamespace(top_k=5, batch_size=64),
            descriptions=[
                SimpleNamespace(label=name, options=choice.options)
                for name, choice in kinds.items()
            ],
            name="scale",
            corrections=None,
            resolved={},
        )
        return SimpleNamespace(
            folder=self.run,
            progress=SilentProgress(),
            recipe=recipe,
            seed=0,
            build=lambda choice, options=None: kinds[choice.label],
            dataset=SimpleNamespace(audit_labels=dict),
            frozen_clip=SimpleNamespace(logit_scale=torch.tensor(100.0)),
        )

    @property
    def training(self) -> TrainingSet:
        """Training set with descriptions."""
        return TrainingSet(
            images=self.images.training.images,
            keys=self.images.training.keys,
            features=self.zero_shot.clip.training,
            zero_shot_labels=self.zero_shot.zero_shot_labels,
            class_names=self.images.class_names,
            template=TEMPLATE,
            open=open_image,
        )


def list_images(world: World) -> None:
    """Read a list of images."""
    folder = world.folder
    (folder / "00").mkdir()
    (folder / "00" / "image-00000000.jpg").touch()
    with (folder / "images.csv").open("w") as file:
        file.write("path\n")
        file.writelines(f"{row % 100:02}/image-{row:08}.jpg\n" for row in range(world.count))
    dataset = ListDataset(ListOptions(images="images.csv", classes=("a", "b")), world.context)
    world.listed = dataset.training_images()


def scan(world: World) -> None:
    """Scan, with content keys."""
    references = [FakeImage(image.id, image.path) for image in world.listed]
    world.listed = ()
    training = scan_images(references, SilentProgress(), "check", verified=Everything())
    tests = [
        FakeImage(f"test/{row:08}.jpg", Path(f"test/{row:08}.jpg")) for row in range(world.labelled)
    ]
    evaluation = scan_images(tests, SilentProgress(), "check", verified=Everything())
    labels = tuple((torch.arange(world.labelled) % world.classes).tolist())
    world.images = Images(world.class_names, TEMPLATE, training, evaluation, labels)


def note_keys(world: World) -> None:
    """Store the keys of decoded images."""
    folder = world.context.cache_dir / "decoded"
    DecodedImages(folder).note(world.images.training.keys)
    assert len(DecodedImages(folder).keys) == world.count


def identify(world: World) -> None:
    """Fingerprint of the images."""
    assert world.images.fingerprint


def write_lists(world: World) -> None:
    """training.jsonl, evaluation.jsonl."""
    written = write_images(world.workspace, world.images)
    world.run.results.begin(Source(recipe="recipe.yaml", values={"name": "scale"}))
    world.run.results.finish("data", _STAGE, written.facts)


def label(world: World) -> None:
    """Zero-shot features and labels."""
    generator = torch.Generator().manual_seed(0)

    def unit(rows: int) -> Tensor:
        return normalize(torch.randn(rows, world.width, generator=generator), dim=1)

    training, evaluation, texts = unit(world.count), unit(world.labelled), unit(world.classes)
    labels = zero_shot_labels(training, texts)
    save_zero_shot(
        world.run.zero_shot, ZeroShot(ImageFeatures(training, evaluation), texts, labels)
    )
    del training, evaluation, texts, labels
    world.zero_shot = load_zero_shot(world.run.zero_shot)


def plan(world: World) -> None:
    """Groups, and the plan of requests."""
    describer = NamingDescriber(NoOptions(), world.context)
    world.plans = plan_requests(world.training, world.kinds, {"main": describer}, seed=0)


def write_texts(world: World) -> None:
    """Ask, and store the texts."""
    describer = NamingDescriber(NoOptions(), world.context)
    with DescriptionStore(world.folder / "texts") as store:
        world.results = {"main": generate(describer, world.plans["main"], store, SilentProgress())}


def make_bank(world: World) -> None:
    """Bank of descriptions."""
    world.bank = DescriptionBank.from_plans(world.training, world.plans, world.results, world.kinds)
    del world.plans, world.results


def save_bank(world: World) -> None:
    """descriptions.jsonl."""
    world.bank.save(world.run.descriptions)
    del world.bank


def serve(world: World) -> None:
    """Read texts from the store."""
    describer = NamingDescriber(NoOptions(), world.context)
    with DescriptionStore(world.folder / "texts") as store:
        plans = plan_requests(world.training, world.kinds, {"main": describer}, seed=0)
        generate(describer, plans["main"], store, SilentProgress())


def load_bank(world: World) -> None:
    """Read descriptions.jsonl."""
    world.bank = DescriptionBank.load(
        world.run.descriptions, world.class_names, TEMPLATE, world.kinds
    )


def train(world: World) -> None:
    """Batches, texts, prototypes: 20 steps."""
    zero_shot = world.zero_shot
    inputs = (zero_shot.class_features, zero_shot.clip.training, zero_shot.zero_shot_labels)
    prototypes = MomentumPrototypes(MomentumOptions(), world.context)
    prototypes.start(TrainingStart(world.class_names, *inputs, no_descriptions))
    for epoch in (0, 1):
        for indices in epoch_batches(world.count, BATCH, 0, epoch)[:10]:
            features = zero_shot.clip.training[indices]
            labels = prototypes.similarities(features).argmax(dim=1)
            stream = LabelStream("current", labels, torch.ones(len(labels)))
            texts = {}
            for name in world.kinds:
                rows = world.bank.rows(name, indices, labels, epoch, 0)
                texts[name] = features + rows[:, None] % 2
            prototypes.update([prototypes.supervise(stream, texts, features)])


def evaluate_model(world: World) -> None:
    """Evaluation, predictions, labels."""
    texts = world.zero_shot.class_features
    backbone: Any = SimpleNamespace(logit_scale=torch.tensor(100.0))
    member = Member("main", backbone, Classifier(texts, torch.arange(len(texts))))
    adapted = Adapted(world.class_names, (member,))
    zero_shot = Adapted(world.class_names, (replace(member, name=ZERO_SHOT),))
    save_prototypes(world.run.adapted_model, adapted)
    outcome = JudgedModels(zero_shot, adapted)
    series = RunSeries.of(world.count, {"copies": equal_pairs(world.images.training.keys)})
    evaluation = evaluate(world.workspace, world.images, world.zero_shot, outcome, series)
    world.run.results.finish("evaluate", _STAGE, evaluation.facts)


def collect(world: World) -> None:
    """Collect the input of a report."""
    del world.bank
    world.collected = collect_results(world.workspace, world.images)


def report(world: World) -> None:
    """Report and model card."""
    html = run_page(world.collected, gallery_images=0)
    text = model_card(world.collected)
    sizes = f"{len(html.encode()) / 2**20:.1f} and {len(text.encode()) / 2**20:.1f} MiB"
    say(f"    index.html and README.md: {sizes}")


STAGES: Sequence[Callable[[World], None]] = (
    *(list_images, scan, note_keys, identify, write_lists, label, plan, write_texts, make_bank),
    *(save_bank, serve, load_bank, train, evaluate_model, collect, report),
)
