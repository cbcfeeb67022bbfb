"""Several prototypes a class: they part, follow their own images, and none of them dies."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latte_author.testing import PrototypeAggregatorContract, ReporterContract
from latte_author.testing.fixtures import make_context, training_start, unit_rows
from latte_multiproto.clusters import cluster_centres, parted_prototypes
from latte_multiproto.prototypes import MultiMomentumOptions, MultiMomentumPrototypes
from latte_multiproto.report import thumbnail
from latte_multiproto.variance import class_view
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from latte.api import EpochInfo, LabelStream, LatteError, TrainingStart

LEARNER = "main"


class TestThree(PrototypeAggregatorContract):
    component = "multi-momentum"
    options: ClassVar = {"prototypes": 3, "momentum": 0.8}


class TestOne(PrototypeAggregatorContract):
    component = "multi-momentum"
    options: ClassVar = {"prototypes": 1, "margins": "epoch_start"}


class TestTemplate(PrototypeAggregatorContract):
    component = "multi-momentum"
    options: ClassVar = {"initialise": "template", "margins": "epoch_start"}


class TestGallery(ReporterContract):
    component = "prototype-gallery"


@pytest.mark.parametrize(("size", "shown"), [((600, 1), (40, 1)), ((30, 60), (20, 40))])
def test_thumbnails_have_the_asked_size_and_no_side_of_zero_pixels(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    encoded = thumbnail(Image.new("RGB", size), 40).removeprefix("data:image/jpeg;base64,")
    assert Image.open(BytesIO(b64decode(encoded))).size == shown


def started(start: TrainingStart, folder: Path, **options: Any) -> MultiMomentumPrototypes:
    context = make_context(folder)
    prototypes = MultiMomentumPrototypes(MultiMomentumOptions(**options), context)
    prototypes.start(start)
    return prototypes


def stream(labels: Tensor, name: str = "frozen", weights: Tensor | None = None) -> LabelStream:
    return LabelStream(name, labels, torch.ones(len(labels)) if weights is None else weights)


class TestFirstPrototypes:
    def test_one_a_class_is_zero_shot_and_asks_for_no_description(self, tmp_path: Path) -> None:
        start = replace(training_start(), description_features=lambda name: pytest.fail(name))
        weights = started(start, tmp_path, prototypes=1).classifier().weights
        assert torch.equal(weights, start.class_features)

    @pytest.mark.parametrize("initialise", ["descriptions", "groups", "template"])
    def test_rows_of_a_class_are_neighbours_and_all_different(
        self, tmp_path: Path, initialise: str
    ) -> None:
        classifier = started(training_start(), tmp_path, initialise=initialise).classifier()
        assert classifier.owners.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        cosines = classifier.weights @ classifier.weights.T
        assert float((cosines - torch.eye(12)).max()) < 0.9999

    def test_they_are_the_template_moved_towards_a_cluster_centre(self, tmp_path: Path) -> None:
        """With as many images as prototypes, each image's text is a centre."""
        start = training_start(images=6)
        texts = start.description_features("image")
        weights = started(start, tmp_path, prototypes=2, weight=0.7).classifier().weights
        for label in range(3):
            class_texts = texts[start.zero_shot_labels == label]
            if len(class_texts) != 2:
                continue
            expected = normalize(start.class_features[label] + 0.7 * class_texts, dim=1)
            class_rows = weights[2 * label : 2 * label + 2]
            assert torch.allclose((class_rows @ expected.T).amax(dim=1), torch.ones(2), atol=1e-5)

    def test_a_class_without_images_starts_at_its_template(self, tmp_path: Path) -> None:
        start = training_start()
        assert 3 not in start.zero_shot_labels
        class_rows = started(start, tmp_path).classifier().weights[9:12]
        assert torch.equal(class_rows[0], start.class_features[3])
        cosines = class_rows @ start.class_features[3]
        assert torch.allclose(cosines[1:], torch.full((2,), (1 + 0.1**2) ** -0.5), atol=0.05)
        assert float(cosines[1:].max()) < 0.9999

    def test_the_wanted_description_may_be_missing(self, tmp_path: Path) -> None:
        with pytest.raises(LatteError, match="`caption`") as error:
            started(training_start(), tmp_path, description="caption")
        assert "initialise: template" in str(error.value)

    def test_seeds_differ_and_the_same_seed_does_not(self, tmp_path: Path) -> None:
        weights = []
        for seed in (0, 0, 1):
            options = MultiMomentumOptions(initialise="template")
            prototypes = MultiMomentumPrototypes(options, make_context(tmp_path, seed))
            prototypes.start(training_start())
            weights.append(prototypes.classifier().weights)
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])


