"""Prototype aggregators: the vector that stands for a class."""
