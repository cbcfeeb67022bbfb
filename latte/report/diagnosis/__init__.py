"""Diagnose runs: measure what adapting changed, mostly without labels."""