class TestClusters:
    def test_bundles_are_found(self) -> None:
        middles = torch.eye(3, 16)
        bundles = normalize(middles.repeat_interleave(5, 0) + 0.1 * unit_rows(15, seed=4), dim=1)
        centres = cluster_centres(bundles, 3)
        assert sorted((centres @ middles.T).argmax(dim=1).tolist()) == [0, 1, 2]
        for centre in centres:
            members = bundles[(bundles @ centres.T).argmax(1) == (centres @ centre).argmax()]
            assert torch.allclose(centre, normalize(members.sum(dim=0), dim=0), atol=1e-6)

    @pytest.mark.parametrize(("distinct", "copies"), [(0, 0), (1, 4), (2, 3)])
    def test_equal_texts_make_no_second_centre(self, distinct: int, copies: int) -> None:
        features = (
            unit_rows(distinct).repeat_interleave(copies, 0) if distinct else torch.empty(0, 16)
        )
        assert len(cluster_centres(features, 3)) == distinct

    def test_missing_centres_become_the_template_and_then_steps_from_it(self) -> None:
        templates = unit_rows(1)
        generator = torch.Generator().manual_seed(0)
        rows = parted_prototypes(templates, [unit_rows(1, seed=5)], 4, 1.0, 0.1, generator)
        assert torch.allclose(rows[0], normalize(templates[0] + unit_rows(1, seed=5)[0], dim=0))
        assert torch.equal(rows[1], templates[0])
        assert not torch.equal(rows[2], rows[3])
        assert torch.allclose(rows.norm(dim=1), torch.ones(4))


def chosen_slowly(weights: Tensor, label: int, count: int, image: Tensor) -> int:
    rows = range(label * count, (label + 1) * count)
    return max(rows, key=lambda row: float(weights[row] @ image))


def margin_slowly(text: Tensor, weights: Tensor, count: int) -> float:
    """Between the two nearest classes, each as near as its nearest prototype."""
    classes = range(len(weights) // count)
    nearness = [
        max(float(weights[row] @ text) for row in range(c * count, (c + 1) * count))
        for c in classes
    ]
    best, runner_up = sorted(nearness, reverse=True)[:2]
    return best - runner_up + 1e-6


class TestStep:
    """Against loops over samples, written from the method's description."""

    def setup(self, folder: Path) -> tuple[MultiMomentumPrototypes, Tensor, dict[str, Tensor]]:
        prototypes = started(training_start(), folder, momentum=0.8)
        texts = {"image": unit_rows(8, seed=31), "group": unit_rows(8, seed=32)}
        return prototypes, unit_rows(8, seed=30), texts

    def targets_slowly(
        self, weights: Tensor, labels: list[int], images: Tensor, texts: dict[str, Tensor]
    ) -> tuple[list[int], Tensor]:
        rows, targets = [], []
        for i, label in enumerate(labels):
            row = chosen_slowly(weights, label, 3, images[i])
            margins = [margin_slowly(text[i], weights, 3) for text in texts.values()]
            total = sum(m * text[i] for m, text in zip(margins, texts.values(), strict=True))
            rows.append(row)
            targets.append(0.8 * weights[row] + 0.2 * total / sum(margins))
        return rows, torch.stack(targets)

    def test_targets_and_new_prototypes_equal_the_loops(self, tmp_path: Path) -> None:
        prototypes, images, texts = self.setup(tmp_path)
        old_weights = prototypes.classifier().weights
        opinions = ([0, 1, 2, 3, 0, 1, 2, 0], [0, 1, 1, 3, 2, 1, 2, 0])
        members: list[list[Tensor]] = [[] for _ in old_weights]
        supervisions = []
        for number, labels in enumerate(opinions):
            rows, expected = self.targets_slowly(old_weights, labels, images, texts)
            opinion = stream(torch.tensor(labels), str(number))
            supervisions.append(prototypes.supervise(opinion, texts, images))
            targets = supervisions[-1].targets
            assert targets is not None
            assert torch.allclose(targets, expected, atol=1e-6)
            for row, target in zip(rows, expected, strict=True):
                members[row].append(target)
        prototypes.update(supervisions)
        new_weights = prototypes.classifier().weights
        for row, of_row in enumerate(members):
            if of_row:
                mean = torch.stack(of_row).mean(dim=0)
                assert torch.allclose(new_weights[row], normalize(mean, dim=0), atol=1e-6)
            else:
                assert torch.equal(new_weights[row], old_weights[row])
        usage = prototypes.state()["usage"].flatten().tolist()
        assert usage == [len(of_row) for of_row in members]

    def test_margins_are_between_classes_and_not_between_siblings(self, tmp_path: Path) -> None:
        """The first text names one class clearly, in the middle of two of its prototypes; over
        rows its margin would be 0, and the undecided second text would win."""
        weights = normalize(
            torch.tensor([[1, 0.1, 0, 0], [1, -0.1, 0, 0], [0, 0, 1, 0.1], [0, 0, 1, -0.1]]), dim=1
        )
        prototypes = started(
            training_start(), tmp_path, prototypes=2, momentum=0.0, initialise="template"
        )
        prototypes.load_state(
            {
                "prototypes": weights,
                "epoch_start_prototypes": weights,
                "usage": torch.zeros(2, 2),
                "rounds": torch.tensor(0),
            }
        )
        prototypes._owners = torch.tensor([0, 0, 1, 1])
        clear = torch.tensor([[1.0, 0, 0, 0]])
        undecided = normalize(torch.tensor([[1.0, 0.5, 1.0, 0]]), dim=1)
        texts = {"clear": clear, "undecided": undecided}
        targets = prototypes.supervise(stream(torch.tensor([0])), texts, clear).targets
        assert targets is not None
        assert float(targets[0] @ clear[0]) > 0.95

    def test_samples_of_weight_zero_are_not_counted(self, tmp_path: Path) -> None:
        prototypes, images, texts = self.setup(tmp_path)
        weights = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0.5])
        opinion = stream(torch.zeros(8, dtype=torch.int64), weights=weights)
        prototypes.update([prototypes.supervise(opinion, texts, images)])
        assert float(prototypes.state()["usage"].sum()) == 1.5


