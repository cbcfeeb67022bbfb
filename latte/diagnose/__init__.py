"""Diagnosis: measures, most of them without labels, of whether adapting helps on a run's images."""
