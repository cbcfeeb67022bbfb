"""Names of the stages of a run; importing this loads nothing else."""

STAGES = ("data", "zero-shot", "describe", "train", "judge", "evaluate", "report")
"""Names of the stages of a run, in order."""
