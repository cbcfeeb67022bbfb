"""Run recipes: plan, run and resume the stages of a run, and load its results."""
