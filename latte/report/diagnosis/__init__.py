"""Measures of how a run went, most of them without labels."""
