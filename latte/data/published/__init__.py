"""The ten published datasets that LatteCLIP was measured on: facts, layout, splits, downloads."""
