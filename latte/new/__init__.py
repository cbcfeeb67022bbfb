"""Propose a first recipe for a folder of images, and run it."""
