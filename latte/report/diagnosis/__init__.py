"""Diagnosis of runs: measures of adaptation, most of them without labels."""
