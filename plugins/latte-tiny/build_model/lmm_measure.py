"""Measure the class information in a describer's sentences.

A sentence encoder, not a CLIP, finds the class name nearest to each sentence. The LMM (large
multimodal model) runs with transformers alone, so any user of its folder gets these results. See
`python -m build_model.lmm_measure --help`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor

from . import image_tower, teacher

PROMPT = "Describe the object in the photo concisely, less than 20 words."


def say(line: str) -> None:
    """Write one line of results to standard output."""
    sys.stdout.write(line + "\n")


def opened(path: Path) -> Image.Image:
    """Return the image of a file as RGB."""
    with Image.open(path) as image:
        return image.convert("RGB")


class Describer:
    """LMM loaded from a folder with transformers, which answers one question per image."""

    def __init__(self, folder: Path) -> None:
        self.processor: Any = AutoProcessor.from_pretrained(folder)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()

    @torch.inference_mode()
    def describe(self, images: list[Image.Image], prompt: str) -> list[str]:
        """Return one sentence per image, decoded greedily."""
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        text = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True
        )
        inputs = self.processor(images=images, text=[text] * len(images), return_tensors="pt")
        answer = self.model.generate(**inputs, do_sample=False, max_new_tokens=77)
        answer = answer[:, inputs["input_ids"].shape[1] :]
        return [s.strip() for s in self.processor.batch_decode(answer, skip_special_tokens=True)]


def sentences_of(folder: Path, paths: list[Path], prompt: str, batch: int = 32) -> list[str]:
    """Return the LMM's sentences; print the LMM's speed, including the reading of image files."""
    describer = Describer(folder)
    began, sentences = time.perf_counter(), []
    for start in range(0, len(paths), batch):
        images = [opened(path) for path in paths[start : start + batch]]
        sentences += describer.describe(images, prompt)
    seconds = time.perf_counter() - began
    say(f"{len(paths)} images in {seconds:.1f} s: {len(paths) / seconds:.1f} images/s")
    return sentences


@torch.inference_mode()
def head_sentences(paths: list[Path]) -> list[str]:
    """Return reference sentences: a template with the class that the ImageNet head predicts."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    trunk = image_tower.load_trunk()
    pooled = image_tower.features(trunk, paths, image_tower.eval_transform())
    rows = trunk.forward_head(pooled[:, :, None, None]).argmax(1)  # type: ignore[operator]
    return [f"a photo of a {IMAGENET_CLASSNAMES[int(row)]}." for row in rows]


def accuracy(sentences: list[str], labels: Tensor, names: list[str]) -> tuple[float, float]:
    """Return the top-1 accuracy in per cent: over images, and as the mean over classes.

    The predicted class is the one whose name is nearest to the sentence.
    """
    classes = teacher.encode([f"a photo of a {name}." for name in names])
    right = (teacher.encode(sentences) @ classes.T).argmax(1) == labels
    each = torch.stack([right[labels == label].float().mean() for label in labels.unique()])
    return 100 * float(right.float().mean()), 100 * float(each.mean())


def main() -> None:
    """Parse the arguments and print the results that they select."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of the LMM")
    parser.add_argument("--head", action="store_true", help="judge the ImageNet head's names")
    parser.add_argument("--sentences", type=Path, help="JSON file: image path in the split to text")
    parser.add_argument("--split", type=Path, required=True, help="split file in CoOp form")
    parser.add_argument("--root", type=Path, help="folder that the split's paths start from")
    parser.add_argument("--part", default="test", help="train, val or test")
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit", type=int, help="only so many images, evenly spaced")
    parser.add_argument("--show", type=int, default=0, help="print so many of the sentences")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    content = json.loads(options.split.read_text(encoding="utf-8"))
    named = {label: name.replace("_", " ") for _, label, name in content["train"]}
    entries = content[options.part]
    if options.limit:
        entries = entries[:: max(1, len(entries) // options.limit)][: options.limit]
    root = options.root or options.split.parent
    paths = [root / path for path, _, _ in entries]
    labels = torch.tensor([label for _, label, _ in entries])
    judged: dict[str, list[str]] = {}
    if options.model:
        judged[str(options.model)] = sentences_of(options.model, paths, options.prompt)
    if options.head:
        judged["ImageNet head"] = head_sentences(paths)
    if options.sentences:
        stored = json.loads(options.sentences.read_text(encoding="utf-8"))
        judged[str(options.sentences)] = [stored[path] for path, _, _ in entries]
    for who, sentences in judged.items():
        top1, mean = accuracy(sentences, labels, [named[label] for label in range(len(named))])
        say(f"{who}: top-1 {top1:.2f}, mean over classes {mean:.2f}, {len(labels)} images")
        for (_, _, name), sentence in list(zip(entries, sentences, strict=True))[: options.show]:
            say(f"  {name}: {sentence}")


if __name__ == "__main__":
    main()
