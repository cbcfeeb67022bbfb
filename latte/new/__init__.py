"""Propose a first recipe for a folder of images, and run it."""

METHODS = ("auto", "zero-shot", "mixture", "training-free", "latteclip")
"""Methods for which a recipe can be written; `auto` is the safe default."""
