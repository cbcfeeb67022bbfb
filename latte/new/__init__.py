"""Propose a first recipe for a folder of images, and run it."""

METHODS = ("auto", "zero-shot", "mixture", "training-free", "latteclip")
"""Methods that a recipe is written for; `auto` is the safe default."""
