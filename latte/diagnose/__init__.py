"""Diagnosis: what tells, mostly without labels, whether adaptation helps on a run's images."""
