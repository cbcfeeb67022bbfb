"""Runs: the run folder, stages and their fingerprints, resume."""
