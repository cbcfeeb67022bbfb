"""Predictions with the model of a finished run, from Python and from the command line."""
