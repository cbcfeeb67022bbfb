"""Run recipes: plan, run and resume the stages, and load the results of a run."""
