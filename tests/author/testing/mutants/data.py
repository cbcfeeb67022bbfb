"""Mutants of datasets, augmentations and description types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch
from latte_author.testing import DatasetContract, DescriptionTypeContract, ImageAugmentationContract
from latte_author.testing.fixtures import tiny_images
from PIL import Image
from torch import Tensor

from latte.components.datasets.local import FolderOptions, ImageFolderDataset
from latte.interfaces import (
    DescriptionType,
    ImageAugmentation,
    ImageReference,
    LabelledImage,
    NoOptions,
    Scope,
)
from tests.author.testing.mutants import Mutant, Mutants, mutant


def write_files(_: DatasetContract, folder: Path) -> None:
    tiny_images(folder / "photos")
    for name in ("cat", "dog"):
        tiny_images(folder / "labelled" / name, 2)


def dataset(**changes: Any) -> Mutant:
    options = FolderOptions(root="photos", classes=("cat", "dog"), evaluation="labelled")
    return mutant(ImageFolderDataset, options, {"write_files": write_files}, **changes)


def training(images: Any) -> Any:
    """Return a method with the result of `images` for each training image."""
    return lambda self: [images(image) for image in ImageFolderDataset.training_images(self)]


class Tagged(ImageReference):
    label = 0


class Stripes(ImageAugmentation[NoOptions]):
    """Scales an image, and brightens it by a random amount."""

    def view(self, image: Image.Image, size: int, random: Random) -> Tensor:
        pixels = torch.tensor([*image.resize((size, size)).tobytes()], dtype=torch.uint8)
        return pixels.view(size, size, 3).permute(2, 0, 1) // random.randint(1, 255)


class Scene(DescriptionType[NoOptions]):
    scope: ClassVar[Scope] = "image"

    def prompt(self, class_name: str) -> str:
        return f"Which scene is {class_name} in?"


MUTANTS: Mutants = {
    DatasetContract: {
        "class_names_are_distinct": dataset(class_names=("cat", "cat")),
        "the_template_names_the_class": dataset(template="a photo of something."),
        "sentences_have_weights_for_every_class": dataset(
            class_sentences=({"a cat": 1.0}, {"a dog": 0.0})
        ),
        "training_images_carry_no_label": dataset(
            training_images=training(lambda image: Tagged(image.id, image.path))
        ),
        "training_images_are_sorted_by_id": dataset(
            training_images=lambda self: ImageFolderDataset.training_images(self)[::-1]
        ),
        "ids_are_unique": dataset(
            evaluation_images=lambda self: [LabelledImage(self.training_images()[0], 0)]
        ),
        "ids_stay_when_the_folder_moves": dataset(
            training_images=training(lambda image: ImageReference(str(image.path), image.path))
        ),
        "images_can_be_read": dataset(
            training_images=training(lambda image: ImageReference(image.id, image.path / "gone"))
        ),
        "labels_are_class_indices": dataset(
            evaluation_images=lambda self: [
                replace(image, label=image.label + 1)
                for image in ImageFolderDataset.evaluation_images(self)
            ]
        ),
    },
    ImageAugmentationContract: {
        "views_are_bytes_of_the_size_of_the_tower": mutant(
            Stripes, view=lambda self, *arguments: Stripes.view(self, *arguments).permute(1, 2, 0)
        ),
        "equal_generators_give_equal_views_in_all_threads": mutant(
            Stripes, view=lambda self, image, size, _: Stripes.view(self, image, size, Random())
        ),
    },
    DescriptionTypeContract: {
        "it_has_a_scope": mutant(Scene, scope="everything"),
        "only_groups_show_several_images": mutant(Scene, group_size=2),
        "labels_are_used_only_where_options_ask_for_them": mutant(
            Scene, scope="group", group_size=2, correct_images=1
        ),
        "a_prompt_is_never_empty": mutant(
            Scene, prompt=lambda _, name: f"Which scene is {name} in?" if name.isascii() else " "
        ),
        "all_prompts_begin_with_the_first": mutant(
            Scene, prompts=lambda _, name: (f"What else does {name} show?",)
        ),
        "class_names_arrive_unchanged": mutant(
            Scene, prompt=lambda _, name: f"Which scene is {name.lower()} in?"
        ),
    },
}
