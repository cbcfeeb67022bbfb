"""Pseudo-labelers: which class an image has, for now."""
