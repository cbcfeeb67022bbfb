"""Pseudo-labelers."""
