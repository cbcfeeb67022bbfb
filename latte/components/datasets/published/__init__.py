"""The ten published datasets of LatteCLIP's experiments."""
