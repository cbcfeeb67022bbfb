"""Diagnose runs: measures of what adapting changed, most of which need no labels."""
