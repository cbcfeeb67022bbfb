"""A small recipe on coloured squares; `{clip}` is the folder of a tiny CLIP."""

from __future__ import annotations

RECIPE = """\
dataset:
  use: folder
  root: images
  classes: [red, green, blue]
  evaluation: test
backbone: {{model: "local-dir:{clip}"}}
describer: phrases
descriptions:
  - class
  - image
  - {{use: group, size: 2}}
labels: [current, frozen]
prototypes: {{use: momentum, momentum: 0.9}}
loss: contrastive
train:
  batch_size: 4
  max_epochs: 2
  checkpoint_every: 2
  optimizer: {{learning_rate: 1.0e-3}}
"""