class TestBalance:
    def test_a_dead_prototype_is_placed_beside_the_most_used_one(self, tmp_path: Path) -> None:
        start = training_start()
        prototypes = started(start, tmp_path, spread=0.1)
        old_weights = prototypes.classifier().weights
        image = old_weights[1].unsqueeze(0).expand(4, -1)
        for _ in range(2):
            labels = torch.zeros(4, dtype=torch.int64)
            prototypes.update([prototypes.supervise(stream(labels), {}, image)])
        prototypes.on_epoch_start(EpochInfo(), LEARNER)
        new_weights = prototypes.classifier().weights
        assert torch.allclose(new_weights[1], old_weights[1], atol=1e-6)
        for row in (0, 2):
            assert not torch.equal(new_weights[row], old_weights[row])
            assert 0.99 < float(new_weights[row] @ new_weights[1]) < 0.9999
        assert torch.equal(new_weights[3:], old_weights[3:]), (
            "classes without images are left alone"
        )
        usage = prototypes.state()["usage"][0]
        assert torch.allclose(usage, torch.full((3,), 8 / 3 / 2))

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
    def test_no_prototype_stays_dead(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
    ) -> None:
        """However badly they start: all but one of a class point away from its images."""
        folder = tmp_path_factory.mktemp("balance")
        start = training_start(classes=2)
        middle = unit_rows(1, seed=seed)
        images = normalize(middle + 0.8 * unit_rows(60, seed=seed + 1), dim=1)
        bad = normalize(unit_rows(2 * count, seed=seed + 2) - 3 * middle, dim=1)
        bad[0] = middle
        prototypes = started(start, folder, prototypes=count, momentum=0.9)
        state = prototypes.state()
        prototypes.load_state({**state, "prototypes": bad, "epoch_start_prototypes": bad})
        labels = torch.zeros(60, dtype=torch.int64)
        opinion = stream(labels)
        for _ in range(12):
            prototypes.on_epoch_start(EpochInfo(), LEARNER)
            supervision = prototypes.supervise(opinion, {"image": images}, images)
            prototypes.update([supervision])
        class_rows = prototypes.classifier().weights[:count]
        used = (images @ class_rows.T).argmax(dim=1).tolist()
        assert {*used} == {*range(count)}

    def test_floor_zero_lets_them_be(self, tmp_path: Path) -> None:
        prototypes = started(training_start(), tmp_path, floor=0.0)
        old_weights = prototypes.classifier().weights
        labels = torch.zeros(1, dtype=torch.int64)
        prototypes.update([prototypes.supervise(stream(labels), {}, old_weights[:1])])
        prototypes.on_epoch_start(EpochInfo(), LEARNER)
        assert torch.allclose(prototypes.classifier().weights, old_weights, atol=1e-6)


class TestVariance:
    def test_two_bundles_with_a_prototype_each_explain_nearly_everything(self) -> None:
        middles = torch.eye(2, 16)
        features = normalize(middles.repeat_interleave(6, 0) + 0.05 * unit_rows(12, seed=2), dim=1)
        view = class_view(middles, features, torch.arange(12))
        assert [sorted(rows.tolist()) for rows in view.nearest] == [[*range(6)], [*range(6, 12)]]
        assert view.total == pytest.approx(0.5, abs=0.02)
        assert view.explained is not None and view.explained > 0.99
        assert view.likeness == pytest.approx(0.0)

    def test_nearest_images_come_first_and_other_classes_do_not(self) -> None:
        features = unit_rows(10, seed=3)
        rows = torch.tensor([1, 4, 7])
        view = class_view(features[4:5], features, rows)
        assert view.nearest[0][0] == 4
        assert {*view.nearest[0].tolist()} == {1, 4, 7}
        assert view.explained == pytest.approx(0.0, abs=1e-6)
        assert view.likeness is None

    def test_the_bias_decides_which_prototype_is_nearest(self) -> None:
        features, rows = torch.eye(2, 16), torch.arange(2)
        view = class_view(3 * torch.eye(2, 16), features, rows, bias=torch.tensor([0.0, 4.0]))
        assert [len(nearest) for nearest in view.nearest] == [0, 2]
        assert view.likeness == pytest.approx(0.0)

    def test_a_class_without_images_has_no_variance(self) -> None:
        view = class_view(unit_rows(2), unit_rows(5), torch.empty(0, dtype=torch.int64))
        assert (view.total, view.explained) == (None, None)
        assert [len(rows) for rows in view.nearest] == [0, 0]
