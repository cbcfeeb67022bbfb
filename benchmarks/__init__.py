"""Measurements of latte's speed and accuracy, compared with plain implementations."""
