"""Diagnose runs with measures of adaptation, most of which need no labels."""
