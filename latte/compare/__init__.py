"""Comparison: many runs in one table."""
